"""What the original package's README promises, run as its users would; client and LangChain snippets are elsewhere."""

import subprocess
import sys
from decimal import Decimal

import pytest

import agent_fuse
from agent_fuse import SentinelBudgetExceeded, SentinelLoopError, SentinelSystemError, loop_guard

MANUAL = """
from agent_fuse import init, pre_flight, post_flight, monitor

init(budget=5.00)
pre_flight("gpt-4o", estimated_input_tokens=1000)
post_flight("gpt-4o", input_tokens=950, output_tokens=500)
stats = monitor()
print(f"Spent: ${stats.total_spend_usd:.4f}")
print(f"Remaining: ${stats.budget_remaining_usd:.2f}")
print(stats.total_input_tokens, stats.total_output_tokens, stats.total_calls, stats.session_calls, stats.budget_limit_usd)
"""

LOOPS = """
from agent_fuse import init, check_loop, SentinelLoopError

init(budget=5.00, loop_threshold=5)
tools = {"search": lambda query: [query]}

def execute_tool(tool_name, args):
    try:
        check_loop(tool_name, args)
    except SentinelLoopError as e:
        print(f"Agent stuck! {e}")
        print(f"Signature: {e.signature}")
        print(e.call_count, e.pattern == e.signature)
        raise
    return tools[tool_name](**args)

done = 0
try:
    while True:
        execute_tool("search", {"query": "python"})
        done += 1
except SentinelLoopError:
    print(done)
print(execute_tool("search", {"query": "rust"}))
"""

PROGRAMMATIC = """
from agent_fuse import init, monitor, pre_flight
init(
    budget=10.00,
    fail_safe=True,
    session_id="my-agent-run-123",
    db_path={path!r},
    loop_threshold=5,
    loop_detection_enabled=True,
)
print(pre_flight("gpt-4o", 1).session, monitor().budget_limit_usd)
"""

ENVIRONMENT = """
from agent_fuse import check_loop, init, monitor, pre_flight, SentinelBudgetExceeded
init()
print(monitor().budget_limit_usd)
for _ in range(9):
    check_loop("tool", 1)
try:
    pre_flight("gpt-4o", 1_000_000)
except SentinelBudgetExceeded as trip:
    print(trip.budget_limit)
"""


@pytest.fixture
def snippet(box, monkeypatch, capsys):
    """Runs a snippet in this process, its `init` on a ledger of the test's own; gives what it printed, by lines."""

    def run(script: str) -> list[str]:
        monkeypatch.setattr(agent_fuse, "init", box)
        exec(script, {})
        return capsys.readouterr().out.splitlines()

    return run


def test_manual_pre_and_post_flight(run_python, home):
    """The manual snippet, run on two days: the spend of all, a session of its own each, the ledger in the home."""
    lines = run_python(MANUAL).stdout.splitlines()
    assert lines == ["Spent: $0.0074", "Remaining: $4.99", "950 500 1 1 5"]
    assert (home / ".agent_fuse" / "guard_v1.db").is_file()
    again = run_python(MANUAL).stdout.splitlines()
    assert again == ["Spent: $0.0148", "Remaining: $4.99", "1900 1000 2 1 5"]


def test_loop_detection_by_hand(snippet):
    """The loop snippet: five identical calls pass, the sixth raises with its signature; other arguments go on."""
    lines = snippet(LOOPS)
    assert lines[0].startswith("Agent stuck! loop: search refused, asked for 6 times")
    assert lines[1:] == ['Signature: search|{"query": "python"}', "6 True", "5", "['rust']"]


def test_loop_guard_as_in_the_readme(box):
    """The decorator snippet: five calls pass, the sixth raises, and different arguments have their own counter."""
    box(budget=5.00)

    @loop_guard()
    def search_web(query: str) -> list[str]:
        return [query]

    for _ in range(5):
        assert search_web("python tutorial") == ["python tutorial"]
    with pytest.raises(SentinelLoopError):
        search_web("python tutorial")
    assert search_web("rust tutorial") == ["rust tutorial"]


def test_programmatic_configuration(snippet, tmp_path):
    """Every argument of the original's init is taken, under its name."""
    path = tmp_path / "agent_fuse.db"
    assert snippet(PROGRAMMATIC.format(path=str(path))) == ["my-agent-run-123 10"]
    assert path.is_file()


def test_the_environment_configures(run_python, monkeypatch, tmp_path):
    """Every AGENTFUSE_* variable of the original's table is read."""
    path = tmp_path / "elsewhere.db"
    for name, value in {
        "BUDGET": "0.50",
        "FAIL_SAFE": "True",
        "DB_PATH": str(path),
        "MAX_RETRIES": "1",
        "LOOP_THRESHOLD": "2",
        "LOOP_DETECTION_ENABLED": "False",
    }.items():
        monkeypatch.setenv(f"AGENTFUSE_{name}", value)
    assert run_python(ENVIRONMENT).stdout.split() == ["0.5", "0.5"]
    assert path.is_file()


def test_without_init_the_defaults_guard(run_python):
    """Calling pre_flight first, without init, guards by the defaults: $1.00 for a session, five identical actions."""
    script = """
import agent_fuse as a
a.pre_flight("gpt-4o", 1000); a.post_flight("gpt-4o", 1, 1)
print(a.monitor().budget_limit_usd, a.api.current().settings.loop_threshold)
"""
    assert run_python(script).stdout.split() == ["1", "5"]


def test_fail_safe_blocks(box, tmp_path):
    """Safety mode, the default: when the database fails, the agent stops, and the exception says what failed."""
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(SentinelSystemError) as failed:
        box(budget=10.00, fail_safe=True, db_path=str(tmp_path / "ledger.db"))
    assert (failed.value.operation, failed.value.retry_count) == ("open", 0)
    assert isinstance(failed.value.original_error, Exception)


def test_availability_mode_lets_go(box, tmp_path, caplog):
    """Availability mode: a warning is logged and the agent goes on."""
    (tmp_path / "ledger.db").mkdir()
    box(budget=10.00, fail_safe=False, db_path=str(tmp_path / "ledger.db"))
    agent_fuse.pre_flight("gpt-4o", 1000, 500)
    agent_fuse.post_flight("gpt-4o", 1000, 500)
    assert agent_fuse.monitor().session_spend_usd == Decimal("0.0075")
    assert "calls go unchecked and are counted in memory" in caplog.text


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o", "gpt-4o-mini", "gpt-4-turbo", "gpt-4", "gpt-3.5-turbo", "o1", "o1-mini",
        "claude-3-opus", "claude-3-sonnet", "claude-3-haiku", "claude-3.5-sonnet", "claude-3.5-haiku",
    ],
)  # fmt: skip
def test_every_model_it_names_is_priced(box, model, caplog):
    """Each model of the original's list has a price of its own, not the fallback."""
    rig = box(budget=100)
    assert rig.fuse.accounting.book.rates(model).origin.name != "FALLBACK"
    assert agent_fuse.pre_flight(model, 1000, 500).quoted_usd > 0


def test_unknown_models_fall_back_to_a_conservative_price(box):
    """A model that nobody knows is not free: it is quoted above the flagships."""
    box(budget=100)
    unknown = agent_fuse.pre_flight("my-own-model", 1000, 500).quoted_usd
    assert unknown > agent_fuse.pre_flight("gpt-4o", 1000, 500).quoted_usd


def test_the_exceptions_carry_their_fields(box):
    """SentinelBudgetExceeded: current_spend, estimated_cost, budget_limit, model, overage."""
    box(budget="0.01")
    agent_fuse.pre_flight("gpt-4o", 1000, 500)
    agent_fuse.post_flight("gpt-4o", 1000, 500)
    with pytest.raises(SentinelBudgetExceeded) as refused:
        agent_fuse.pre_flight("gpt-4o", 1000, 500)
    trip = refused.value
    assert (trip.current_spend, trip.estimated_cost) == (Decimal("0.0075"), Decimal("0.0075"))
    assert (trip.budget_limit, trip.model, trip.overage) == (Decimal("0.01"), "gpt-4o", Decimal("0.005"))


def test_concurrent_agents_share_one_file(tmp_path):
    """WAL: four processes of one session write at once; the budget holds for all of them together."""
    script = """
import sys
from agent_fuse import AgentFuseSpanProcessor, SentinelBudgetExceeded, post_flight, pre_flight
AgentFuseSpanProcessor(budget="0.075", db_path=sys.argv[1], session_id="shared", request_gate=False)
made = 0
try:
    for _ in range(10):
        pre_flight("gpt-4o", 1000, 500)
        post_flight("gpt-4o", 1000, 500)
        made += 1
except SentinelBudgetExceeded:
    pass
print(made)
"""
    path = str(tmp_path / "shared.db")
    workers = [
        subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert sum(int(one.communicate(timeout=60)[0]) for one in workers) == 10
