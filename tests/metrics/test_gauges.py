"""Gauges: how full each limit is by the ledger, what is blind, and whether the ledger answers."""

import logging

import apsw
import pytest

from agent_fuse.errors import SentinelBudgetExceeded, SentinelSystemError
from agent_fuse.fuse import Fuse
from agent_fuse.ledgers.base import LedgerError, Meter
from agent_fuse.ledgers.controls import Control, TopUp
from agent_fuse.ledgers.memory import MemoryLedger
from agent_fuse.limits import Limit
from agent_fuse.otel import opening
from agent_fuse.settings import settings
from agent_fuse.telemetry.watched import MAX_ACCOUNTS, SECONDS, Watched
from agent_fuse.testing import LedgerReader

from .desk import desk, read

CAP, SPENT, HELD, USED = (f"agent_fuse.limit.{name}" for name in ("cap", "spent", "held", "utilization"))


def figures(one, limit):
    """cap, spent, held, utilization of a limit, collected at once."""
    seen = read(one.reader)
    return tuple(
        [value for attributes, value in seen[name] if attributes["agent_fuse.limit"] == limit]
        for name in (CAP, SPENT, HELD, USED)
    )


def test_a_limit_per_session_shows_its_fullest_session():
    """Without session ids, the session nearest to its cap stands for the limit, in all four gauges alike."""
    one = desk(budget=1)
    one.call(told=(10_000, 0), session="small")
    one.call(told=(100_000, 0), session="big")
    held = one.open(session="big", estimate=(1000, 0))
    assert figures(one, "$1.00 per session") == ([1.0], [0.25], [0.0025], [0.2525])
    one.fuse.close_call(held)
    books = LedgerReader(one.fuse.ledger)
    assert figures(one, "$1.00 per session")[1] == [float(books.spent_usd("session=big"))]


def test_every_meter_and_key():
    """Counts are counts, a limit per agent shows each agent, a limit on everything shows before any call."""
    one = desk(limits=(Limit(calls=10, per="all"), Limit(tokens=1000, per="agent")))
    assert figures(one, "10 calls in all") == ([10], [0], [0], [0])
    one.call(agent="a", told=(100, 50))
    one.call(agent="b", told=(1, 1))
    assert figures(one, "10 calls in all") == ([10], [2], [0], [0.2])
    spent = {
        attributes["agent_fuse.limit.key"]: value
        for attributes, value in one.points(SPENT)
        if "agent_fuse.limit.key" in attributes
    }
    assert spent == {"a": 150, "b": 2}


def test_a_cap_is_shown_as_it_was_raised():
    one = desk(limits=(Limit(calls=2, per="all"),))
    one.call()
    one.call()
    more = Control(account="all", top_ups=(TopUp(meter=Meter.CALLS, amount=6),)).written()
    assert one.fuse.ledger.control("all", None, more, now=one.fuse.clock())
    assert figures(one, "2 calls in all") == ([8], [2], [0], [0.25])


def test_sessions_are_shown_one_by_one_when_asked_for():
    """metrics_session=True gives each session, and each user, a series of its own."""
    one = desk(limits=(Limit(usd=1), Limit(usd=5, per="user.id")), metrics_session=True)
    one.call(session="x")
    one.call(session="y")
    assert {attributes["agent_fuse.limit.key"] for attributes, _ in one.points(USED)} == {"x", "y", "(none)"}


def test_many_sessions_stay_one_series():
    """A limit that sessions bring with amounts of their own is one series; accounts are watched within bounds."""
    one = desk(limits=(Limit(usd=1),))
    for number in range(MAX_ACCOUNTS + 50):
        one.call(session=f"s{number}", limits=(Limit(usd=1 + number),), told=(1, 1))
    assert [attributes for attributes, _ in one.points(CAP)] == [
        {
            "agent_fuse.limit": "usd per session, its own",
            "agent_fuse.limit.per": "session",
            "agent_fuse.limit.meter": "usd",
        }
    ]


def test_a_session_that_is_over_is_forgotten():
    """An account that no call has met for a quarter of an hour does not keep an alert alive."""
    one = desk(limits=(Limit(usd=1), Limit(calls=9, per="all")))
    watched = Watched(one.fuse)
    watched.met(one.open().call.payload.due, 1000.0)
    assert len(watched.read(1000.0 + SECONDS)[1]) == 2
    assert [dict(left.attributes)["agent_fuse.limit.per"] for left in watched.read(1000.1 + SECONDS)[1]] == ["all"]


def test_a_cap_of_zero_is_full():
    """A limit of nothing is used up from the start."""
    one = desk(budget=0)
    with pytest.raises(SentinelBudgetExceeded):
        one.open()
    assert figures(one, "$0.00 per session") == ([0], [0], [0], [1])


def test_gauges_take_no_write_lock(tmp_path):
    """While another process writes to the ledger, gauges are read all the same."""
    path = str(tmp_path / "ledger.db")
    one = desk(budget=1, db_path=path, max_retries=0)
    one.call()
    writer = apsw.Connection(path)
    writer.execute("BEGIN IMMEDIATE")
    assert one.total("agent_fuse.ledger.spent") == float(LedgerReader(one.fuse.ledger).spent_usd("all")) > 0
    assert one.total("agent_fuse.ledger.errors") == 0
    writer.execute("ROLLBACK")
    writer.close()


def test_a_second_fuse_takes_the_place_of_the_first():
    """After `init()` with other settings, the limits shown are the new ones, and counters go on."""
    one = desk(budget=1)
    one.call()
    before = one.total("agent_fuse.cost")
    new = opening.open_fuse(settings({}, budget=2, db_path="memory://"))
    one.meters.follow(new, instead_of=one.fuse)
    one.call()
    one.fuse = new
    one.call()
    assert {attributes["agent_fuse.limit"] for attributes, _ in one.points(CAP)} == {"$2.00 per session"}
    assert one.total("agent_fuse.cost") == pytest.approx(3 * before)


def test_blind_spots_are_shown():
    """One series of 1 for each blind spot in words, and a 0 when nothing is blind."""
    spots = []
    one = desk(blind=lambda: spots)
    assert one.points("agent_fuse.blind") == [({"agent_fuse.blind.spot": "none"}, 0)]
    spots += ["the sampler X drops spans: calls in them pass the span gates", "OTEL_SDK_DISABLED=true: no span is made"]
    assert one.points("agent_fuse.blind") == [
        ({"agent_fuse.blind.spot": "OTEL_SDK_DISABLED=true"}, 1),
        ({"agent_fuse.blind.spot": "the sampler X drops spans"}, 1),
    ]


def test_warnings_are_counted():
    """Each share of a limit that is passed counts once, under the limit's words and the share."""
    one = desk(budget=1)
    one.call(told=(240_000, 0))
    for _ in range(3):
        one.call(told=(1, 1))
    assert one.points("agent_fuse.warnings") == [
        (
            {
                "agent_fuse.warning.kind": "limit",
                "agent_fuse.limit": "$1.00 per session",
                "agent_fuse.warning.share": "0.5",
            },
            1,
        )
    ]


class Broken(MemoryLedger):
    """A ledger that stops answering."""

    broken = False

    def _fail(self, operation):
        if self.broken:
            raise LedgerError(operation, "broken.db", "disk I/O error")

    def reserve(self, hold, *, now):
        self._fail("reserve")
        return super().reserve(hold, now=now)

    def settle(self, entry, accounts, amounts, *, now):
        self._fail("settle")
        return super().settle(entry, accounts, amounts, now=now)

    def balances(self, accounts, *, now=None):
        self._fail("balances")
        return super().balances(accounts, now=now)


def test_a_failing_ledger_is_counted_and_gauges_fall_silent():
    """fail_safe: refused calls have the reason system, failures count by operation, nothing made up is shown."""
    one = desk(budget=1)
    ledger = Broken()
    fuse = Fuse(settings({}, budget=1, max_retries=0), ledger)
    one.meters.follow(fuse, instead_of=one.fuse)
    one.fuse = fuse
    one.call()
    assert one.points(SPENT)
    ledger.broken = True
    with pytest.raises(SentinelSystemError):
        one.open()
    seen = read(one.reader)
    assert SPENT not in seen
    assert "agent_fuse.ledger.spent" not in seen
    failures = {
        attributes["agent_fuse.ledger.operation"]: value for attributes, value in seen["agent_fuse.ledger.errors"]
    }
    assert failures["reserve"] == 1
    assert failures["balances"] >= 1
    assert [point["agent_fuse.refused.reason"] for point, value in seen["agent_fuse.trips"] if value] == ["system"]
    assert one.total("agent_fuse.calls") == 1


def test_a_ledger_that_is_away_is_counted_where_calls_go_on(tmp_path, caplog):
    """fail_safe=False: calls go on and are counted, and each failed try of the ledger shows."""
    caplog.set_level(logging.CRITICAL, "agent_fuse")
    one = desk(budget=1, fail_safe=False, db_path=str(tmp_path / "ledger.db"))
    one.call()
    fuse = one.fuse
    ledger = Broken()
    fuse.ledger._real = ledger
    ledger.broken = True
    one.call()
    assert one.total("agent_fuse.ledger.errors") >= 1
    assert one.total("agent_fuse.calls") == 2
