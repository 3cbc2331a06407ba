"""Caps over windows: rolling ones hold in every interval of their length, a calendar's begin anew at its first moment."""

import random
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_fuse.account_names import current, within
from agent_fuse.calls import Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Amounts, Cap, Meter, Refusal, Reservation
from agent_fuse.ledgers.leasing import LeasingLedger
from agent_fuse.windows import read
from ledgers.samples import NOW, amounts, hold, line

ROLLING = "user@1m=a"
MINUTE = read("1m")


def ask(ledger, call, usd, cap, *, now, name=ROLLING):
    """Reserve on a windowed account under a cap in nano-dollars."""
    booked = within(name, (MINUTE if name == ROLLING else read("day")).interval(now))
    asked = hold(call, usd, accounts=("all", booked), caps=(Cap(current(name, now), Meter.USD, cap),), at=now)
    return ledger.reserve(replace(asked, expires_at=now + 1e6), now=now)


def booked(ledger, call, usd, *, now):
    ledger.settle(line(call, usd, at=now), (), amounts(usd), now=now)


def test_a_rolling_window_lets_go_what_is_older(ledger):
    assert isinstance(ask(ledger, "a", 70, 100, now=NOW), Reservation)
    booked(ledger, "a", 70, now=NOW + 1)
    short = ask(ledger, "b", 70, 100, now=NOW + 59)
    assert isinstance(short, Refusal)
    assert (short.settled, short.held, short.busy) == (70, 0, False)
    assert NOW + 60 <= short.frees_at <= NOW + 61
    assert isinstance(ask(ledger, "b", 70, 100, now=short.frees_at), Reservation)
    assert ledger.balances(["all"], now=NOW)["all"].settled.usd == 70, "what was spent is no less spent"


def test_an_open_hold_counts_until_it_is_settled_and_then_by_its_admission(ledger):
    ask(ledger, "a", 70, 100, now=NOW)
    short = ask(ledger, "b", 70, 100, now=NOW + 600)
    assert isinstance(short, Refusal)
    assert short.busy
    booked(ledger, "a", 60, now=NOW + 601)
    assert isinstance(ask(ledger, "b", 70, 100, now=NOW + 602), Reservation), "it was admitted ten minutes ago"


def test_what_is_booked_after_it_left_counts_for_nothing(ledger):
    """A call that ends long after its window: nothing of it is spent there now, and none of that is taken off others."""
    ask(ledger, "a", 70, 100, now=NOW)
    booked(ledger, "a", 70, now=NOW + 600)
    ask(ledger, "b", 30, 100, now=NOW + 601)
    booked(ledger, "b", 30, now=NOW + 601)
    there = ledger.balances([ROLLING], now=NOW + 602)[ROLLING]
    assert (there.settled.usd, there.held.usd) == (30, 0)
    assert isinstance(ask(ledger, "c", 71, 100, now=NOW + 602), Refusal)
    assert isinstance(ask(ledger, "d", 70, 100, now=NOW + 602), Reservation)


def test_a_hold_without_caps_stands_on_the_window_too(ledger):
    """As in observe mode: it is held where others are judged, and what it spent leaves the window like theirs."""
    asked = hold("a", 70, accounts=("all", within(ROLLING, MINUTE.interval(NOW))), at=NOW, expires_at=NOW + 1e6)
    assert isinstance(ledger.reserve(asked, now=NOW), Reservation)
    short = ask(ledger, "b", 31, 100, now=NOW + 1)
    assert isinstance(short, Refusal)
    assert short.held == 70
    booked(ledger, "a", 70, now=NOW + 2)
    assert isinstance(ask(ledger, "b", 31, 100, now=NOW + 3), Refusal)
    assert isinstance(ask(ledger, "b", 31, 100, now=NOW + 70), Reservation)


def test_a_correction_goes_to_the_bucket_of_admission(ledger):
    ask(ledger, "a", 70, 100, now=NOW)
    ledger.settle(line("a", 70, Status.ESTIMATED, at=NOW), (), amounts(70), now=NOW)
    ask(ledger, "b", 30, 100, now=NOW + 30)
    booked(ledger, "b", 30, now=NOW + 30)
    booked(ledger, "a", 10, now=NOW + 31)
    assert ledger.balances([ROLLING], now=NOW + 32)[ROLLING].settled.usd == 40
    assert ledger.balances([ROLLING], now=NOW + 65)[ROLLING].settled.usd == 30
    assert ledger.balances([ROLLING], now=NOW + 600)[ROLLING].settled.usd == 0


def test_a_call_that_never_fits_is_never_freed(ledger):
    booked_at = ask(ledger, "a", 50, 100, now=NOW)
    assert isinstance(booked_at, Reservation)
    assert ask(ledger, "b", 101, 100, now=NOW).frees_at is None


def test_a_call_as_large_as_its_cap_is_freed_when_the_window_is_empty(ledger):
    ask(ledger, "a", 50, 100, now=NOW)
    booked(ledger, "a", 50, now=NOW)
    short = ask(ledger, "b", 100, 100, now=NOW + 1)
    assert NOW + 60 <= short.frees_at <= NOW + 61
    assert isinstance(ask(ledger, "b", 100, 100, now=short.frees_at), Reservation)


def test_a_calendars_interval_begins_anew(ledger):
    berlin = "user@day:Europe/Berlin=a"
    midnight = datetime(2026, 11, 27, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()

    def take(call, now):
        name = current(berlin, now)
        return ledger.reserve(hold(call, 70, accounts=(name,), caps=(Cap(name, Meter.USD, 100),), at=now), now=now)

    assert isinstance(take("a", midnight - 0.001), Reservation)
    assert isinstance(take("b", midnight - 0.001), Refusal)
    assert isinstance(take("c", midnight), Reservation)
    assert isinstance(take("d", midnight + 80_000), Refusal)


def test_intervals_that_are_long_over_are_dropped(ledger):
    """Each day's account goes with the second day after it, unless a call is open on it."""
    if isinstance(ledger, LeasingLedger):
        pytest.skip("thirty days pass in less than a slice's time: those of days before are held still")
    day = 86_400
    for number in range(30):
        ask(ledger, f"c{number}", 1, 100, now=NOW + number * day, name="user@day=a")
        booked(ledger, f"c{number}", 1, now=NOW + number * day)
    left = [name for name, _ in ledger.accounts() if name.startswith("user@day")]
    assert left == [current("user@day=a", NOW + number * day) for number in (28, 29)]
    ledger.prune(before=NOW + 40 * day)
    assert [name for name, _ in ledger.accounts() if name.startswith("user@day")] == []
    assert ledger.balances(["all"])["all"].settled.usd == 30


def test_a_day_on_which_a_tool_is_held_is_not_dropped(ledger):
    """It is no call, and what it holds is freed on the account that has it."""
    name = current("user@day=a", NOW)
    tool = replace(hold("t", 70, accounts=(name,), expires_at=NOW + 1e7), amounts=Amounts(usd=70, tool_calls=1))
    assert isinstance(ledger.reserve(tool, now=NOW), Reservation)
    ledger.prune(before=NOW + 40 * 86_400)
    assert ledger.balances([name])[name].held.usd == 70
    ledger.release("t", now=NOW)
    assert ledger.balances([name])[name].held.usd == 0


def test_pruning_keeps_what_still_counts(ledger):
    ask(ledger, "a", 70, 100, now=NOW)
    booked(ledger, "a", 70, now=NOW)
    ledger.prune(before=NOW + 30)
    assert isinstance(ask(ledger, "b", 70, 100, now=NOW + 59), Refusal)


ARRIVALS = st.lists(
    st.tuples(st.floats(0, 40), st.integers(1, 60), st.integers(0, 90), st.booleans()), min_size=1, max_size=60
)


@settings(max_examples=60, deadline=None)
@given(arrivals=ARRIVALS, kind=st.sampled_from(["memory", "sqlite"]), start=st.floats(0, 60))
def test_in_no_interval_does_more_than_the_cap_go(arrivals, kind, start, tmp_path_factory):
    """Against a list of every admission: never more in a minute than the cap, never refused what a sixtieth more allows."""
    path = tmp_path_factory.mktemp("windows") / "l.db" if kind == "sqlite" else "memory://"
    ledger, now, admitted = open_ledger(path), NOW + start, []
    for number, (later, usd, cost, settles) in enumerate(arrivals):
        now += later
        last_minute = sum(spent for at, spent, still_open in admitted if still_open or at >= now - 60)
        bit_more = sum(spent for at, spent, still_open in admitted if still_open or at > now - 61)
        if isinstance(ask(ledger, f"c{number}", usd, 100, now=now), Reservation):
            assert last_minute + usd <= 100
            admitted.append((now, min(cost, usd) if settles else usd, not settles))
            if settles:
                booked(ledger, f"c{number}", min(cost, usd), now=now)
        else:
            assert bit_more + usd > 100
    ledger.close()


@pytest.mark.parametrize("meter", [Meter.CALLS, Meter.TOKENS, Meter.OUTPUT_TOKENS, Meter.USD])
def test_every_amount_is_counted_over_a_window(ledger, meter):
    name = within(ROLLING, MINUTE.interval(NOW))
    first = hold("a", 2_000, accounts=(name,), caps=(Cap(ROLLING, meter, getattr(amounts(2_000), meter)),))
    assert isinstance(ledger.reserve(first, now=NOW), Reservation)
    assert isinstance(ledger.reserve(replace(first, entry=line("b", 2_000)), now=NOW), Refusal)


def test_open_calls_are_capped(ledger):
    """`concurrent` counts holds, whatever was settled; the refusal is worth a wait."""
    cap = (Cap("all", Meter.CONCURRENT, 2),)
    for call in "abc":
        answer = ledger.reserve(hold(call, caps=cap), now=NOW)
    assert answer == Refusal(cap[0], 0, 2, 1)
    assert answer.busy
    booked(ledger, "a", 1, now=NOW)
    assert isinstance(ledger.reserve(hold("c", caps=cap), now=NOW), Reservation)


def test_time_is_capped_from_the_first_admission(ledger):
    """`seconds` counts from the first call that was admitted, not from one that was refused."""
    ledger.refuse(line("no"), ("all",), now=NOW)
    cap = (Cap("all", Meter.SECONDS, 60),)
    assert isinstance(ledger.reserve(hold("a", caps=cap), now=NOW + 100), Reservation)
    assert isinstance(ledger.reserve(hold("b", caps=cap), now=NOW + 159.9), Reservation)
    assert ledger.reserve(hold("c", caps=cap), now=NOW + 160) == Refusal(cap[0], 60, 0, 0)
    assert ledger.used_up(cap, now=NOW + 160) == Refusal(cap[0], 60, 0, 0)


def test_the_tightest_limit_is_named(ledger):
    """One that waiting does not help before one that it does; then the most used."""
    ledger.settle(line("old", 90), ("all", "user=a"), amounts(90), now=NOW)
    ledger.reserve(hold("open", 500, accounts=("agent=x",)), now=NOW)
    caps = tuple(Cap(name, Meter.USD, cap) for name, cap in (("agent=x", 501), ("all", 100), ("user=a", 91)))
    for order in range(6):
        shuffled = tuple(random.Random(order).sample(caps, 3))
        asked = hold("c", 20, accounts=("all", "user=a", "agent=x"), caps=shuffled)
        assert ledger.reserve(asked, now=NOW).cap == caps[2]
