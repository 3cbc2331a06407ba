"""How long reserve + settle take: in one process, beside their bare SQL, in four processes, and with a long history.

Run it as a script. Figures depend on the machine; compare them within one run.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from uuid import uuid4

import apsw

from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers import codec, open_ledger
from agent_fuse.ledgers.base import Amounts, Cap, Hold, Ledger, Meter

ACCOUNTS = ("all", "session=run-1")
CAPS = (Cap("session=run-1", Meter.USD, 10**17),)
AMOUNTS = Amounts(usd=7_500_000, tokens=1200, output_tokens=200, calls=1)
LONG_HISTORY = 1_000_000


def entry(call: str, status: Status, at: float, session: str = "run-1") -> Entry:
    """A typical call."""
    return Entry(
        id=call,
        at=at,
        status=status,
        session=session,
        agent="researcher",
        provider="openai",
        model="gpt-4o-mini",
        operation="chat",
        cost=7_500_000,
        input_tokens=1000,
        output_tokens=200,
        trace_id="0af7651916cd43dd8448eb211c80319c",
        span_id="b7ad6b7169203331",
    )


def pair(ledger: Ledger) -> tuple[float, float]:
    """Seconds that one reserve and one settle took."""
    now, call = time.time(), uuid4().hex
    hold = Hold(
        entry=entry(call, Status.ESTIMATED, now), accounts=ACCOUNTS, amounts=AMOUNTS, caps=CAPS, expires_at=now + 600
    )
    line = entry(call, Status.SETTLED, now)
    start = time.perf_counter()
    ledger.reserve(hold, now=now)
    middle = time.perf_counter()
    ledger.settle(line, ACCOUNTS, AMOUNTS, now=now)
    return middle - start, time.perf_counter() - middle


def in_process(ledger: Ledger, pairs: int) -> list[float]:
    """Print and return the times of pairs, one after another."""
    times = [pair(ledger) for _ in range(pairs)]
    sums = [reserve + settle for reserve, settle in times]
    halves = [statistics.median(one[half] for one in times) * 1e6 for half in (0, 1)]
    print(f"  reserve + settle          {show(sums)}   (reserve {halves[0]:.1f}, settle {halves[1]:.1f} at p50)")
    return sums


class Floor:
    """The same tables and statements' work without the ledger: two transactions, no lock file, no checks, no objects."""

    def __init__(self, path: Path, *, synchronous: str = "normal", timeout: int = 0) -> None:
        open_ledger(path).close()
        self.db = apsw.Connection(str(path))
        self.db.set_busy_timeout(timeout)
        self.db.pragma("synchronous", synchronous)
        self.db.wal_autocheckpoint(2000)
        for name in ACCOUNTS:
            row = (name, *codec.NO_ACCOUNT)
            self.db.execute(f"INSERT OR IGNORE INTO accounts VALUES ({', '.join('?' * len(row))})", row)

    def pair(self) -> float:
        """Seconds that the two transactions took."""
        run = self.db.execute
        call, now = uuid4().hex, time.time()
        row = codec.entry_row(entry(call, Status.SETTLED, now))
        start = time.perf_counter()
        run("BEGIN IMMEDIATE")
        for name in ACCOUNTS:
            run(READ, (name,)).fetchone()
            run(TAKE, (7_500_000, 1200, name))
        run(HOLD, (*row, '["all", "session=run-1"]', 7_500_000, 1200, 200, 1, 0, now + 600, "host", 1, 1))
        run("COMMIT")
        run("BEGIN IMMEDIATE")
        run("SELECT * FROM holds WHERE id = ?", (call,)).fetchone()
        run("DELETE FROM holds WHERE id = ?", (call,))
        run(LINE, (*row, None, None, None, None, None, None))
        for name in ACCOUNTS:
            run(BOOK, (7_500_000, 1200, 7_500_000, 1200, name))
        run("COMMIT")
        return time.perf_counter() - start


READ = "SELECT * FROM accounts WHERE name = ?"
TAKE = "UPDATE accounts SET held_usd = held_usd + ?, held_tokens = held_tokens + ? WHERE name = ?"
BOOK = """UPDATE accounts SET held_usd = held_usd - ?, held_tokens = held_tokens - ?,
    settled_usd = settled_usd + ?, settled_tokens = settled_tokens + ? WHERE name = ?"""
HOLD_COLUMNS = (
    f"{', '.join(codec.ENTRY)}, accounts, {', '.join('hold_' + meter for meter in codec.METERS)}, "
    "expires_at, host, pid, started"
)
HOLD = f"INSERT INTO holds ({HOLD_COLUMNS}) VALUES ({', '.join('?' * (len(codec.ENTRY) + 10))})"
LINE_COLUMNS = f"{', '.join(codec.ENTRY)}, accounts, {', '.join('booked_' + meter for meter in codec.METERS)}"
LINE = f"INSERT INTO journal ({LINE_COLUMNS}) VALUES ({', '.join('?' * (len(codec.ENTRY) + 6))})"


def beside_floor(folder: Path, pairs: int, *, synchronous: Literal["normal", "full"] = "normal") -> None:
    """Print the times of pairs and of the floor, taken in turn in one loop, and how many times the floor ours are."""
    ledger = open_ledger(folder / f"{synchronous}.db", synchronous=synchronous)
    floor = Floor(folder / f"{synchronous}-bare.db", synchronous=synchronous)
    ours: list[tuple[float, float]] = []
    bare: list[float] = []
    for _ in range(pairs):
        bare.append(floor.pair())
        ours.append(pair(ledger))
    ledger.close()
    floor.db.close()
    sums = [reserve + settle for reserve, settle in ours]
    gates = [reserve for reserve, _ in ours]
    print(f"  bare SQL, 2 transactions  {show(bare)}")
    print(
        f"  reserve + settle          {show(sums)}   = {statistics.median(sums) / statistics.median(bare):.2f} floors"
    )
    print(f"  reserve alone             {show(gates)}")


def hammer(
    path: Path, seconds: float, start: Callable[[], object], found: "multiprocessing.Queue[list[float]]"
) -> None:
    """One process that makes pairs as fast as it can."""
    ledger = open_ledger(path)
    start()
    end = time.monotonic() + seconds
    times = []
    while time.monotonic() < end:
        times.append(sum(pair(ledger)))
    found.put(times)


def processes(path: Path, seconds: float, count: int = 4) -> float:
    """Print pairs per second of several processes on one file; return the slowest one's part of its fair share."""
    context = multiprocessing.get_context("spawn")
    found: multiprocessing.Queue[list[float]] = context.Queue()
    barrier = context.Barrier(count)
    workers = [context.Process(target=hammer, args=(path, seconds, barrier.wait, found)) for _ in range(count)]
    for worker in workers:
        worker.start()
    each = [found.get() for _ in workers]
    for worker in workers:
        worker.join()
    times = [one for part in each for one in part]
    slowest = min(len(part) for part in each) / (len(times) / count)
    print(
        f"  {count} processes, {seconds:g} s        {show(times)}   {len(times) / seconds:,.0f} pairs/s, "
        f"slowest process at {slowest:.0%} of its fair share; log {wal_size(path) / 2**20:.0f} MiB"
    )
    return slowest


def wal_size(path: Path) -> int:
    """Bytes of the write-ahead log."""
    log = Path(f"{path}-wal")
    return log.stat().st_size if log.exists() else 0


def add_history(path: Path, rows: int) -> None:
    """Put settled calls of the past into the journal, with ids of no order."""
    db = apsw.Connection(str(path))
    db.execute(
        f"""INSERT INTO journal (id, at, status, session, agent, provider, model, operation, tool, cost, input_tokens,
                output_tokens, reason, response_id, trace_id, span_id)
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {rows})
            SELECT lower(hex(randomblob(16))), ? + i, 'settled', 'run-' || (i / 1000), 'researcher', 'openai',
                'gpt-4o-mini', 'chat', '', 7500000, 1000, 200, '', '', lower(hex(randomblob(16))),
                lower(hex(randomblob(8))) FROM n""",
        (time.time() - rows - 1000,),
    )
    db.close()


def show(times: list[float]) -> str:
    """p50 and p99 in microseconds."""
    cuts = statistics.quantiles(times, n=1000, method="inclusive")
    return (
        f"p50 {cuts[499] * 1e6:6.1f}  p99 {cuts[989] * 1e6:7.1f}  p99.9 {cuts[998] * 1e6:8.0f}  "
        f"max {max(times) * 1e6:8.0f} µs"
    )


def main() -> None:
    """Everything, on a file system of this machine."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=10_000)
    options.add_argument("--seconds", type=float, default=4.0)
    options.add_argument("--history", type=int, default=LONG_HISTORY)
    options.add_argument("--folder", type=Path, help="where to put the files; a temporary folder by default")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = Path(folder) / "ledger.db"
        ledger = open_ledger(path)
        print("fresh file")
        beside_floor(Path(folder), given.pairs)
        processes(path, given.seconds)
        add_history(path, given.history)
        print(f"with {given.history:,} journal rows, {path.stat().st_size / 2**20:.0f} MiB")
        in_process(ledger, given.pairs)
        processes(path, given.seconds)
        ledger.close()
        print("fresh file, synchronous=full")
        beside_floor(Path(folder), min(given.pairs, 2000), synchronous="full")


if __name__ == "__main__":
    main()
