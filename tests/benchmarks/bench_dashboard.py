"""One refresh of the dashboard, over HTTP, of a ledger with very many lines and sessions, on SQLite and PostgreSQL.

1,000,000 journal lines, all of the last hour, and 10,000 sessions, each with a cap of its own. A refresh is a request of
`/api/state` and its whole answer, asked one after another so late that none is answered from memory. What counts is
CPU time, the dashboard's and the server's together, which others on the machine lengthen little, and the best of several. Run it as a script; it starts a server of its own where it can.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from cli import many
from postgres_server import NoServer, PostgresServer

FILTERS = ("", "session=*99*", "user=ann", "agent=writer", "limit=*run-77*")
PROGRAM = str(Path(sys.executable).with_name("agent-fuse"))


def fill(path: Path, lines: int, sessions: int) -> None:
    """A SQLite ledger whose lines are of the last hour; every tenth call is a user's of a few."""
    many.fill(path, lines)
    db, now = apsw.Connection(str(path)), time.time()
    with db:
        db.execute("UPDATE journal SET at = ? - (? - at) / 2160.0", (now, many.NOW))
        db.execute(
            "UPDATE journal SET user_id = CASE abs(random()) % 30 WHEN 0 THEN 'ann' WHEN 1 THEN 'bob' ELSE '' END"
        )
        db.executemany(
            "INSERT INTO notes VALUES (?, ?, ?)",
            ((f"caps/own/usd/session=run-{one}", now, b'{"amount": 2000000000}') for one in range(sessions)),
        )
    db.close()


@contextmanager
def served(url: str) -> Iterator[tuple[httpx.Client, int]]:
    """A dashboard on it, and somebody who was let in."""
    with subprocess.Popen([PROGRAM, "dashboard", "--db", url], stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        address = one.stdout.readline().strip()
        try:
            with httpx.Client(base_url=address.partition("/?")[0], trust_env=False, timeout=120) as client:
                assert client.get(address).status_code == 200
                yield client, one.pid
        finally:
            one.send_signal(signal.SIGINT)
            one.wait(30)


def refresh(client: httpx.Client, pid: int, asked: str, postmaster: int) -> tuple[float, float]:
    """Milliseconds by the clock, and of CPU, the dashboard's and the server's together."""
    time.sleep(0.3)  # older than what is answered from memory
    before, began = _cpu(pid, postmaster), time.perf_counter()
    answer = client.get(f"/api/state?{asked}")
    took = time.perf_counter() - began
    assert answer.status_code == 200, answer.text
    ran = sum(seconds - before.get(one, 0.0) for one, seconds in _cpu(pid, postmaster).items())
    return took * 1e3, ran * 1e3


def measure(url: str, rounds: int, postmaster: int = 0) -> dict[str, tuple[float, float]]:
    """The best of several refreshes for each filter, and under `memory` the dashboard's most, in MB."""
    found: dict[str, tuple[float, float]] = {}
    with served(url) as (client, pid):
        for asked in FILTERS:
            times = [refresh(client, pid, asked, postmaster) for _ in range(rounds)]
            found[asked] = min(one[0] for one in times), min(one[1] for one in times)
        status = Path(f"/proc/{pid}/status").read_text()
    peak = next(one for one in status.splitlines() if one.startswith("VmHWM"))
    found["memory"] = int(peak.split()[1]) / 1024, 0.0
    return found


def _cpu(pid: int, postmaster: int) -> dict[Path, float]:
    """Seconds that each thread of the dashboard ran, and each of the server's processes."""
    those = [one for each in (pid, *_children(postmaster)) for one in Path(f"/proc/{each}/task").glob("*/schedstat")]
    return {one: int(one.read_text().split()[0]) / 1e9 for one in those}


def _children(parent: int) -> list[int]:
    if not parent:
        return []
    return [int(one) for one in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def show(name: str, found: dict[str, tuple[float, float]]) -> None:
    """As a table."""
    for asked, (wall, cpu) in found.items():
        if asked == "memory":
            print(f"{name:<11} {'at most':<18} {wall:7.0f} MB")
        else:
            print(f"{name:<11} {asked or 'unfiltered':<18} {wall:7.0f} ms by the clock, {cpu:4.0f} ms of CPU")


def main() -> None:
    """Fill, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        fill(path, options.lines, options.sessions)
        show("SQLite", measure(str(path), options.rounds))
        try:
            server = PostgresServer()
        except NoServer as missing:
            print(f"no PostgreSQL: {missing}")
            return
        try:
            url = server.database()
            subprocess.run([PROGRAM, "ledger", "copy", str(path), url], check=True, stdout=subprocess.DEVNULL)
            server.say(url.partition("@/")[2].partition("?")[0], "ANALYZE")
            postmaster = int(Path(server.data, "postmaster.pid").read_text().split()[0])
            show("PostgreSQL", measure(url, options.rounds, postmaster))
        finally:
            server.remove()


if __name__ == "__main__":
    main()
