"""fail_safe=False, where two rules meet: a hold, a note or an event loop, and a ledger that goes and comes back."""

import asyncio
from contextlib import contextmanager

import pytest

from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Busy, LedgerError, NoteChange
from agent_fuse.ledgers.fallback import FallbackLedger
from agent_fuse.testing import assert_books_balance
from ledgers.samples import NOW, amounts, cap, hold, line, reserve, usd

TIGHT = (cap(100),)


@pytest.fixture
def real(file):
    """The ledger behind."""
    return open_ledger(file)


@pytest.fixture
def arrears(real):
    """A ledger that lets calls go when the one behind is away."""
    return FallbackLedger(lambda: real)


@contextmanager
def failing(real, kind=LedgerError):
    """Writes fail meanwhile, as on a disk that is gone, or kept busy by others."""

    def fail(operation, work):
        raise kind(operation, "the file", "it is away (simulated)")

    write, real._database.write = real._database.write, fail
    try:
        yield
    finally:
        real._database.write = write


def later(arrears):
    """The next caller, after a while, finds the ledger back."""
    arrears._now += 10
    arrears.used_up((), now=arrears._now)


def refused_for_more(arrears, real):
    assert reserve(arrears, "c", 10, caps=TIGHT)
    assert not reserve(arrears, "c", 200, caps=TIGHT), "its first hold stays"
    with failing(real):
        return arrears.release("c", now=NOW)


def taken_in_an_outage(arrears, real):
    with failing(real):
        assert reserve(arrears, "c", 10)
    later(arrears)
    assert usd(real) == (0, 10)
    with failing(real):
        return arrears.release("c", now=arrears._now)


def booked_twice(arrears, real):
    assert reserve(arrears, "c", 10)
    with failing(real):
        arrears.settle(line("c", 7), ("all",), amounts(7), now=NOW)
        return not arrears.release("c", now=NOW)


def expired(arrears, real):
    assert reserve(arrears, "c", 7, expires_at=NOW + 1)
    assert len(arrears.sweep(now=NOW + 2)) == 1
    with failing(real):
        return not arrears.release("c", now=NOW + 2)


def given_back_before(arrears, real):
    assert reserve(arrears, "c", 10)
    assert arrears.release("c", now=NOW)
    with failing(real):
        return not arrears.release("c", now=NOW)


@pytest.mark.parametrize(
    ("story", "spent"),
    [(refused_for_more, 0), (taken_in_an_outage, 0), (booked_twice, 7), (expired, 7), (given_back_before, 0)],
)
def test_a_hold_and_an_outage(arrears, real, story, spent):
    """What a call held is given back once, or booked once, whichever part of its life the outage cut off."""
    assert story(arrears, real)
    later(arrears)
    assert usd(real) == (spent, 0)
    assert real.holds() == []
    assert_books_balance(real)


@pytest.mark.parametrize("may", [True, False])
def test_a_note_that_forbids_a_tool_counts_while_away(arrears, real, may):
    """A loop stops a tool though the ledger is away: what the note says may not be counted is not."""
    with failing(real):
        answer = arrears.count(hold("c", 5), NoteChange("k", lambda _: (b"x", may)), now=NOW)
        assert (answer is not None) is may
        assert usd(arrears) == (5 * may, 0)
    later(arrears)
    assert usd(real) == (5 * may, 0)


@pytest.mark.parametrize("in_loop", [True, False])
def test_a_ledger_that_is_only_busy(arrears, real, in_loop):
    """In an event loop what can be booked later is told so, and limits bind on; what must be answered now goes."""

    async def looped(work):
        return work()

    def run(work):
        return asyncio.run(looped(work)) if in_loop else work()

    def book():
        arrears.settle(line("c", 7), ("all",), amounts(7), now=NOW)

    with failing(real, Busy):
        if in_loop:
            with pytest.raises(Busy):
                run(book)
        else:
            run(book)
        assert arrears.owes() is not in_loop
        assert run(lambda: reserve(arrears, "d", 200, caps=TIGHT)), "it is away: caps are not asked"
