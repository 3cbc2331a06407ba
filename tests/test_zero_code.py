"""Zero-code: `AGENTFUSE_BUDGET=… opentelemetry-instrument python agent.py` guards an agent that knows nothing of it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_fuse.calls import Status, Usage, to_nanos
from agent_fuse.ledgers import open_ledger
from agent_fuse.testing import LedgerReader, LoopbackProvider, assert_books_balance

INSTRUMENT = str(Path(sys.executable).parent / "opentelemetry-instrument")

AGENT = """
import openai

client = openai.OpenAI(api_key="test", max_retries=0)
for turn in range(12):
    try:
        client.chat.completions.create(model="gpt-4o", max_tokens=500, messages=[{"role": "user", "content": "Go on."}])
    except Exception as error:
        print("the agent goes on after", error)
    print("turn", turn)
"""

GUARDED = """
from agent_fuse.otel.process_guard import process_guard
print("guarded" if process_guard() else "not guarded")
"""

CALL = to_nanos("0.0075")
"""What a call costs: 1,000 input and 500 output tokens of gpt-4o."""


def package(folder: Path, entries: dict[str, str], text: str) -> None:
    """A distribution in `folder` whose entry points, a name for each group, are all the class Entry of its module."""
    info = folder / "aaa-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aaa\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "\n".join(f"[{group}]\n{name} = aaa_module:Entry" for group, name in entries.items())
    )
    (folder / "aaa_module.py").write_text(text)


class Ran:
    """What became of the agent."""

    def __init__(self, done: subprocess.CompletedProcess[str], provider: LoopbackProvider, ledger: Path) -> None:
        self.status = done.returncode
        self.out = done.stdout
        self.err = done.stderr
        self.requests = provider.count
        self.ledger = ledger

    @property
    def books(self) -> LedgerReader:
        return LedgerReader(open_ledger(str(self.ledger)))


@pytest.fixture
def run(tmp_path: Path) -> Any:
    (tmp_path / "agent.py").write_text(AGENT)
    (tmp_path / "guarded.py").write_text(GUARDED)

    def run(*command: str, wrapped: bool = True, options: tuple[str, ...] = (), **environ: str) -> Ran:
        ledger = tmp_path / "ledger.db"
        with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as provider:
            env = {
                **os.environ,
                "OPENAI_BASE_URL": provider.openai_base_url,
                "OTEL_TRACES_EXPORTER": "none",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_LOGS_EXPORTER": "none",
                "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "langchain,openai,anthropic",  # slow to load, and not used
                "AGENTFUSE_DB_PATH": str(ledger),
                **environ,
            }
            env = {name: value for name, value in env.items() if value}
            line = [*([INSTRUMENT, *options] if wrapped else []), sys.executable, *(command or ("agent.py",))]
            done = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
            return Ran(done, provider, ledger)

    return run


@pytest.mark.parametrize(
    ("command", "environ"),
    [
        (("agent.py",), {}),
        (("-m", "agent"), {"OTEL_TRACES_SAMPLER": "always_off"}),
        (("agent.py",), {"OTEL_SDK_DISABLED": "true"}),
    ],
    ids=["script", "module, always_off", "SDK disabled"],
)
def test_an_unmodified_agent_is_stopped(run: Any, command: tuple[str, ...], environ: dict[str, str]) -> None:
    """The agent, which swallows every Exception, ends with the trip's one line and status 1; nothing more is sent."""
    ran = run(*command, AGENTFUSE_BUDGET="0.03", AGENTFUSE_SESSION_ID="night", **environ)
    assert ran.status == 1
    assert ran.requests == 4
    assert "the agent goes on" not in ran.out
    last = ran.err.strip().splitlines()[-1]
    assert last.startswith("agent_fuse.errors.SentinelBudgetExceeded: call to "), ran.err
    assert last.endswith("of the limit of $0.03 per session 'night'; raise the limit or start a new session")
    books = ran.books
    assert books.spent("session=night") == 4 * CALL
    assert [entry.status for entry in books.entries()] == [Status.SETTLED] * 4 + [Status.REFUSED]
    assert books.open_holds() == []
    assert_books_balance(books.ledger)


def test_nothing_is_limited_unless_asked_for(run: Any) -> None:
    """Being installed is no surprise: without an AGENTFUSE_* variable the agent runs to its end and no ledger is made."""
    ran = run(AGENTFUSE_DB_PATH="", AGENTFUSE_BUSY_WAIT="")
    assert (ran.status, ran.requests, ran.err) == (0, 12, "")
    assert not (Path(os.environ["HOME"]) / ".agent_fuse").exists()


BROKEN = {
    "a distro, and no exporter that it names": ({}, {"OTEL_TRACES_EXPORTER": "nonesuch"}),
    "a distro that raises": ({"opentelemetry_distro": "broken"}, {"OTEL_PYTHON_DISTRO": "broken"}),
    "a configurator that raises": ({"opentelemetry_configurator": "broken"}, {"OTEL_PYTHON_CONFIGURATOR": "broken"}),
    "no distro": ({}, {"OTEL_PYTHON_DISTRO": "none", "OTEL_PYTHON_CONFIGURATOR": "none"}),
    "no instrumentation wanted": ({}, {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}),
}
"""What is wrong with a telemetry set-up: entry points that raise, by group, and variables."""


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_telemetry_set_up_leaves_the_guard_standing(run: Any, tmp_path: Path, what: str) -> None:
    """OpenTelemetry gives up on itself and runs the program all the same; it is guarded all the same, and told so."""
    entries, environ = BROKEN[what]
    if entries:
        made = "no()" if "opentelemetry_distro" in entries else "pass"
        package(
            tmp_path / "path",
            entries,
            f"""
def no(*_, **__):
    raise RuntimeError("meant to be broken")

class Entry:
    configure = instrument = no

    def __init__(self):
        {made}
""",
        )
        environ = {**environ, "PYTHONPATH": str(tmp_path / "path")}
    ran = run("guarded.py", AGENTFUSE_BUDGET="0.03", **environ)
    assert ran.out == "guarded\n", ran.err
    assert ("RuntimeError: meant to be broken" in ran.err) == bool(entries)
    told = [line for line in ran.err.splitlines() if line.startswith("agent-fuse: ")]
    assert len(told) == 1
    assert told[0].startswith(f"agent-fuse: guarding $0.03 per session; ledger {ran.ledger}; requests of openai 3.")


def test_another_instrumentation_that_fails_does_not_let_the_agent_run_on(run: Any, tmp_path: Path) -> None:
    """The whole way: OpenTelemetry stops setting itself up, and the agent is stopped at its limit."""
    raises = "class Entry:\n    def instrument(self, **_):\n        raise RuntimeError('broken')\n"
    package(tmp_path / "path", {"opentelemetry_instrumentor": "aaa"}, raises)
    ran = run(AGENTFUSE_BUDGET="0.03", PYTHONPATH=str(tmp_path / "path"))
    assert (ran.status, ran.requests) == (1, 4), ran.err
    assert "RuntimeError: broken" in ran.err


def test_the_distro_that_was_asked_for_comes_up(run: Any, tmp_path: Path) -> None:
    """We come first among the distros, and hand on to the one that is named."""
    text = """
from opentelemetry.instrumentation.distro import BaseDistro
class Entry(BaseDistro):
    def _configure(self, **kwargs):
        print("my distro")
"""
    package(tmp_path / "path", {"opentelemetry_distro": "mine"}, text)
    environ = {"AGENTFUSE_BUDGET": "0", "OTEL_PYTHON_CONFIGURATOR": "none", "PYTHONPATH": str(tmp_path / "path")}
    ran = run("guarded.py", options=("--dist=mine", "--service_name", "x"), **environ)
    assert ran.out == "my distro\nguarded\n", ran.err


@pytest.mark.parametrize(
    ("words", "wanted", "left"),
    [
        ("python agent.py --distro x", None, "python agent.py --distro x"),
        ("--distro x python agent.py", "x", "python agent.py"),
        ("--distro=x --id_generator y python agent.py", "x", "--id_generator y python agent.py"),
        ("--id_generator --distro --dist x python", "x", "--id_generator --distro python"),
        ("--disabled_instrumentations distro python", None, "--disabled_instrumentations distro python"),
        ("--distro", "", ""),
        ("--version", None, "--version"),
    ],
)
def test_the_option_of_the_command_that_names_a_distro(words: str, wanted: str | None, left: str) -> None:
    """It is taken from the command's own options, in any form that the command takes, and from nothing else."""
    from agent_fuse.running.early import taken

    arguments = ["opentelemetry-instrument", *words.split()]
    assert taken(arguments) == wanted
    assert arguments[1:] == left.split()


def test_no_option_of_the_command_is_ours() -> None:
    """The command makes an option of each name that begins with OTEL in a module that it loads: ours has none."""
    from agent_fuse.running import early

    assert [name for name in dir(early) if name.startswith("OTEL")] == []


def test_it_can_be_turned_off_by_name(run: Any) -> None:
    """Among the disabled instrumentations AgentFuse guards nothing, and says so."""
    ran = run(
        "guarded.py",
        AGENTFUSE_BUDGET="0",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="langchain, openai,anthropic, agent_fuse",
    )
    assert ran.out == "not guarded\n"
    assert ran.err == (
        "agent-fuse: NOT guarding this process: OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names agent_fuse\n"
    )


def test_any_option_asks_for_it(run: Any) -> None:
    """With any option, be it an empty budget, the default of 1.00 USD holds, and every call is booked."""
    ran = run(AGENTFUSE_SESSION_ID="night", AGENTFUSE_BUDGET=" ")
    assert (ran.status, ran.requests) == (0, 12), ran.err
    assert ran.books.spent("session=night") == 12 * CALL
    assert [line for line in ran.err.splitlines() if not line.startswith("agent-fuse: ")] == []


def test_a_bad_option_does_not_let_the_agent_run(run: Any) -> None:
    """One with a bad budget does not run unguarded: it ends with status 2 and one line, no crash of the interpreter."""
    ran = run("guarded.py", AGENTFUSE_BUDGET="five")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == (
        "agent-fuse: AGENTFUSE_BUDGET is 'five', which is not an amount of USD; write a number such as 5.00\n"
    )


def test_a_ledger_that_cannot_be_opened_does_not_let_the_agent_run(run: Any, tmp_path: Path) -> None:
    """fail_safe, the default, holds at start too."""
    (tmp_path / "file").write_text("")
    ran = run("guarded.py", AGENTFUSE_BUDGET="5", AGENTFUSE_DB_PATH=str(tmp_path / "file" / "ledger.db"))
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"agent-fuse: cannot guard: ledger {ran.ledger.parent}/file/ledger.db: open failed: Not")
    assert ran.err.count("\n") == 1


def test_availability_lets_the_agent_run(run: Any, tmp_path: Path) -> None:
    """With fail_safe=False the agent runs although the ledger cannot be opened, and it is said."""
    (tmp_path / "file").write_text("")
    ran = run(AGENTFUSE_FAIL_SAFE="false", AGENTFUSE_DB_PATH=str(tmp_path / "file" / "ledger.db"))
    assert (ran.status, ran.requests) == (0, 12), ran.err
    assert str(tmp_path / "file") in ran.err


def test_without_opentelemetry_instrument_nothing_happens(run: Any) -> None:
    """The variables alone do not guard: something must load AgentFuse."""
    ran = run(wrapped=False, AGENTFUSE_BUDGET="0.01")
    assert (ran.status, ran.requests) == (0, 12), ran.err


def test_the_instrumentor_by_hand(run_python: Any) -> None:
    """`AgentFuseInstrumentor().instrument()` and `.uninstrument()` turn the gate on and off, whoever turned it on."""
    script = """
import openai, openai._base_client as base
from opentelemetry.sdk.trace import TracerProvider
from agent_fuse import AgentFuseInstrumentor, AgentFuseSpanProcessor
from agent_fuse.otel import instrumentor

plain = base.BaseClient._build_request
one = AgentFuseInstrumentor()
assert not one.is_instrumented_by_opentelemetry
one.instrument()
assert one.is_instrumented_by_opentelemetry and instrumentor.gated("openai")
one.uninstrument()
assert base.BaseClient._build_request is plain and not one.is_instrumented_by_opentelemetry
AgentFuseSpanProcessor(budget=1, db_path="memory://")
assert one.is_instrumented_by_opentelemetry and instrumentor.gated("openai")
one.uninstrument()
assert base.BaseClient._build_request is plain
"""
    run_python(script)


def test_the_instrumentor_takes_the_provider_it_is_given(run_python: Any) -> None:
    """With an option set, the processor goes on the provider that is given, and its sampler is wrapped."""
    script = """
import os
os.environ["AGENTFUSE_BUDGET"] = "0"
os.environ["AGENTFUSE_DB_PATH"] = "memory://"
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from agent_fuse import AgentFuseInstrumentor, AgentFuseSampler, SentinelBudgetExceeded

provider = TracerProvider(sampler=ALWAYS_OFF)
tracer = provider.get_tracer("any")
AgentFuseInstrumentor().instrument(tracer_provider=provider)
assert isinstance(provider.sampler, AgentFuseSampler)
try:
    tracer.start_span("chat", attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"})
except SentinelBudgetExceeded as trip:
    print(trip)
"""
    assert "refused before it was sent" in run_python(script).stdout
