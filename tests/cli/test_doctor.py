"""doctor names the real problem in each of ten broken set-ups, finds a good one good, and lets nothing out."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import agent_fuse
from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Amounts

PROGRAM = Path(sys.executable).with_name("agent-fuse")
HEAD = """
import openai, agent_fuse
from opentelemetry import trace
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
"""

SET_UPS = {
    "good": "agent_fuse.init(budget=1)",
    "no fuse": "OpenAIInstrumentor().instrument()",
    "no instrumentation": """
provider = TracerProvider()
trace.set_tracer_provider(provider)
provider.add_span_processor(agent_fuse.AgentFuseSpanProcessor(budget=1))
""",
    "sampler drops": """
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
provider = TracerProvider(sampler=TraceIdRatioBased(0.1))
trace.set_tracer_provider(provider)
provider.add_span_processor(agent_fuse.AgentFuseSpanProcessor(budget=1))
OpenAIInstrumentor().instrument()
""",
    "sdk disabled": "agent_fuse.init(budget=1)",
    "processor on another provider": """
trace.set_tracer_provider(TracerProvider())
TracerProvider().add_span_processor(agent_fuse.AgentFuseSpanProcessor(budget=1))
OpenAIInstrumentor().instrument()
""",
    "instrumentor bound to another provider": """
OpenAIInstrumentor().instrument(tracer_provider=TracerProvider())
trace.set_tracer_provider(TracerProvider())
agent_fuse.init(budget=1)
""",
    "gate not installed": "agent_fuse.init(budget=1, request_gate=False)",
    "concurrent multi-processor": """
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor
trace.set_tracer_provider(TracerProvider(active_span_processor=ConcurrentMultiSpanProcessor(2)))
agent_fuse.init(budget=1)
""",
    "unwritable ledger": "agent_fuse.init(budget=1, db_path=__file__ + '/ledger.db', fail_safe=False)",
    "unknown model": "agent_fuse.init(budget=1)",
    "incompatible sdk": """
import openai._base_client
del openai._base_client.BaseClient._build_request
agent_fuse.init(budget=1)
""",
    "nothing leaves": """
import sys, socket
agent_fuse.init(budget=1)
print("its own words", sys.argv[1:])
for reach in (lambda: socket.create_connection(("198.51.100.7", 80), 5), lambda: socket.getaddrinfo("example.com", 80)):
    try:
        reach()
    except OSError as error:
        print("stopped:", error)
openai.OpenAI(api_key="x", max_retries=0).models.list()
""",
    "still running": "import time\nagent_fuse.init(budget=1)\ntime.sleep(600)",
}
"""Programs, by what is wrong with them."""

TOLD = {
    "no fuse": ("off", "no AgentFuseSpanProcessor is at work: nothing is guarded"),
    "no instrumentation": ("off", "no instrumentation of a model library is active"),
    "sampler drops": ("blind", "the sampler TraceIdRatioBased{0.1} drops spans"),
    "sdk disabled": ("blind", "OTEL_SDK_DISABLED=true"),
    "processor on another provider": ("blind", "AgentFuse's processor is on another tracer provider"),
    "instrumentor bound to another provider": (
        "blind",
        "makes its spans at a tracer provider that AgentFuse is not on",
    ),
    "gate not installed": ("off", "the request gate is off"),
    "concurrent multi-processor": ("blind", "ConcurrentMultiSpanProcessor"),
    "unwritable ledger": ("blind", "it and its folder must be writable|cannot be made|Not a directory"),
    "unknown model": ("blind", "model 'my-own-model' was called and has no price"),
    "incompatible sdk": ("blind", "openai 3"),
}
"""What doctor must say of them."""


NURSERY = """
import json, os, sys, threading
import openai, anthropic, agent_fuse, agent_fuse.views.checkup, agent_fuse.api
import opentelemetry.instrumentation.anthropic, opentelemetry.instrumentation.langchain
import opentelemetry.instrumentation.openai
import langchain.agents, langchain_openai, langgraph.prebuilt
import genai_prices.data
from agent_fuse.cli import probe
from agent_fuse.quoting.families import Vocabulary
from agent_fuse.quoting.vocabularies import load

load(Vocabulary.O200K)
sys.modules["agent_fuse.cli.probe"] = probe
assert threading.active_count() == 1
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if not child:
        os.environ.update(order["environ"])
        probe.main(order["arguments"])
    os.waitpid(child, 0)
    print("done", flush=True)
"""
"""A process that has loaded everything, and forks a probe for each order: what doctor does, without loading anew."""


def prepare(folder, name):
    """A program's script and environment."""
    home = folder / name.replace(" ", "-")
    home.mkdir()
    script = home / "agent.py"
    script.write_text(HEAD + SET_UPS[name])
    environ = {"HOME": str(home), "AGENTFUSE_DB_PATH": str(home / "ledger.db")}
    if name == "sdk disabled":
        environ["OTEL_SDK_DISABLED"] = "true"
    if name == "unknown model":
        now = time.time()
        ledger = open_ledger(home / "ledger.db")
        entry = Entry(id="a", at=now, status=Status.SETTLED, model="my-own-model", cost=1)
        ledger.settle(entry, ["all"], Amounts(usd=1, calls=1), now=now)
        ledger.close()
    return script, environ


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The facts that a probe finds in each set-up, each in a process of its own."""
    folder = tmp_path_factory.mktemp("set-ups")
    facts = {}
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as nursery:
        for name in SET_UPS:
            script, environ = prepare(folder, name)
            result = script.with_name("facts.json")
            seconds = "5" if name == "still running" else "60"
            arguments = [f"--seconds={seconds}", str(result), str(script), "--its", "-o", "flags"]
            nursery.stdin.write(json.dumps({"environ": environ, "arguments": arguments}) + "\n")
            nursery.stdin.flush()
            while nursery.stdout.readline() not in ("done\n", ""):
                pass
            facts[name] = json.loads(result.read_text("utf-8"))
        nursery.stdin.close()
    return facts


def doctor(folder, name, *options):
    """The command itself."""
    script, environ = prepare(folder, name)
    return subprocess.run(
        [str(PROGRAM), "doctor", *options, str(script), "--its", "-o", "flags"],
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("name", TOLD)
def test_broken_set_up(found, name):
    """The problem is named, with a fix."""
    state, words = TOLD[name]
    facts = found[name]["facts"]
    hits = [one for one in facts if one["state"] == state and any(word in one["what"] for word in words.split("|"))]
    assert hits, facts
    assert all(one["fix"] for one in facts if one["state"] != "ok")


@pytest.mark.parametrize(
    "name",
    [
        "sampler drops",
        "instrumentor bound to another provider",
        "unwritable ledger",
        "unknown model",
        "concurrent multi-processor",
        "incompatible sdk",
    ],
)
def test_names_nothing_else(found, name):
    """Where one thing is broken, the others are not complained of."""
    wrong = [one["what"] for one in found[name]["facts"] if one["state"] != "ok"]
    wrong = [what for what in wrong if "langchain is imported" not in what]  # by the nursery
    assert [what for what in wrong if not any(word in what for word in TOLD[name][1].split("|"))] == []


def test_good_set_up(found):
    """In a good set-up every fact is ok, and each part is told of."""
    facts = found["good"]["facts"]
    assert {one["state"] for one in facts} == {"ok"}, facts
    told = " ".join(one["what"] for one in facts)
    for part in ("self-test", "openai", "request gate", "ledger", "tokens"):
        assert part in told


def test_a_program_that_runs_on(found):
    """A program that does not end is looked at after the time given, and ended."""
    assert found["still running"]["ended"] == "it was still running after 5 s"


def test_nothing_leaves_and_output_stays_apart(tmp_path):
    """The program gets its flags; look-ups and connections fail at once; its words go to stderr, JSON to stdout."""
    done = doctor(tmp_path, "nothing leaves", "--json")
    assert "its own words ['--its', '-o', 'flags']" in done.stderr
    assert done.stderr.count("stopped: ") == 2
    assert "agent-fuse doctor lets nothing leave this machine" in done.stderr
    answer = json.loads(done.stdout)
    assert (answer["schema"], answer["guarded"]) == ("agent-fuse/doctor/1", True)
    assert answer["ended"] == "it ended with APIConnectionError"
    assert done.returncode == 0


def test_broken_set_up_exits_with_one(tmp_path):
    """Something blind is printed with its fix, and the exit code is 1."""
    done = doctor(tmp_path, "unwritable ledger")
    assert done.returncode == 1
    assert re.search(r"^blind   .*ledger.*\n  fix:  .*db_path", done.stdout, re.MULTILINE)
    *_, verdict, unseen = done.stdout.splitlines()
    assert verdict.endswith("to look at.")
    assert "gRPC" in unseen
    assert "curl" in unseen


def test_bare(run, own, monkeypatch):
    """Without a program doctor looks at what init() sets up here, and at the ledger that the environment names."""
    monkeypatch.setenv("AGENTFUSE_DB_PATH", str(own))
    done = subprocess.run([str(PROGRAM), "doctor"], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.startswith("What agent_fuse.init() sets up here.")
    assert f"ok      the ledger {own} can be read and written\n" in done.stdout
    assert done.returncode == 0, done.stdout


def test_doctor_in_code(tmp_path, monkeypatch):
    """agent_fuse.doctor() returns facts, makes no ledger, and tells a bad option of the environment."""
    monkeypatch.setenv("AGENTFUSE_BUDGET", "plenty")
    facts = agent_fuse.doctor(db_path=str(tmp_path / "new" / "ledger.db"))
    assert any(one.state == "blind" and "AGENTFUSE_BUDGET is 'plenty'" in one.what for one in facts)
    assert any("will be made at the first start" in one.what for one in facts)
    assert list(tmp_path.iterdir()) == []


def test_ledger_that_is_none(tmp_path):
    """A file that is no ledger is named, and left alone; so is a folder that is a file."""
    (tmp_path / "notes.txt").write_text("no database" * 99)
    for path in (tmp_path / "notes.txt", tmp_path / "notes.txt" / "ledger.db"):
        (fact,) = [one for one in agent_fuse.doctor(db_path=str(path)) if "ledger" in one.what and one.state == "blind"]
        assert "db_path" in fact.fix
    assert (tmp_path / "notes.txt").read_text() == "no database" * 99


@pytest.mark.parametrize("way", ["opentelemetry-instrument", "agent-fuse run"])
def test_under_a_guard_from_outside_that_guard_is_looked_at(tmp_path, way):
    """Doctor sets nothing up beside it, and says what stands."""
    tools = Path(sys.executable).parent
    first, *rest = way.split()
    command = [str(tools / first), *rest, *(["--"] if rest else []), str(tools / "agent-fuse"), "doctor"]

    environment = {**os.environ, **QUIET, "AGENTFUSE_BUDGET": "5", "AGENTFUSE_DB_PATH": str(tmp_path / "l.db")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.startswith("What guards this process from outside"), done.stderr
    assert "self-test: a trip raised when a span starts reaches the caller" in done.stdout
    assert "sets limits of its own" not in done.stderr
    assert "init()" not in done.stdout


QUIET = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
SLOW = "langchain,openai,anthropic,httpx"  # instrumentations that are slow to load, and not what is looked at

UNGUARDED = {
    "no option": ({}, "off", "zero-code limits nothing while no AGENTFUSE_* option is set", "AGENTFUSE_BUDGET"),
    "turned off by name": (
        {"AGENTFUSE_BUDGET": "5", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": f"{SLOW}, agent_fuse"},
        "off",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names agent_fuse",
        "take agent_fuse out",
    ),
}
"""Zero-code set-ups that guard nothing: environment, and the state, words and mend of the fact that says so."""


@pytest.mark.parametrize("way", ["around doctor", "--auto", "--auto SCRIPT"])
@pytest.mark.parametrize("why", UNGUARDED)
def test_zero_code_that_guards_nothing(tmp_path, way, why):
    """Doctor says so, with the mend that fits, exits with 1, and complains of nothing that comes of it."""
    environment, state, words, mend = UNGUARDED[why]
    (tmp_path / "agent.py").write_text("import openai\n")
    tools = Path(sys.executable).parent
    command = {
        "around doctor": [tools / "opentelemetry-instrument", tools / "agent-fuse", "doctor", "--json"],
        "--auto": [PROGRAM, "doctor", "--auto", "--json"],
        "--auto SCRIPT": [PROGRAM, "doctor", "--auto", "--json", "agent.py"],
    }[way]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AGENTFUSE_")}
    environment = {**plain, **QUIET, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": SLOW, **environment}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["guarded"]) == (1, False), done.stderr
    (wrong,) = [one for one in answer["facts"] if one["state"] != "ok"]
    assert (wrong["state"], words in wrong["what"], mend in wrong["fix"]) == (state, True, True), wrong
    assert not any("judged before it leaves" in one["what"] for one in answer["facts"])


def test_options_alone_load_nothing(tmp_path):
    """A program with options set, and nothing that reads them, is told how to be guarded by them."""
    (tmp_path / "agent.py").write_text("import openai\n")
    done = subprocess.run(
        [PROGRAM, "doctor", "--json", "agent.py"],
        cwd=tmp_path,
        env={**os.environ, "AGENTFUSE_BUDGET": "5"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    (wrong,) = [one for one in json.loads(done.stdout)["facts"] if one["state"] != "ok"]
    assert "they alone load nothing" in wrong["what"]
    assert "agent-fuse run SCRIPT" in wrong["fix"]


@pytest.mark.parametrize("way", ["opentelemetry-instrument", "agent-fuse run --"])
def test_the_request_gate_stays_off_where_an_option_says_so(tmp_path, way):
    """From outside too: the SDK is left as it is, and doctor says that spans alone guard."""
    (tmp_path / "agent.py").write_text(
        "import openai, sys\n"
        "from agent_fuse.otel import instrumentor\n"
        "from agent_fuse.views.checkup import doctor\n"
        "print(instrumentor.gated('openai'))\n"
        "print([one.state.value for one in doctor() if one.what.startswith('openai ')])\n"
    )
    first, *rest = way.split()
    tools = Path(sys.executable).parent
    environment = {
        **os.environ,
        **QUIET,
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": SLOW,
        "AGENTFUSE_REQUEST_GATE": "false",
        "AGENTFUSE_DB_PATH": str(tmp_path / "l.db"),
    }
    done = subprocess.run(
        [tools / first, *rest, sys.executable, "agent.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.splitlines() == ["False", "['off']"], done.stderr


def test_a_program_that_ends_while_it_is_looked_at(tmp_path):
    """Its time was up, the survey begins, and then it ends by itself: the survey is waited for."""
    script = tmp_path / "agent.py"
    script.write_text(
        "import threading, agent_fuse.views.checkup as checkup\n"
        "began, look = threading.Event(), checkup.doctor\n"
        "def slowly(**given):\n"
        "    began.set()\n"
        "    threading.main_thread().join(2)\n"
        "    return look(**given)\n"
        "checkup.doctor = slowly\n"
        "began.wait(60)\n"
    )
    command = [str(Path(sys.executable).with_name("agent-fuse")), "doctor", "--seconds", "1", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert "it was still running after 1 s" in done.stdout, done.stderr
