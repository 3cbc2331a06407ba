"""Warnings before the stop: once per share of a limit, per key, across processes; a nudge before a loop trips."""

import logging
import threading
from decimal import Decimal

import pytest

import agent_fuse
from agent_fuse import Alert, AlertKind, Limit, SentinelBudgetExceeded, SentinelLoopError, check_loop, control, monitor
from agent_fuse.manual.pre_post_flight import post_flight, pre_flight
from boxes import PRICE


def spend(times: int, session: str = "test") -> None:
    with agent_fuse.session(session):
        for _ in range(times):
            pre_flight("gpt-4o", 1000, 500)
            post_flight("gpt-4o", 1000, 500)


def test_each_share_warns_once(box, caplog):
    """At 50, 80 and 95 % of the budget the callback gets one alert each, with its figures, and a log record."""
    seen: list[Alert] = []
    box(budget=Decimal("0.15"), on_warning=seen.append)  # 20 calls
    with caplog.at_level(logging.WARNING, "agent_fuse"):
        spend(9)
        assert seen == []
        spend(11)
    assert [one.share for one in seen] == [0.5, 0.8, 0.95]
    first = seen[0]
    assert (first.kind, first.session, first.meter, first.limit) == (
        AlertKind.LIMIT,
        "test",
        "usd",
        "$0.15 per session 'test'",
    )
    assert (first.spent, first.held, first.budget_limit) == (Decimal("0.0675"), Decimal("0.0075"), Decimal("0.15"))
    assert first.message.startswith("50% of the limit of $0.15 per session 'test' is used: $0.0675 spent and $0.0075")
    assert [one.agent_fuse_alert for one in caplog.records if hasattr(one, "agent_fuse_alert")] == seen


def test_each_key_warns_for_itself(box):
    """Two sessions pass their own halves; the whole passes its own."""
    seen: list[Alert] = []
    box(budget=Decimal("0.03"), limits=[Limit(calls=4, per="all")], on_warning=seen.append, warn_at=0.5)
    spend(2, "one")
    spend(2, "two")
    assert [(one.session, one.limit) for one in seen] == [
        ("one", "$0.03 per session 'one'"),
        ("one", "4 calls in all"),
        ("two", "$0.03 per session 'two'"),
    ]
    assert (seen[1].meter, seen[1].spent, seen[1].held, seen[1].budget_limit) == ("calls", 1, 1, 4)


def test_one_big_call_passes_several_shares(box):
    """A call that jumps from nothing to 96 % announces every share on its way, in order."""
    seen: list[Alert] = []
    box(budget=Decimal("0.0078"), on_warning=seen.append)
    spend(1)
    assert [one.share for one in seen] == [0.5, 0.8, 0.95]


def test_once_across_processes_and_restarts(box, tmp_path, run_python):
    """Another process on the same ledger does not repeat what was announced, and announces what is new."""
    seen: list[Alert] = []
    path = str(tmp_path / "shared.db")
    box(budget=Decimal("0.15"), on_warning=seen.append, db_path=path)
    spend(10)
    assert [one.share for one in seen] == [0.5]
    script = f"""
import agent_fuse
seen = []
agent_fuse.init(budget="0.15", db_path={path!r}, session_id="test", on_warning=seen.append)
for _ in range(6):
    agent_fuse.pre_flight("gpt-4o", 1000, 500)
    agent_fuse.post_flight("gpt-4o", 1000, 500)
print([one.share for one in seen])
"""
    assert run_python(script).stdout.strip() == "[0.8]"
    spend(3)
    assert [one.share for one in seen] == [0.5, 0.95]


def test_once_among_threads(box):
    """Threads that pass a share at the same moment announce it once."""
    seen: list[Alert] = []
    box(budget=Decimal("0.15"), on_warning=seen.append)
    threads = [threading.Thread(target=spend, args=(1,)) for _ in range(20)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(one.share for one in seen) == [0.5, 0.8, 0.95]


def test_a_raised_limit_warns_anew(box, tmp_path):
    """A limit of another size is another limit: its shares are announced for themselves."""
    seen: list[Alert] = []
    path = str(tmp_path / "one.db")
    box(budget=Decimal("0.015"), on_warning=seen.append, db_path=path, warn_at=0.5)
    spend(2)
    box(budget=Decimal("0.06"), on_warning=seen.append, db_path=path, warn_at=0.5)
    spend(2)
    assert [one.limit for one in seen] == ["$0.015 per session 'test'", "$0.06 per session 'test'"]


def test_a_top_up_warns_anew(box):
    """The shares are of the limit as it was raised: after it was used up, and before any of it was."""
    seen: list[Alert] = []
    box(budget=Decimal("0.015"), on_warning=seen.append, warn_at=0.5)  # 2 calls
    spend(2)
    control.top_up("test", "0.045")  # 8 in all
    spend(1)
    assert len(seen) == 1
    spend(1)
    assert [(one.share, one.budget_limit) for one in seen] == [(0.5, Decimal("0.015")), (0.5, Decimal("0.06"))]
    assert seen[1].limit == "$0.015 per session 'test' topped up by $0.045"
    control.top_up("early", "0.045")
    spend(3, "early")
    assert len(seen) == 2
    spend(5, "early")
    assert [one.session for one in seen] == ["test", "test", "early"]


def test_nothing_is_asked_of_the_ledger_until_a_share_is_passed(box, monkeypatch):
    """The hot path compares figures it has anyway: after the day's first call no note is read before a share is passed."""
    rig = box(budget=Decimal("0.15"), on_warning=lambda _: None, loop_detection_enabled=False)
    asked = []
    real = rig.fuse.ledger.update_note
    monkeypatch.setattr(
        rig.fuse.ledger, "update_note", lambda *args, **named: asked.append(args[0]) or real(*args, **named)
    )
    spend(9)
    assert asked == ["day/sum"]
    spend(5)
    assert asked == ["day/sum", "warned/usd/150000000/session=test"]


def test_warnings_can_be_off(box):
    """`warn_at=()` warns of nothing, and `warn_at` in any order is sorted."""
    seen: list[Alert] = []
    box(budget=Decimal("0.015"), on_warning=seen.append, warn_at=())
    spend(2)
    assert seen == []


def test_the_callback_may_use_agent_fuse_and_may_fail(box, caplog):
    """The callback runs outside the fuse: it may look at the spend and even make calls; what it raises is logged."""
    figures = []

    def warned(alert: Alert) -> None:
        figures.append(monitor().session_calls)
        with agent_fuse.session("alerts"):
            pre_flight("gpt-4o-mini", 10, 10)
            post_flight("gpt-4o-mini", 10, 10)
        raise ValueError("from the callback")

    rig = box(budget=Decimal("0.03"), on_warning=warned, warn_at=0.25)
    spend(2)
    assert figures == [0]
    assert "on_warning failed" in caplog.text
    assert rig.spent("alerts") > 0
    assert rig.spent() == 2 * PRICE + rig.spent("alerts")


def test_a_trip_in_the_callback_stays_there(box):
    """A call that the callback makes and that is refused does not refuse the call that was warned of."""

    def warned(alert: Alert) -> None:
        pre_flight("gpt-4o", 10**9, 0)

    rig = box(budget=Decimal("0.015"), on_warning=warned, warn_at=0.5)
    spend(2)
    assert rig.spent() == 2 * PRICE


def test_a_refusal_is_no_warning(box):
    """A call that is refused holds nothing, and so passes no share."""
    seen: list[Alert] = []
    box(budget=Decimal("0.001"), on_warning=seen.append)
    with pytest.raises(SentinelBudgetExceeded):
        pre_flight("gpt-4o", 1000, 500)
    assert seen == []


def test_a_loop_is_nudged_before_it_trips(box):
    """Before the call that trips, the callback gets a message fit to hand to the model; no arguments are in it."""
    seen: list[Alert] = []
    box(budget=1, on_warning=seen.append, loop_threshold=3)
    for _ in range(3):
        check_loop("search", {"query": "secret"})
    assert [(one.kind, one.tool, one.session) for one in seen] == [(AlertKind.LOOP, "search", "test")] * 2
    assert "secret" not in seen[0].message
    assert "`search` 2 times" in seen[0].message
    with pytest.raises(SentinelLoopError):
        check_loop("search", {"query": "secret"})
    assert len(seen) == 2


def test_tool_limits_warn_too(box):
    """A limit on tool calls passes its shares like any other."""
    seen: list[Alert] = []
    box(limits=Limit(tool_calls=4), on_warning=seen.append, warn_at=0.75)
    for number in range(4):
        check_loop("search", {"query": number})
    assert [(one.meter, one.share, one.budget_limit) for one in seen] == [("tool_calls", 0.75, 4)]
