"""`monitor`: the figures of a session, in it, after it and from another process, under the limit that leaves the least."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from agent_fuse import ConfigurationError, Limit, SentinelBudgetExceeded, call, check_loop, monitor, session
from agent_fuse.spend import KNOWN

COST = Decimal("0.0075")


def spend(times=1):
    for _ in range(times):
        with call("gpt-4o", 1000, 500):
            pass  # it tells no usage: booked at its quote


def test_after_the_session(box):
    """After its block, `monitor("run-1")` and `monitor(session=…)` tell what the session spent and what its own budget left."""
    box(budget=1)
    with session("run-1", budget="0.10") as run:
        spend(2)
    for found in (monitor("run-1"), monitor(session="run-1"), monitor(run)):
        assert (found.session_spend_usd, found.session_calls) == (2 * COST, 2)
        assert (found.budget_limit_usd, found.budget_remaining_usd) == (Decimal("0.1"), Decimal("0.085"))
        assert found.total_calls == 2


def test_after_the_session_without_its_name(box):
    """Outside any session `monitor()` tells of the one left last, until calls that name none have a session to tell of."""
    box(budget=1, session_id=None)
    with session("run-1", budget="0.10"):
        spend()
        with session("inner"):
            spend(2)
    found = monitor()
    assert (found.session_spend_usd, found.session_calls) == (3 * COST, 3)
    assert (found.budget_limit_usd, found.budget_remaining_usd) == (Decimal("0.1"), Decimal("0.0775"))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(monitor).result().session_calls == 0, "another thread has left none"
    spend()
    assert (monitor().session_calls, monitor().budget_limit_usd) == (1, 1)


def test_a_session_of_ones_own_choice_is_told_of(box):
    """Who names the session of the calls that name none is told of that one, before its first call too."""
    box(budget=1, session_id="notebook")
    with session("run-1"):
        spend()
    assert monitor().session_calls == 0


def test_in_another_process(box, tmp_path):
    """A process that was never in the session reads its budget in the ledger; one that nobody was in has the fuse's."""
    box(budget=1, db_path=str(tmp_path / "l.db"))
    with session("run-1", budget="0.10"):
        spend()
    KNOWN._sessions.clear()
    found = monitor("run-1")
    assert (found.session_spend_usd, found.budget_limit_usd, found.budget_remaining_usd) == (
        COST,
        Decimal("0.1"),
        Decimal("0.0925"),
    )
    assert monitor("run-2").budget_limit_usd == 1


def test_nested_sessions_show_the_tightest(box):
    """What remains is what the tightest session around leaves, while inside and afterwards."""
    box(budget=5)
    with session("outer", budget="0.02"):
        spend()
        with session("inner", budget="1"):
            spend()
            inside = monitor()
        assert monitor().budget_remaining_usd == Decimal("0.005")
    for found in (inside, monitor("inner")):
        assert found.session_spend_usd == COST
        assert (found.budget_limit_usd, found.budget_remaining_usd) == (Decimal("0.02"), Decimal("0.005"))


def test_a_limit_on_everything_counts(box):
    """A limit on the whole ledger, or on the user whose session it is, is the one that is told where it leaves less."""
    box(limits=(Limit(usd=5), Limit(usd="0.03", per="user.id"), Limit(usd="0.02", per="all"), Limit(calls=1_000)))
    with session("run-1", user_id="ann"):
        spend()
        assert monitor().budget_remaining_usd == Decimal("0.0125")
    with session("run-2", user_id="bob"):
        spend()
    assert (monitor("run-1").budget_limit_usd, monitor("run-1").budget_remaining_usd) == (
        Decimal("0.02"),
        Decimal("0.005"),
    )
    assert monitor().budget_limit_usd == Decimal("0.02")


def test_without_any_budget(box):
    """Without a limit in USD nothing remains to be told."""
    box(limits=Limit(calls=9))
    assert monitor("run-1").budget_remaining_usd is None


def test_an_empty_name(box):
    """A name that is none is an error in one line."""
    box(budget=1)
    with pytest.raises(ConfigurationError, match="monitor session is ''; it must be a text that is not empty"):
        monitor("")


def test_sessions_are_not_remembered_for_ever(box):
    """Of very many sessions the latest are remembered; the others are still read in the ledger."""
    box(budget=1)
    for number in range(1_100):
        with session(f"run-{number}", budget="0.5"):
            pass
    assert KNOWN.get("run-0") is None
    assert KNOWN.get("run-1099") is not None
    assert len(KNOWN._sessions) <= 1_000


@pytest.mark.parametrize("path", ["memory://", "ledger.db"])
def test_what_a_session_spent_is_told_apart(box, tmp_path, path):
    """By model, agent and tool with the sessions inside, and by each of those; refused calls and other sessions not."""
    box(budget=1, db_path=path if "://" in path else str(tmp_path / path))
    with session("other"):
        spend()
    with session("outer"):
        spend()
        with session("inner"):
            spend()
            with session("innermost"):
                spend()
                check_loop("search", {"query": "x"})
        with session("second"), call("gpt-4o-mini", 1000, 500):
            pass
        with pytest.raises(SentinelBudgetExceeded), call("gpt-4o", 10**9, 1):
            pass
    found = monitor("outer")
    small = Decimal("0.00045")
    assert {name: (one.usd, one.calls) for name, one in found.by("model").items()} == {
        "gpt-4o": (3 * COST, 3),
        "gpt-4o-mini": (small, 1),
    }
    assert {
        name: (one.usd, one.calls, one.input_tokens, one.output_tokens) for name, one in found.by("agent").items()
    } == {"": (3 * COST + small, 4, 4000, 2000)}
    assert {name: (one.usd, one.calls) for name, one in found.by("tool").items()} == {"search": (0, 1)}
    assert [(name, one.usd, one.calls) for name, one in found.by("child").items()] == [
        ("inner", 2 * COST, 2),
        ("second", small, 1),
    ]
    assert sum(one.usd for one in found.by("model").values()) == found.session_spend_usd
    with pytest.raises(ConfigurationError, match="did you mean agent"):
        found.by("agents")


def test_sessions_inside_of_another_process_are_told_apart(box, tmp_path, run_python):
    """The ledger knows which ran inside which, three deep, when the process that ran them is gone."""
    path = str(tmp_path / "ledger.db")
    script = """
import sys
import agent_fuse
from agent_fuse import call, session
agent_fuse.init(budget=1, db_path=sys.argv[1])
with session("outer"):
    for name in ("first", "second"):
        with session(name), session(name + "'s own"), call("gpt-4o", 1000, 500):
            pass
"""
    run_python(script, path)
    box(budget=1, db_path=path)
    found = monitor("outer").by("child")
    assert {name: (one.usd, one.calls) for name, one in found.items()} == {"first": (COST, 1), "second": (COST, 1)}
    assert monitor("outer").by("model")["gpt-4o"].calls == 2
