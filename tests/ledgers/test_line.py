"""Places in line, in every ledger: what those before a call wait for is held for them, for as long as they say so."""

from dataclasses import replace

import pytest

from agent_fuse.ledgers.base import LAST, Cap, Meter, Refusal, Reservation
from agent_fuse.ledgers.controls import Control, Waiter, read_one
from ledgers.samples import NOW, cap, hold


def line(ledger, *waiting):
    """Those stand in it."""
    said = Control(account="all", waiting=waiting).written()
    assert ledger.control("all", ledger.controls(["all"]).get("all"), said, now=NOW)


def waiter(amount, since=NOW, id="w", **more):
    return Waiter(
        **{"since": since, "id": id, "on": "all", "meter": Meter.USD, "amount": amount, "until": NOW + 1, **more}
    )


def ask(ledger, usd, place, call="a", now=NOW):
    return ledger.reserve(replace(hold(call, usd, accounts=("all",), caps=(cap(100, "all"),)), place=place), now=now)


def test_what_others_wait_for_is_held_for_them(ledger):
    line(ledger, waiter(90))
    refused = ask(ledger, 20, LAST)
    assert refused == Refusal(cap(100, "all"), 0, 90, 20, ahead=90)
    assert refused.busy
    assert ledger.holds() == []
    assert isinstance(ask(ledger, 10, LAST), Reservation), "there is room for both"


def test_who_came_first_and_who_does_not_stand_in_line_pass_by(ledger):
    line(ledger, waiter(90))
    assert isinstance(ask(ledger, 20, (NOW - 1, "z")), Reservation)
    assert isinstance(ask(ledger, 20, (NOW, "a"), "b"), Reservation), "at the same moment, the lower id"
    assert isinstance(ask(ledger, 20, (NOW, "w"), "c"), Reservation), "its own place"
    assert isinstance(ask(ledger, 20, None, "d"), Reservation)
    assert ask(ledger, 1, (NOW, "x"), "e") == Refusal(cap(100, "all"), 0, 170, 1, ahead=90)


@pytest.mark.parametrize(
    "other",
    [
        waiter(90, until=NOW),
        waiter(90, until=NOW + 1000),
        waiter(90, on="session=s"),
        waiter(90, meter=Meter.TOKENS),
    ],
)
def test_who_says_so_no_more_or_waits_for_something_else_holds_nobody_up(ledger, other):
    """Its time is over; or its clock is wrong; or it is another account, or another meter."""
    line(ledger, other)
    assert isinstance(ask(ledger, 20, LAST), Reservation)


def test_tools_stand_in_line_too(ledger):
    line(ledger, waiter(1, meter=Meter.TOOL_CALLS))
    one = Cap("all", Meter.TOOL_CALLS, 1)
    asked = hold("t", 0, accounts=("all",), caps=(one,))
    asked = replace(asked, amounts=replace(asked.amounts, tool_calls=1))
    assert ledger.count(replace(asked, place=LAST), now=NOW) == Refusal(one, 0, 1, 1, ahead=1)
    assert isinstance(ledger.count(asked, now=NOW), Reservation)


def test_places_are_read_as_they_were_written():
    one = Control(account="all", waiting=(waiter(90),))
    assert read_one("all", one.written()) == one
    assert one.in_force_at(NOW + 1).written() is None
