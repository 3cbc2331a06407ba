"""Windows in a limit: what can be written, when intervals begin and end, what a refusal says, and two keys at once."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from agent_fuse import Limit, SentinelBudgetExceeded
from agent_fuse.account_names import account, booked_on, current, is_nobodys, key_of, plain, window_of, within
from agent_fuse.errors import ConfigurationError
from agent_fuse.limits import Caller, Session, demand
from agent_fuse.sightings import Outcome
from agent_fuse.windows import Calendar, Rolling, read, window
from fuses import PRICE, Desk


@pytest.mark.filterwarnings("ignore:Limit per='user_id'")
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"window": "soon"}, "a length from '1s' to '366d'"),
        ({"window": "dya"}, "did you mean 'day'?"),
        ({"window": "daily"}, "did you mean 'day'?"),
        ({"window": "1w"}, "did you mean '7d'?"),
        ({"window": "1M"}, "window='1M' may be minutes or months; write '1m', 'month' or '30d'"),
        ({"window": "0s"}, "a length from '1s' to '366d'"),
        ({"window": "367d"}, "a length from '1s' to '366d'"),
        ({"window": "1.5h"}, "a length from '1s' to '366d'"),
        ({"window": 3600}, "a length from '1s' to '366d'"),
        ({"window": "1h", "timezone": "UTC"}, "a rolling window has no time zone"),
        ({"window": "day", "timezone": "Europe/Berln"}, "did you mean 'Europe/Berlin'?"),
        ({"window": "day", "timezone": "berlin"}, "did you mean 'Europe/Berlin'?"),
        ({"window": "day", "timezone": "New York"}, "did you mean 'America/New_York'?"),
        ({"window": "day", "timezone": "nowhere at all"}, "pip install tzdata)"),
        ({"window": "day", "timezone": 1}, "Limit timezone=1"),
        ({"timezone": "UTC"}, "without a window"),
        ({"per": ("user.id", "user_id")}, "two different keys"),
        ({"per": ("user.id", "all")}, "none of them 'all'"),
        ({"per": ("user.id", "model", "agent")}, "a pair is two different keys"),
        ({"per": ()}, "name a key"),
        ({"per": "user.id,model"}, "per=('user.id', 'model')"),
    ],
)
def test_a_window_that_cannot_be(given, words):
    with pytest.raises(ConfigurationError) as caught:
        Limit(calls=5, **given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("meter", ["concurrent", "seconds"])
def test_what_is_not_counted_over_a_window(meter):
    with pytest.raises(ConfigurationError, match=f"Limit {meter}=5 with window='1h'; only usd, tokens"):
        Limit(**{meter: 5, "window": "1h"})


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (Limit(usd=5, window="24h"), "$5.00 per session in any 1d"),
        (Limit(calls=60, per="all", window="60s"), "60 calls in all in any 1m"),
        (Limit(usd=100, per="user.id", window="month", timezone="Europe/Berlin"), "$100.00 per user.id a month (Europe/Berlin)"),
        (Limit(tokens=9, per="all", window="hour"), "9 tokens in all an hour"),
        (Limit(concurrent=8, per="all"), "8 open calls in all"),
        (Limit(seconds=60), "60 seconds per session"),
        (Limit(usd=1, per=("user.id", "gen_ai.request.model")), "$1.00 per user.id and model"),
    ],
)  # fmt: skip
def test_a_limit_says_its_window(limit, words):
    assert str(limit) == words


@pytest.mark.parametrize("text", ["30s", "90s", "15m", "1h", "1d", "30d", "hour", "day:Europe/Berlin", "week", "month"])
def test_a_window_is_read_as_it_is_written(text):
    assert str(read(text)) == text


@pytest.mark.parametrize("unit", ["hour", "day", "week", "month"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham", "Asia/Kathmandu", "Asia/Beirut"])  # fmt: skip
def test_a_calendars_intervals_follow_each_other(unit, zone):
    """Through a year with its changes of clocks: half-open, each ends where the next begins, and its name is its own."""
    of, step = window(unit, zone), {"hour": 1_200, "day": 20_000}.get(unit, 80_000)
    now = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    names, ends = [of.interval(now)], [of.ends(now)]
    for moment in range(int(now), int(now) + 366 * 86_400, step):
        name, end = of.interval(moment), of.ends(moment)
        assert end > moment
        if name != names[-1]:
            assert moment >= ends[-1]
            names.append(name)
            ends.append(end)
        else:
            assert end == ends[-1]
    assert names == sorted(set(names))
    for before, after in pairwise(names):
        assert of.before(after) == before
    for name, end in zip(names, ends, strict=True):
        assert (of.interval(end) == name, of.interval(end - 0.001) == name, of.leaves(name)) == (False, True, end)


def test_the_day_that_clocks_go_back_is_longer():
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 10, 25, tzinfo=berlin).timestamp()
    assert Calendar("day", berlin).ends(start) - start == 25 * 3_600
    week = Calendar("week", berlin)
    assert week.interval(start) == "2026-10-19", "a Monday"
    twice = [datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold).timestamp() for fold in (0, 1)]
    assert len({Calendar("hour", berlin).interval(at) for at in twice}) == 2


def test_accounts_of_windows_have_names_of_their_own():
    """Whatever is in keys and values: no two accounts share a name, and each is read back."""
    windows = [None, Rolling(60), Calendar("day", ZoneInfo("UTC")), Calendar("day", ZoneInfo("Europe/Berlin"))]
    made = {}
    for key in ("user", "user@day", "user@1m", "user=x", "user@day:Europe/Berlin", "user%40day"):
        for value in ("x", "1m=x", "a\x1fb", "@day", "(none)"):
            for over in windows:
                name = account(key, value, over)
                assert made.setdefault(name, (key, value, over)) == (key, value, over)
                assert window_of(name) == over
                assert key_of(current(name, 0.0)) == (key, value.replace("\x1f", "%1F") if over else value)
                assert is_nobodys(current(name, 0.0)) is (value == "(none)")
    assert plain("user@day=x") == "user=x"
    assert booked_on(within("user@1m=x", "000000000001")) == ("user@1m=x", within("user@1m=x", "000000000001"))


def spend(desk, session="s", **facts):
    desk.fuse.close_call(desk.fuse.open_call(desk.ask(session, **facts)), outcome=Outcome.DONE)


def test_a_window_refuses_and_says_until_when():
    """Of the trip: its kind, when it resets, in how many seconds; and in words that an operator can act on."""
    desk = Desk(limits=[Limit(usd=0.02, per="all", window="1h")])
    for _ in range(2):
        spend(desk)
    with pytest.raises(SentinelBudgetExceeded) as caught:
        spend(desk, "another")
    trip = caught.value
    assert (trip.kind, trip.meter, trip.limit) == ("exceeded", "usd", "$0.02 in all in any 1h")
    assert 3_600 <= trip.retry_after <= 3_660
    assert trip.resets_at.timestamp() == pytest.approx(desk.clock() + trip.retry_after)
    assert "; wait until 09:01:00 (UTC) or raise the limit" in str(trip)
    desk.clock.advance(trip.retry_after)
    spend(desk)


def test_a_refusal_that_lasts_past_midnight_says_until_which_day():
    """A time alone would be taken for today's."""
    desk = Desk(limits=[Limit(usd=0.01, per="all", window="2d")])
    spend(desk)
    with pytest.raises(SentinelBudgetExceeded, match=r"wait until 2027-01-17 08:48:00 \(UTC\)"):
        spend(desk)


def test_a_calendars_window_says_its_end_where_the_user_lives():
    desk = Desk(limits=[Limit(calls=1, per="user.id", window="month", timezone="Europe/Berlin")])
    ann = Caller(session=Session(id="s", attributes={"user.id": "ann"}))
    spend(desk, caller=ann)
    with pytest.raises(SentinelBudgetExceeded) as caught:
        spend(desk, caller=ann)
    assert "wait until 2027-02-01 00:00 (Europe/Berlin) or raise the limit on calls" in str(caught.value)
    spend(desk, caller=Caller(session=Session(id="s", attributes={"user.id": "bob"})))
    desk.clock.advance(caught.value.retry_after)
    spend(desk, caller=ann)


def test_open_calls_are_told_as_such():
    desk = Desk(limits=[Limit(concurrent=2, per="all")])
    first, _ = desk.fuse.open_call(desk.ask()), desk.fuse.open_call(desk.ask())
    with pytest.raises(SentinelBudgetExceeded) as caught:
        desk.fuse.open_call(desk.ask())
    assert caught.value.kind == "busy"
    assert "2 calls are open of the limit of 2 open calls in all; try again when one of them has ended" in str(
        caught.value
    )
    desk.fuse.close_call(first, outcome=Outcome.DONE)
    spend(desk)


def test_a_run_that_takes_too_long_is_ended():
    desk = Desk(limits=[Limit(seconds=60)])
    spend(desk)
    desk.clock.advance(61)
    with pytest.raises(SentinelBudgetExceeded, match="61 seconds since the first call of the limit of 60 seconds per"):
        spend(desk)
    spend(desk, "a new one")


def test_two_keys_count_each_combination():
    desk = Desk(limits=[Limit(calls=1, per=("user.id", "model"))])
    caller = {name: Caller(session=Session(id="s", attributes={"user.id": name})) for name in ("ann", "bob", "a,b")}
    for who in caller.values():
        for model in ("gpt-4o", "gpt-4o-mini"):
            spend(desk, caller=who, model=model)
    with pytest.raises(SentinelBudgetExceeded, match=r"1 call per user\.id and model 'ann,gpt-4o'"):
        spend(desk, caller=caller["ann"])


def test_a_new_amount_keeps_the_spend():
    desk = Desk(limits=[Limit(usd=0.02, per="all", window="day")])
    spend(desk)
    again = demand([Limit(usd=1, per="all", window="day")], Caller(session=Session(id="s")), now=desk.clock())
    assert desk.ledger.balances([again.caps[0].account])[again.caps[0].account].settled.usd == PRICE


def test_a_window_and_no_window_of_one_meter_bind_both():
    """A session's own limit takes the place of the fuse's with the same meter and window, and of no other."""
    fuses = [Limit(usd=5), Limit(usd=1, window="1h")]
    own = Session(id="s", limits=(Limit(usd=2, window="60m"),))
    found = demand(fuses, Caller(session=own), now=0.0)
    assert [(cap.account, cap.amount // 10**9) for cap in found.caps] == [("session@1h=s", 2), ("session=s", 5)]


def test_warnings_come_again_in_the_next_interval():
    told = []
    desk = Desk(limits=[Limit(usd=0.01, per="all", window="day")], warn_at=(0.5,), on_warning=told.append)
    spend(desk)
    assert [one.rule for one in told] == ["$0.01 in all a day"]
    desk.clock.advance(86_400)
    spend(desk)
    assert len(told) == 2
