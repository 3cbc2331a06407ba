"""Leases: what a worker spends by itself was held before, and nobody's cap is passed, whatever becomes of the worker."""

import asyncio
import json
import os
import signal
import threading
import time
from dataclasses import replace

import pytest

from agent_fuse.calls import Status
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Cap, LedgerError, Meter, Refusal, Reservation, Settling
from agent_fuse.ledgers.leases import slices
from agent_fuse.testing import assert_books_balance
from ledgers.samples import NOW, amounts, cap, disk_waits, hold, line, reserve, usd
from ledgers.workers import SPAWN, kill, together

pytest.importorskip("psycopg")

ROOM = 1000
STOPPED = '{"stopped": true, "top_ups": [], "who": "me", "why": "so", "at": 1.0}'


class Trips:
    """Counts what a ledger asks the server."""

    def __init__(self, ledger, monkeypatch):
        self.count = 0
        server = ledger._server
        was = server._once

        def once(work):
            self.count += 1
            return was(work)

        monkeypatch.setattr(server, "_once", once)


@pytest.fixture
def leased(database):
    """A ledger that leases."""
    found = open_ledger(database, lease=True)
    yield found
    found.close()


@pytest.fixture
def plain(database):
    """The same books, as another process without leases sees them."""
    found = open_ledger(database)
    yield found
    found.close()


def pair(ledger, call, size=10, **more):
    """A call."""
    if not reserve(ledger, call, size, **more):
        return False
    ledger.settle(line(call, size), (), amounts(size), now=NOW)
    return True


def test_a_slice_is_held_and_spent_by_itself(leased, plain, monkeypatch):
    """Twenty calls take one round trip and a look at what is stopped; all the while the books hold what may be spent."""
    trips = Trips(leased._ledger, monkeypatch)
    for n in range(20):
        assert pair(leased, f"c{n}", caps=(cap(10**6),))
    assert trips.count == 2
    assert usd(plain) == (0, 200)
    assert list(plain.journal()) == []
    assert usd(leased) == (200, 0)
    assert len(list(plain.journal())) == 20
    assert_books_balance(plain)


def test_many_fewer_round_trips(database, monkeypatch):
    """Two thousand calls under one limit take less than a twentieth of the round trips that they take without leases."""
    counts = []
    for lease in (False, True):
        ledger = open_ledger(database, lease=lease)
        trips = Trips(ledger._ledger if lease else ledger, monkeypatch)
        for n in range(2000):
            assert pair(ledger, f"{lease}{n}", 1 + n % 7, caps=(cap(10**9),))
        counts.append(trips.count)
        ledger.close()
    assert counts[1] * 20 <= counts[0]
    with_books = open_ledger(database)
    assert_books_balance(with_books)
    with_books.close()


def race(url, name, barrier, found):
    """4 threads that ask until nothing is left, and wait where others may give some back; how many were granted."""
    ledger = open_ledger(url, lease=True)
    granted = []

    def work(thread):
        for n in range(10**6):
            call = f"{name}.{thread}.{n}"
            while True:
                answer = ledger.reserve(hold(call, 1, caps=(cap(ROOM),)), now=NOW)
                if isinstance(answer, Reservation) or not answer.busy:
                    break
                time.sleep(0.01)
            if isinstance(answer, Refusal):
                return
            granted.append(call)
            if n % 10 == 9:
                ledger.release(call, now=NOW)
                granted.remove(call)
            else:
                ledger.settle(line(call, 1), (), amounts(1), now=NOW)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    barrier.wait()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    ledger.close()
    found.put(len(granted))


def test_processes_get_exactly_what_there_is(database, plain):
    """4 processes of 4 threads, each with slices of its own: all of the cap is spent, and no more, and at no moment more."""
    seen, done = [], threading.Event()

    def look():
        books = open_ledger(database)
        while not done.wait(0.005):
            seen.append(sum(usd(books)))
        books.close()

    looking = threading.Thread(target=look)
    looking.start()
    granted = together(race, [(f"p{n}",) for n in range(4)], database)
    done.set()
    looking.join()
    assert sum(granted) == ROOM
    assert usd(plain) == (ROOM, 0)
    assert max(seen) <= ROOM
    assert len(seen) > 5
    assert_books_balance(plain)


def test_first_slices_at_once(database, plain):
    """Workers that take their first slices in the same moment, and know nothing of each other, hold no more than the cap."""
    for turn in range(5):
        account = f"session=s{turn}"
        ledgers = [open_ledger(database, lease=True) for _ in range(8)]
        barrier, granted = threading.Barrier(len(ledgers)), []

        def ask(place, ledgers=ledgers, barrier=barrier, granted=granted, account=account, turn=turn):
            barrier.wait()
            accounts = ("all", account)
            if pair(ledgers[place], f"{turn}.{place}", 1, accounts=accounts, caps=(cap(60, account),)):
                granted.append(place)

        workers = [threading.Thread(target=ask, args=(place,)) for place in range(len(ledgers))]
        for one in workers:
            one.start()
        for one in workers:
            one.join()
        assert sum(usd(plain, account)) <= 60
        for one in ledgers:
            one.close()
        assert usd(plain, account) == (len(granted), 0)


def test_several_limits_are_leased_together(leased, plain):
    """A call under three limits, one of a window, holds on all of them, and the tightest binds to the last call."""
    hour = "user.id@1h=a"
    caps = (cap(10**6), cap(70, "session=s"), Cap(hour, Meter.CALLS, 10**6))
    accounts = ("all", "session=s", f"{hour}\x1f000030000000")
    granted = sum(pair(leased, f"c{n}", 3, accounts=accounts, caps=caps) for n in range(40))
    assert granted == 23
    assert usd(leased, "session=s") == (69, 0)
    assert plain.balances([hour], now=NOW)[hour].settled.calls == 23
    assert_books_balance(plain)


def test_stop_is_seen_within_a_second(leased, plain, monkeypatch):
    """What someone stops elsewhere, a worker with a slice stops within a second, though it asks nobody for its calls."""
    accounts = ("all", "session=s")
    assert pair(leased, "a", accounts=accounts, caps=(cap(10**6),))
    plain.control("session=s", None, STOPPED, now=NOW)
    deadline, stopped = time.monotonic() + 5, None
    while stopped is None and time.monotonic() < deadline:
        answer = leased.reserve(hold(f"x{time.monotonic()}", 1, accounts=accounts, caps=(cap(10**6),)), now=NOW)
        stopped = answer.stop if isinstance(answer, Refusal) else None
    assert stopped is not None
    assert leased.used_up((cap(10**6),), ("session=s",), now=NOW).stop is not None
    plain.control("session=s", STOPPED, None, now=NOW)
    leased.control("all", None, STOPPED, now=NOW)
    assert leased.reserve(hold("y", 1, accounts=accounts, caps=(cap(10**6),)), now=NOW).stop is not None


def test_gates_ask_nobody_while_there_is_a_slice(leased, monkeypatch):
    """Whether anything is left is told by the slice, for each of its caps; of others by the ledger."""
    pair(leased, "a", caps=(cap(10**6),))
    trips = Trips(leased._ledger, monkeypatch)
    assert leased.used_up((cap(10**6),), now=NOW) is None
    assert trips.count == 0
    assert leased.used_up((cap(5),), now=NOW) is not None
    assert trips.count


def test_own_slice_refuses_nobody_here(leased):
    """What is leased and not spent is given back before a call of this process is refused for it."""
    assert pair(leased, "a", 10, caps=(cap(1000),))
    assert reserve(leased, "big", 990, caps=(cap(1000),))
    assert leased.used_up((cap(1001),), now=NOW) is None
    assert usd(leased) == (10, 990)


def test_a_call_that_turns_out_dearer(leased, plain):
    """It is booked in full, and the slice has so much less."""
    assert reserve(leased, "a", 10, caps=(cap(1000),))
    leased.settle(line("a", 900), (), amounts(900), now=NOW)
    granted = sum(pair(leased, f"c{n}", 10, caps=(cap(1000),)) for n in range(40))
    assert granted == 10
    assert usd(leased) == (1000, 0)
    assert_books_balance(plain)


def hold_slice(url, ready):
    """Spend 5 of a slice of 20, have 2 open, and live on."""
    ledger = open_ledger(url, lease=True)
    for n in range(5):
        pair(ledger, f"w{n}", caps=(cap(10**6),))
    for n in range(2):
        reserve(ledger, f"o{n}", 10, caps=(cap(10**6),))
    ready.set()
    time.sleep(600)


def test_worker_that_is_killed(database, plain):
    """The rest of its slice is presumed spent, by a sweep on its machine at once: no cap is passed, and it is one line."""
    ready = SPAWN.Event()
    worker = SPAWN.Process(target=hold_slice, args=(database, ready))
    worker.start()
    assert ready.wait(60)
    assert usd(plain) == (0, 200)
    assert plain.sweep(now=NOW) == []
    kill(worker)
    (found,) = plain.sweep(now=NOW)
    assert (found.status, found.cost, found.operation) == (Status.PRESUMED, 200, "lease")
    assert usd(plain) == (200, 0)
    assert plain.holds() == []


def test_worker_of_another_machine_that_is_gone(database, plain, leased):
    """Its slice is presumed spent when it expires, half a minute after it was renewed last; and it is not refused before."""
    pair(leased, "a", caps=(cap(10**6),))
    assert plain.sweep(now=NOW + 29) == []
    assert [one.cost for one in plain.sweep(now=NOW + 31)] == [200]
    assert usd(plain) == (200, 0)


def test_worker_that_slept_too_long(database, plain, leased):
    """A slice that expired, and was presumed spent, is taken back by its worker: what it spent stands, and nothing else."""
    pair(leased, "a", caps=(cap(10**6),))
    assert reserve(leased, "b", 10, caps=(cap(10**6),))
    plain.sweep(now=NOW + 31)
    assert usd(plain) == (200, 0)
    assert usd(leased) == (10, 10)
    assert leased.settle(line("b", 9), (), amounts(9), now=NOW) is Settling.BOOKED
    assert usd(plain) == (19, 0)
    assert [one.cost for one in plain.journal() if one.operation == "lease"] == [0]


def test_no_call_is_taken_from_a_slice_that_ran_out(leased, monkeypatch):
    """Its worker lets it go before the ledger does."""
    assert pair(leased, "a", caps=(cap(10**6),))
    was = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: was() + slices.LIVES - 4)
    trips = Trips(leased._ledger, monkeypatch)
    assert pair(leased, "b", caps=(cap(10**6),))
    assert trips.count >= 2


def test_slices_are_renewed_and_given_back(leased, plain, monkeypatch):
    """A call that lasts leaves its slice and is a hold of its own; a slice that nobody uses is given back."""
    monkeypatch.setattr(slices, "RENEWED", 0.2)
    assert reserve(leased, "long", 10, caps=(cap(10**6),))
    assert pair(leased, "short", caps=(cap(10**6),))
    deadline = time.monotonic() + 20
    while usd(plain) != (10, 10) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert usd(plain) == (10, 10)
    assert [one.entry.id for one in plain.holds()] == ["long"]
    assert plain.holds()[0].expires_at == NOW + 600
    assert leased.settle(line("long", 7), (), amounts(7), now=NOW) is Settling.BOOKED
    assert usd(plain) == (17, 0)


def test_process_that_ends(database, plain):
    """At its end a process books what it spent and gives the rest back, though nobody closed its ledger."""
    process = SPAWN.Process(target=spend_and_end, args=(database,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert usd(plain) == (30, 10)
    assert_books_balance(plain)


def spend_and_end(url):
    """Three calls, one open."""
    import atexit

    ledger = open_ledger(url, lease=True)
    for n in range(3):
        pair(ledger, f"c{n}", caps=(cap(10**6),))
    reserve(ledger, "open", 10, caps=(cap(10**6),))
    atexit._run_exitfuncs()  # multiprocessing ends without


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_no_slice(leased, plain):
    """The slice is the parent's: the child takes one of its own, and settles what the parent began."""
    assert reserve(leased, "parents", 10, caps=(cap(10**6),))
    of_the_parent = leased._slices
    child = os.fork()
    if not child:
        try:
            pair(leased, "childs", caps=(cap(10**6),))
            leased.close()
            slices._at_exit()
            of_the_parent.close()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert usd(plain) == (10, 200)
    assert leased.settle(line("parents", 9), (), amounts(9), now=NOW) is Settling.BOOKED
    assert usd(leased) == (19, 0)
    assert_books_balance(plain)


def test_a_slice_waits_for_the_disk(leased, plain, monkeypatch):
    """It is on the disk before anything is spent of it, also where the step books a call that was a hold of its own."""
    assert reserve(leased, "a", 10, caps=(cap(1000),))
    plain.reserve(hold("a", 10), now=NOW)
    leased.settle(line("a", 10), (), amounts(10), now=NOW)
    waits = disk_waits(leased._ledger, monkeypatch)
    assert reserve(leased, "big", 500, caps=(cap(1000),))
    assert "off" not in waits
    assert usd(leased) == (10, 500)


@pytest.mark.parametrize("done", [True, False], ids=["answer lost", "not done"])
def test_a_step_that_fails(leased, plain, monkeypatch, done):
    """Whether the server did it or not: nothing is lost, nothing is counted twice, and no cap is passed."""
    real, failing = leased._ledger.lease, []

    def lease(step, *, now):
        if failing:
            if done:
                real(step, now=now)
            raise LedgerError("lease", "there", "the connection was lost")
        return real(step, now=now)

    monkeypatch.setattr(leased._ledger, "lease", lease)
    for n in range(15):
        assert pair(leased, f"c{n}", caps=(cap(1000),))
    for call in ("open", "free"):
        assert reserve(leased, call, 10, caps=(cap(1000),))
    failing.append(True)
    with pytest.raises(LedgerError):
        leased.balances(["all"])
    with pytest.raises(LedgerError):
        leased.reserve(hold("next", 10, caps=(cap(1000),)), now=NOW)
    assert sum(usd(plain)) >= 170
    failing.clear()
    leased.settle(line("open", 10), (), amounts(10), now=NOW)
    assert leased.release("free", now=NOW)
    granted = sum(pair(leased, f"d{n}", caps=(cap(1000),)) for n in range(200))
    assert granted == 84
    assert usd(leased) == (1000, 0)
    assert plain.holds() == []
    assert_books_balance(plain)


def test_a_line_that_cannot_be_written(leased, plain):
    """It is booked without its texts, and the others with theirs."""
    for n, model in enumerate(["a", "\ud800", "b"]):
        assert reserve(leased, f"c{n}", 10, caps=(cap(1000),))
        leased.settle(line(f"c{n}", 10, model=model), (), amounts(10), now=NOW)
    assert usd(leased) == (30, 0)
    assert sorted(one.model for one in plain.journal()) == ["", "a", "b"]


def test_corrections_and_repeats(leased, plain):
    """What is done twice is done once, and a real figure corrects an estimate, in the slice and after it."""
    assert reserve(leased, "a", 10, caps=(cap(1000),))
    assert leased.settle(line("a", 10, Status.ESTIMATED), (), amounts(10), now=NOW) is Settling.BOOKED
    assert leased.settle(line("a", 8), (), amounts(8), now=NOW) is Settling.CORRECTED
    assert leased.settle(line("a", 8), (), amounts(8), now=NOW) is Settling.UNCHANGED
    assert reserve(leased, "a", 10, caps=(cap(1000),))
    assert usd(plain)[0] == 8
    assert pair(leased, "b", caps=(cap(1000),))
    plain.settle(line("c", 5), ("all",), amounts(5), now=NOW)
    assert reserve(leased, "c", 10, caps=(cap(1000),))
    assert leased.settle(line("c", 9), (), amounts(9), now=NOW) is Settling.BOOKED
    assert usd(leased) == (23, 0)
    assert_books_balance(plain)


def test_requotes(leased, plain):
    """A call may be quoted anew: within its slice, and beyond it."""
    assert reserve(leased, "a", 10, caps=(cap(1000),))
    assert reserve(leased, "a", 60, caps=(cap(1000),))
    assert reserve(leased, "a", 900, caps=(cap(1000),))
    assert not reserve(leased, "a", 1001, caps=(cap(1000),))
    assert usd(leased) == (0, 900)
    assert leased.release("a", now=NOW)
    assert usd(plain) == (0, 0)


def test_in_an_event_loop(leased, plain):
    """A gate in a loop has its slice taken by a thread, and takes calls of it like any other."""

    async def calls():
        return sum(pair(leased, f"c{n}", caps=(cap(300),)) for n in range(60))

    assert asyncio.run(calls()) == 30
    assert usd(leased) == (300, 0)
    assert_books_balance(plain)


def test_what_is_not_leased(leased, plain, monkeypatch):
    """Calls at once, seconds, a cap on another account, work that outlives its process: asked for one by one."""
    trips = Trips(leased._ledger, monkeypatch)
    others = (
        hold("a", 1, caps=(Cap("all", Meter.CONCURRENT, 5),)),
        hold("b", 1, caps=(Cap("all", Meter.SECONDS, 5),)),
        hold("c", 1, caps=(cap(100, "session=x"),)),
        replace(hold("d", 1, caps=(cap(100),)), outlives=True),
        hold("e", 1),
    )
    for one in others:
        assert isinstance(leased.reserve(one, now=NOW), Reservation)
    assert sorted(one.entry.id for one in plain.holds()) == ["a", "b", "c", "d", "e"]
    assert trips.count == 5


def test_only_a_server_leases(file):
    """Where there is no round trip to be saved, it is a mistake, told in a line."""
    with pytest.raises(ConfigurationError, match="only postgresql://… leases"):
        open_ledger(file, lease=True)


def test_what_it_tells_of_a_call(leased):
    """The accounts after a call are those that the ledger would tell."""
    first = leased.reserve(hold("a", 10, caps=(cap(1000),)), now=NOW)
    leased.settle(line("a", 8), (), amounts(8), now=NOW)
    second = leased.reserve(hold("b", 10, caps=(cap(1000),)), now=NOW)
    assert (first.balances["all"].settled.usd, second.balances["all"].settled.usd) == (8, 8)
    assert second.balances["all"].held.usd == 10
    assert json.dumps(list(second.balances)) == '["all"]'


def test_a_step_looks_at_no_call_of_others(database, monkeypatch):
    """With thousands of calls open on the server, it reads none of them but by its index."""
    ledger = open_ledger(database, lease=True)
    server, read, often = ledger._ledger._server, [], ledger._ledger._server.often
    ledger._ledger.reserve(hold("other", 1), now=NOW)
    row = "SELECT (json_populate_record(h, json_build_object('id', 'o' || n))).* FROM agent_fuse.holds h"
    server.run("test", [f"INSERT INTO agent_fuse.holds {row}, generate_series(1, 3000) n", "ANALYZE agent_fuse.holds"])

    def scanned(cursor):
        return cursor.execute("SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'holds'").fetchone()[0]

    def watched(operation, query, values=(), late=None):
        if operation != "lease":
            return often(operation, query, values, late)

        def work(cursor):
            with cursor.connection.transaction():
                before = scanned(cursor)  # of what this connection did before, the server may not have told yet
                found = cursor.execute(query, values).fetchall()
                read.append(scanned(cursor) - before)
            return found

        return server.do(operation, work)

    monkeypatch.setattr(server, "often", watched)
    for n in range(60):
        assert ledger.reserve(hold(f"c{n}", 1, caps=(cap(10**9),)), now=NOW)
        ledger.settle(line(f"c{n}", 1), ("all",), amounts(1), now=NOW)
    assert len(read) > 2
    assert set(read) == {0}
    ledger.close()
