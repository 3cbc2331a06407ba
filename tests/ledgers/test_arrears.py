"""fail_safe=False: calls go while the ledger is away, nothing spent is lost, and all of it is written when it is back."""

import os
import sys
import threading
import time
from dataclasses import replace
from itertools import count

import pytest

from agent_fuse.calls import Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Amounts, LedgerError, Reservation, Unwritable
from agent_fuse.ledgers.fallback import FallbackLedger
from agent_fuse.testing import assert_books_balance
from ledgers.samples import NOW, amounts, cap, hold, line, reserve, usd


@pytest.fixture
def away(file):
    """Takes the file away, by a folder in its place, and brings it back."""

    class Away:
        stored = file.with_name("stored")

        def __enter__(self):
            file.rename(self.stored)
            file.mkdir()
            return self

        def __exit__(self, *_):
            file.rmdir()
            self.stored.rename(file)

    file.parent.mkdir(parents=True, exist_ok=True)
    return Away()


@pytest.fixture
def real(file):
    """The ledger behind, without arrears."""
    return open_ledger(file)


@pytest.fixture
def arrears(file, real):
    """A ledger that lets calls go when the file is away."""
    made = FallbackLedger(lambda: open_ledger(file, lock_timeout=0.2))
    yield made
    made.close()


def outage(real, away):
    """The file goes; the log is folded in first, since a file moved in use would leave it behind."""
    real.close()
    return away


def messages(log, level="WARNING"):
    return [one.getMessage() for one in log.records if one.levelname == level and one.name == "agent_fuse"]


def test_outage_and_return(arrears, real, away, log):
    """While the file is away calls go, past every cap; when it is back all is booked, and caps bind again."""
    assert reserve(arrears, "before", 10, caps=(cap(100),))
    arrears._real.close()
    with outage(real, away):
        for n in range(30):
            assert reserve(arrears, f"c{n}", 10, caps=(cap(100),))
            arrears.settle(line(f"c{n}", 9), ("all",), amounts(9), now=NOW)
        arrears.settle(line("before", 8), ("all",), amounts(8), now=NOW)
        arrears.refuse(line("refused", 5), ("all",), now=NOW)
        assert reserve(arrears, "open", 20, caps=(cap(1),))
        assert usd(arrears) == (278, 20)
        assert len(list(arrears.journal())) == 32
        assert [one.entry.id for one in arrears.holds()] == ["open"]
        assert dict(arrears.accounts()) == arrears.balances(["all"])
    assert not isinstance(arrears.reserve(hold("after", 1, caps=(cap(100),)), now=NOW + 2), Reservation)
    assert usd(real) == usd(arrears) == (278, 20)
    assert real.balances(["all"])["all"].refused == 1
    assert len(list(real.journal())) == 32
    assert [one.entry.id for one in real.holds()] == ["open"]
    assert_books_balance(real)
    gone, back = messages(log)
    assert gone.startswith("calls go unchecked and are counted in memory (fail_safe=False) until the ledger is back: ")
    assert gone.endswith("it is a folder; name the file of the ledger in it")
    assert back == "the ledger is back, limits bind again; 32 arrears were written"


def test_ledger_away_from_the_start(file, log):
    """A ledger that cannot even be opened at start is opened later, and gets what was spent."""
    file.mkdir(parents=True)
    arrears = FallbackLedger(lambda: open_ledger(file))
    arrears.settle(line("c", 5), ("all",), amounts(5), now=NOW)
    assert len(messages(log)) == 1
    file.rmdir()
    arrears.settle(line("d", 6), ("all",), amounts(6), now=NOW + 2)
    assert usd(open_ledger(file)) == (11, 0)


def test_holds_given_back_while_away(arrears, real, away):
    """A call that held before, and failed without cost while the ledger was away, holds nothing when it is back."""
    reserve(arrears, "c", 10)
    arrears._real.close()
    with outage(real, away):
        assert arrears.release("c", now=NOW) is True
        assert arrears.release("other", now=NOW) is False
    arrears.sweep(now=NOW + 2)
    assert usd(real) == (0, 0)
    assert real.holds() == []


def test_correction_while_away(arrears, real, away):
    """A call booked by estimate before is corrected by the figure that came while the ledger was away."""
    arrears.settle(line("c", 10, Status.ESTIMATED), ("all",), amounts(10), now=NOW)
    arrears._real.close()
    with outage(real, away):
        arrears.settle(line("c", 7), ("all",), amounts(7), now=NOW)
    arrears.sweep(now=NOW + 2)
    assert usd(real) == (7, 0)
    assert_books_balance(real)


def test_retries_at_most_once_a_second(log):
    """Two callers in one second ask the ledger once; a caller in the next second asks again."""
    tries = []

    def fail():
        tries.append(1)
        raise LedgerError("open", "x", "broken")

    arrears = FallbackLedger(fail)
    for moment in (0, 0.3, 0.9, 1.1, 1.5, 2.0, 2.2, 5, 5.9, -100):
        arrears.settle(line(f"c{moment}"), ("all",), amounts(), now=NOW + moment)
    assert len(tries) == 1 + 5
    assert len(messages(log)) == 1


def test_slow_tries_are_spared(file):
    """A ledger that hangs rather than fails costs one caller its wait, others nothing, and is then left alone longer."""
    tries, hanging, go_on = [], threading.Event(), threading.Event()

    def open_it():
        tries.append(1)
        if len(tries) == 3:
            hanging.set()
            go_on.wait(60)
            time.sleep(0.3)
        if len(tries) <= 3:
            raise LedgerError("open", "x", "hangs")
        return open_ledger(file)

    arrears = FallbackLedger(open_it)
    arrears.reserve(hold("a", 1), now=NOW)
    slow = threading.Thread(target=arrears.reserve, args=(hold("b", 1),), kwargs={"now": NOW + 10})
    slow.start()
    assert hanging.wait(60)
    for n in range(100):
        arrears.reserve(hold(f"c{n}", 1), now=NOW + 20)  # none of them waits, or the test hangs here
    go_on.set()
    slow.join(60)
    arrears.sweep(now=NOW + 10 + 2.9)
    assert len(tries) == 3, "ten times as long as it took are not over"
    arrears.sweep(now=NOW + 500)
    assert len(tries) == 4
    assert usd(open_ledger(file)) == (0, 102)


def test_nothing_is_lost_beyond_what_is_remembered(file, log):
    """Of more calls than are remembered one by one the older are summed, by accounts: few lines, every nano-dollar."""
    file.mkdir(parents=True)
    arrears = FallbackLedger(lambda: open_ledger(file), remembered=100)
    for n in range(1000):
        accounts = ("all", f"user={n % 2}")
        reserve(arrears, f"c{n:04}", n, accounts=accounts)
        arrears.settle(line(f"c{n:04}", n, at=NOW + n), accounts, amounts(n), now=NOW)
        if n % 10 == 0:
            arrears.refuse(line(f"r{n}", n), accounts, now=NOW)
    assert len(list(arrears.journal())) <= 100
    whole = sum(range(1000))
    assert usd(arrears) == (whole, 0)
    assert arrears._owed.usd() == whole
    file.rmdir()
    arrears.sweep(now=NOW + 2)
    real = open_ledger(file)
    assert usd(real) == (whole, 0)
    assert usd(real, "user=0") == (sum(range(0, 1000, 2)), 0)
    assert real.balances(["all"])["all"].settled.calls == 1000
    sums = [one for one in real.journal() if one.id.startswith("arrears:")]
    assert {one.id for one in sums} == {"arrears:c0000", "arrears:c0001"}
    counted = sum(int(one.reason.removeprefix("arrears of ").removesuffix(" calls")) for one in sums)
    assert counted + len([one for one in real.journal() if one.id.startswith("c")]) == 1000
    assert sum(one.cost for one in real.journal() if one.status is not Status.REFUSED) == whole


def test_hold_of_a_summed_call_is_given_back(arrears, real, away):
    """A call that held in the ledger and was then settled into a sum holds nothing when the ledger is back."""
    reserve(arrears, "c", 10)
    arrears._real.close()
    arrears._owed._remembered = 3
    with outage(real, away):
        arrears.settle(line("c", 9), ("all",), amounts(9), now=NOW)
        for n in range(10):
            arrears.settle(line(f"d{n}", 1), ("all",), amounts(1), now=NOW)
    arrears.sweep(now=NOW + 2)
    assert usd(real) == (19, 0)
    assert real.holds() == []


def test_mistakes_are_not_outages(arrears, log):
    """What no ledger could write is the caller's to know; the ledger is not taken for broken."""
    with pytest.raises(Unwritable):
        arrears.settle(line("c"), ("all",), Amounts(usd=-1), now=NOW)
    with pytest.raises(Unwritable):
        arrears.settle(line("c", model="\ud800"), ("all",), amounts(), now=NOW)
    assert messages(log) == []


def test_what_can_never_be_booked_does_not_block_the_rest(arrears, real, away, log):
    """An arrear that the ledger will never take is logged and dropped; all others are written."""
    arrears._real.close()
    with outage(real, away):
        arrears.settle(line("bad", 5, model="\ud800"), ("all",), amounts(5), now=NOW)
        arrears.settle(line("good", 7), ("all",), amounts(7), now=NOW)
    arrears.sweep(now=NOW + 2)
    assert usd(real) == (7, 0)
    (error,) = messages(log, "ERROR")
    assert error.startswith("call bad of the arrears can never be booked and is dropped: ")


def test_close_is_the_last_chance(arrears, real, away, log):
    """Closing writes the arrears if the ledger is back; what is lost with the process is said, in dollars."""
    arrears._real.close()
    with outage(real, away):
        arrears.settle(line("c"), ("all",), amounts(), now=NOW)
        arrears.close()
        assert messages(log, "ERROR") == ["ledger still away at close: $0.0075 could not be booked"]
    arrears.close()
    assert usd(real) == (7_500_000, 0)


def test_notes_and_sweeps_while_away(arrears, real, away):
    """Loop counts go on in memory while the ledger is away, and holds taken meanwhile still expire."""
    arrears._real.close()
    with outage(real, away):
        for expected in (b"", b"x", b"xx"):
            note = arrears.update_note("k", lambda note: ((note or b"") + b"x", note or b""), now=NOW)
            assert note == expected
        reserve(arrears, "c", 10, expires_at=NOW + 0.5)
        presumed = line("c", 10, Status.PRESUMED, reason="expired")
        assert arrears.sweep(now=NOW + 0.6) == [presumed]
        assert arrears.prune(before=NOW + 1000) == 0
    arrears.sweep(now=NOW + 2)
    assert list(real.journal()) == [presumed]
    assert arrears.update_note("k", lambda note: (note, note), now=NOW) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_arrears_are_the_parents(run_python, file):
    """A child forked in an outage does not write its parent's arrears a second time, nor keep its own back."""
    script = """
import os, sys
from dataclasses import replace
from pathlib import Path
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.fallback import FallbackLedger
from ledgers.samples import *
file = Path(sys.argv[1])
file.mkdir(parents=True)
arrears = FallbackLedger(lambda: open_ledger(file), remembered=5)
for n in range(20):
    arrears.settle(line(f"c{n}", 1), ("all",), amounts(1), now=NOW)
child = os.fork()
for n in range(20):
    arrears.settle(line(f"{child}.{n}", 10 if child else 100), ("all",), amounts(10 if child else 100), now=NOW)
if child:
    os.waitpid(child, 0)
else:
    file.rmdir()
arrears.sweep(now=NOW + 2)
arrears.close()
if child:
    print(usd(open_ledger(file)))
"""
    done = run_python(f"import sys; sys.path[:0] = {sys.path!r}\n{script}", str(file))
    assert done.stdout == f"({20 + 200 + 2000}, 0)\n"


def test_racing_threads_lose_nothing(file, log):
    """Threads spend while the ledger goes and comes back many times: every call is booked exactly once."""
    flaky = Flickering(open_ledger(file))
    arrears = FallbackLedger(lambda: flaky, retry_every=0)
    clock = count()

    def spend(thread):
        for n in range(150):
            call, now = f"t{thread}.{n}", NOW + next(clock)
            asked = replace(hold(call, 10), expires_at=NOW + 10**9)
            arrears.reserve(asked, now=now)
            if n % 5 == 0:
                arrears.release(call, now=now)
            else:
                arrears.settle(line(call, 9), ("all",), amounts(9), now=now)

    threads = [threading.Thread(target=spend, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flaky.mended = True
    arrears.sweep(now=NOW + 10**8)
    real = open_ledger(file)
    assert usd(real) == (6 * 120 * 9, 0)
    assert real.holds() == []
    assert len(list(real.journal())) == 720
    assert_books_balance(real)
    assert flaky.failed
    assert len(messages(log)) >= 2, "it went, and it came back"


class Flickering:
    """A real ledger that works for 60 calls, fails for 6, and so on, until it is mended."""

    def __init__(self, ledger):
        self.ledger, self.calls, self.mended, self.failed = ledger, count(), False, False

    def __getattr__(self, name):
        if next(self.calls) % 66 >= 60 and not self.mended:
            self.failed = True
            raise LedgerError(name, "flickering", "away")
        return getattr(self.ledger, name)
