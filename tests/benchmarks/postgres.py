"""How many reserve + settle pairs PostgreSQL keeps, beside the server's own single-row UPDATE, in one run.

Run it as a script: it starts a server of its own. Clients are processes of threads, and the same driver makes both. What
counts is the ratio: figures depend on the machine and on what else it does, so both are taken in turns.
"""

import argparse
import multiprocessing
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from agent_fuse.calls import Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Cap, Hold, Ledger, Meter, Reservation

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench_ledger import AMOUNTS, entry

from postgres_server import PostgresServer

FULL = 10**17
UPDATE = "UPDATE plain SET n = n + 1 WHERE id = 1 AND n < 1000000000"
CONTEXT = multiprocessing.get_context("spawn")
Work = Callable[[int], None]


def pair(ledger: Ledger, session: str, capped: str) -> None:
    """One reserve and one settle."""
    now, call = time.time(), uuid4().hex
    accounts = ("all", f"session={session}")
    hold = Hold(
        entry=entry(call, Status.ESTIMATED, now, session),
        accounts=accounts,
        amounts=AMOUNTS,
        caps=(Cap(capped, Meter.USD, FULL),),
        expires_at=now + 600,
    )
    if not isinstance(ledger.reserve(hold, now=now), Reservation):
        raise SystemExit("refused: the benchmark's cap is too small")
    ledger.settle(entry(call, Status.SETTLED, now, session), accounts, AMOUNTS, now=now)


def plain(url: str) -> Work:
    """The server's own update of one row, as this driver makes it fastest: prepared, a connection a thread."""
    here = threading.local()

    def work(_: int) -> None:
        db: psycopg.Connection[Any] | None = getattr(here, "db", None)
        if db is None:
            db = here.db = psycopg.connect(url, autocommit=True, prepare_threshold=1)
        db.execute(UPDATE)

    return work


def on_one_limit(url: str) -> Work:
    """Every call in one session with one cap."""
    ledger = open_ledger(url)
    return lambda _: pair(ledger, "hot", "session=hot")


def on_everything(url: str) -> Work:
    """Calls of many sessions, all under one cap of everything."""
    ledger = open_ledger(url)
    return lambda n: pair(ledger, f"s{n % 1000}", "all")


def on_many_sessions(url: str) -> Work:
    """Calls of a thousand sessions, each with a cap of its own."""
    ledger = open_ledger(url)
    return lambda n: pair(ledger, f"s{n % 1000}", f"session=s{n % 1000}")


def leased(url: str) -> Work:
    """Every call in one session with one cap, out of slices."""
    ledger = open_ledger(url, lease=True)
    return lambda _: pair(ledger, "leased", "session=leased")


WORKS = {one.__name__: one for one in (plain, on_one_limit, on_everything, on_many_sessions, leased)}


def client(url: str, threads: int, rounds: list[tuple[str, float]], place: int, start: Any, found: Any) -> None:
    """One process: each round's work by all its threads at once."""
    ready = {name: WORKS[name](url) for name, _ in rounds}
    for name, seconds in rounds:
        done = [0] * threads
        start.wait()
        end = time.monotonic() + seconds

        def hammer(thread: int, work: Work = ready[name], end: float = end, done: list[int] = done) -> None:
            n = (place * threads + thread) * 7919
            while time.monotonic() < end:
                work(n)
                n += 1
                done[thread] += 1

        workers = [threading.Thread(target=hammer, args=(n,)) for n in range(threads)]
        for one in workers:
            one.start()
        for one in workers:
            one.join()
        found.put(sum(done))


def run(url: str, processes: int, threads: int, rounds: list[tuple[str, float]]) -> list[float]:
    """The rate of each round."""
    start, found = CONTEXT.Barrier(processes), CONTEXT.Queue()
    clients = [CONTEXT.Process(target=client, args=(url, threads, rounds, n, start, found)) for n in range(processes)]
    for one in clients:
        one.start()
    rates = [sum(found.get(timeout=300) for _ in clients) / seconds for _, seconds in rounds]
    for one in clients:
        one.join()
    return rates


def main() -> None:
    """Everything, on a server of its own."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=2.0)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--clients", default="4x4,16x1,1x16", help="processes x threads")
    options.add_argument("--fsync", default="on", help="on, off, or on,off")
    options.add_argument("--works", default="on_one_limit,on_everything,on_many_sessions")
    given = options.parse_args()
    works = given.works.split(",")
    for fsync in given.fsync.split(","):
        server = PostgresServer(fsync)
        try:
            for one in given.clients.split(","):
                url = server.database()
                name = url.partition("@/")[2].partition("?")[0]
                server.say(name, "CREATE TABLE plain (id int PRIMARY KEY, n bigint) WITH (fillfactor = 50)")
                server.say(name, "INSERT INTO plain VALUES (1, 0)")
                open_ledger(url).close()
                processes, threads = map(int, one.split("x"))
                rounds = [(work, given.seconds) for _ in range(given.rounds) for work in ("plain", *works)]
                rates = run(url, processes, threads, [("plain", 1.0), *((work, 1.0) for work in works), *rounds])
                show(one, fsync, works, rates[1 + len(works) :])
        finally:
            server.remove()


def show(clients: str, fsync: str, works: list[str], rates: list[float]) -> None:
    """Rates, and how they stand to the plain update of the same turn."""
    width = 1 + len(works)
    turns = [rates[at : at + width] for at in range(0, len(rates), width)]
    print(f"{clients} clients, fsync {fsync}: plain UPDATE {statistics.median(one[0] for one in turns):,.0f}/s")
    for place, work in enumerate(works, 1):
        ratios = sorted(one[place] / one[0] for one in turns)
        rate = statistics.median(one[place] for one in turns)
        print(
            f"  {work:18} {rate:8,.0f} pairs/s = {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}) of it",
            flush=True,
        )


if __name__ == "__main__":
    main()
