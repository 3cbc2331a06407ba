"""The public API as a snapshot: names and signatures. A change here is a change for every user; say so in CHANGELOG."""

import inspect
from decimal import Decimal

import pytest

import agent_fuse
from agent_fuse import Limit, monitor, post_flight, pre_flight, session

NAMES = {
    "AgentFuseInstrumentor",
    "AgentFuseSampler",
    "AgentFuseSpanProcessor",
    "Alert",
    "AlertKind",
    "ConfigurationError",
    "Fact",
    "HandCall",
    "Limit",
    "Price",
    "SentinelBudgetExceeded",
    "SentinelBudgetExceededError",
    "SentinelError",
    "SentinelException",
    "SentinelLoopError",
    "SentinelSystemError",
    "UnknownModelError",
    "Usage",
    "UsageStats",
    "agent",
    "boundary",
    "call",
    "charge",
    "check_loop",
    "doctor",
    "guard",
    "final",
    "init",
    "loop_guard",
    "monitor",
    "remaining",
    "post_flight",
    "pre_flight",
    "read_ledger",
    "session",
    "session_from",
    "session_headers",
    "trip_of",
}

LEADING = {
    "init": ["budget", "fail_safe", "session_id", "db_path", "loop_threshold", "loop_detection_enabled"],
    "pre_flight": ["model", "estimated_input_tokens", "estimated_output_tokens", "messages", "prompt"],
    "call": ["model", "estimated_input_tokens", "estimated_output_tokens", "messages", "prompt"],
    "post_flight": ["model", "input_tokens", "output_tokens", "metadata"],
    "guard": ["model"],
    "check_loop": ["tool_name", "args", "session_id"],
    "loop_guard": ["tool_name"],
    "monitor": ["session"],
    "remaining": [],
    "session": ["id", "budget"],
}
"""Arguments that may be given by position, in their order: those of the original package where it has them."""


def test_the_names():
    """`__all__` is exactly this, sorted; whoever adds a name adds it here."""
    assert list(agent_fuse.__all__) == sorted(agent_fuse.__all__)
    assert set(agent_fuse.__all__) == NAMES


@pytest.mark.parametrize("name", LEADING)
def test_the_arguments_by_position(name):
    """Code written for the original package goes on working, by position and by name."""
    parameters = inspect.signature(getattr(agent_fuse, name)).parameters.values()
    found = [one.name for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert found == LEADING[name]


def test_every_public_name_is_documented():
    """Each public class and function says what it is."""
    for name in agent_fuse.__all__:
        assert (inspect.getdoc(getattr(agent_fuse, name)) or "").strip(), name


def test_the_figures_of_monitor():
    """UsageStats shows the original's fields."""
    assert [name for name, one in agent_fuse.UsageStats.__dataclass_fields__.items() if one.repr] == [
        "total_spend_usd",
        "total_input_tokens",
        "total_output_tokens",
        "total_calls",
        "session_spend_usd",
        "session_calls",
        "budget_remaining_usd",
        "budget_limit_usd",
    ]


def test_monitor_tells_the_budget_that_binds(box):
    """Inside a session with a budget of its own, that one is told; of other meters and keys none is a budget."""
    box(budget=5, limits=(Limit(calls=3), Limit(usd=9, per="user.id")))
    assert monitor().budget_limit_usd == 5
    with session("run", budget="0.02"):
        pre_flight("gpt-4o", 1000, 500)
        told = monitor()
        assert (told.budget_limit_usd, told.budget_remaining_usd) == (Decimal("0.02"), Decimal("0.0125"))
        post_flight("gpt-4o", 4000, 2000)
        assert monitor().budget_remaining_usd == 0, "overspent is nothing left, not less"
    with session("other", limits=Limit(usd=1, per="user.id")):
        assert monitor().budget_limit_usd == 5
    box(limits=(Limit(calls=3), Limit(usd=9, per="user.id")))
    assert (monitor().budget_limit_usd, monitor().budget_remaining_usd) == (None, None)
