"""Pace: dollars an hour, and the time until a cap at this rate."""

import pytest

from agent_fuse import control
from agent_fuse.accounting.published_limits import LimitPublisher, PublishedLimit
from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Amounts, Meter
from agent_fuse.ledgers.reading import Sums, open_reader
from agent_fuse.limits import Limit
from agent_fuse.views import burn_rate
from agent_fuse.views.burn_rate import measure
from agent_fuse.views.limit_status import LimitStatus

NOW = 1_800_000_000.0


@pytest.fixture
def ledger(tmp_path):
    """A ledger whose fuse caps sessions at $1.00, agents at 100 calls, everything at $10.00, users at $5.00."""
    found = open_ledger(tmp_path / "ledger.db")
    found.path = tmp_path / "ledger.db"
    limits = (Limit(usd=1), Limit(calls=100, per="agent"), Limit(usd=10, per="all"), Limit(usd=5, per="user.id"))
    LimitPublisher(found, limits).post(now=NOW)
    yield found
    found.close()


def spend(ledger, ago, usd, session="s", agent="a"):
    """Book a call so many seconds ago."""
    call = f"{session}{agent}{ago}"
    entry = Entry(id=call, at=NOW - ago, status=Status.SETTLED, session=session, agent=agent, model="m", cost=usd)
    accounts = ["all", f"session={session}", f"agent={agent}", "user.id=u"]
    ledger.settle(entry, accounts, Amounts(usd=usd, calls=1), now=NOW)


def pace(ledger, window=300.0):
    """The pace just now."""
    reader = open_reader(ledger.path)
    try:
        return measure(reader, {}, now=NOW, window=window)
    finally:
        reader.close()


def test_rate_and_time_until_each_cap(ledger):
    """Ten cents in the last five minutes are $1.20 an hour; each cap lasts for what is left at its own rate."""
    spend(ledger, 4_000, 300_000_000)
    spend(ledger, 100, 60_000_000)
    spend(ledger, 50, 40_000_000, session="t")
    found = pace(ledger)
    assert found.seconds == 300.0
    assert found.hourly(found.recent.cost) == 1_200_000_000
    until = {one.account: seconds for one, seconds in found.limits}
    assert until["session=s"] == pytest.approx(640 / 60 * 300)
    assert until["session=t"] == pytest.approx(960 / 40 * 300)
    assert until["all"] == pytest.approx(9_600 / 100 * 300)
    assert until["agent=a"] == pytest.approx(97 / 2 * 300)
    assert until["user.id=u"] is None
    assert [one.account for one, _ in found.limits] == ["session=s", "session=t", "agent=a", "all", "user.id=u"]


def test_a_young_ledger_is_judged_by_its_age(ledger):
    """A ledger whose first call is a minute old is judged by that minute, and never by less than ten seconds."""
    spend(ledger, 60, 60_000_000)
    assert pace(ledger).hourly(pace(ledger).recent.cost) == 3_600_000_000
    spend(ledger, 1, 1)
    assert pace(ledger).seconds == 60.0


def test_first_call_just_now(ledger):
    """One call a second ago counts as ten seconds of spending, not as one."""
    spend(ledger, 1, 10_000_000)
    assert pace(ledger).seconds == 10.0


def test_reached_and_idle(ledger):
    """A reached cap has no time left and stands first; where nothing was spent lately no time is told."""
    spend(ledger, 5_000, 1_000_000_000, session="full")
    spend(ledger, 5_000, 1_000_000, session="idle")
    found = pace(ledger)
    until = {one.account: seconds for one, seconds in found.limits}
    assert until["session=full"] == 0.0
    assert until["session=idle"] is None
    assert found.limits[0][0].account == "session=full"
    assert found.recent.cost == 0


def test_empty_ledger(ledger):
    """Nothing spent is a pace of zero."""
    found = pace(ledger)
    assert (found.hourly(found.recent.cost), found.by) == (0, {"session": [], "agent": [], "model": []})


@pytest.mark.parametrize("meter", list(Meter))
def test_every_meter_has_a_pace(meter):
    """Whatever a limit counts, `top` can tell when it is reached, or that no pace leads there."""
    status = LimitStatus(
        account="all", cap=PublishedLimit(per="all", meter=meter, amount=100), spent=40, held=0, refused=0
    )
    recent = Sums(calls=5, tool_calls=5, cost=5, input_tokens=3, output_tokens=5)
    reached = burn_rate._until(status, recent, 10.0)
    expected = {Meter.CONCURRENT: None, Meter.SECONDS: 60.0, Meter.TOKENS: 75.0}
    assert reached == expected.get(meter, 120.0)


@pytest.mark.parametrize("account", ["session=s", "all"])
def test_what_is_stopped_never_gets_there(ledger, account):
    """No time is told until a cap whose account is stopped, or with everything; it stands behind those that are spent on."""
    spend(ledger, 5_000, 990_000_000)
    spend(ledger, 100, 5_000_000)
    spend(ledger, 50, 40_000_000, session="t")
    control.stop(account, db_path=str(ledger.path))
    found = {one.account: (one.stopped, seconds is None) for one, seconds in pace(ledger).limits}
    assert found["session=s"] == (True, True)
    assert found["session=t"] == ((False, False) if account != "all" else (True, True))
    if account != "all":
        assert pace(ledger).limits[0][0].account == "session=t"
