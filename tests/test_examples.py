"""Every example runs as a person would run it, without a key and without a network, and does what it says."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent_fuse.calls import Entry, Status, Usage
from agent_fuse.ledgers import open_ledger
from agent_fuse.testing import LedgerReader, LoopbackProvider, assert_books_balance
from conformance.environments import ROOT
from frameworks.environments import FRAMEWORKS as TRIED

EXAMPLES = ROOT / "examples"
LOCAL = "local_model.py"
"""Needs 260 MB of wheels: `make local-model` runs it."""

LOOPBACK_ONLY = """
import os, runpy, socket, sys
connect = socket.socket.connect
def local(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        print("reached for", address, file=sys.stderr)
        os._exit(99)
    return connect(self, address)
socket.socket.connect = local
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def run(*command: str, **environ: str) -> tuple[subprocess.CompletedProcess[str], list[Entry]]:
        ledger = tmp_path / "ledger.db"
        env = {**os.environ, "AGENTFUSE_DB_PATH": str(ledger), **environ}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
        books = open_ledger(str(ledger))
        entries = LedgerReader(books).entries()
        assert_books_balance(books)
        books.close()
        return done, entries

    return run


def test_each_example_is_short_and_tested() -> None:
    """An example is one file of at most 40 lines, and is named in a test."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*TOLD, LOCAL}
    for path in (*EXAMPLES.glob("*.py"), EXAMPLES / "zero_code" / "agent.py"):
        assert len(path.read_text().splitlines()) <= 40, path


FRAMEWORKS = EXAMPLES / "frameworks"


@pytest.mark.parametrize("path", sorted(FRAMEWORKS.glob("*.py")), ids=lambda path: path.stem)
def test_each_example_of_a_framework_is_short(path: Path) -> None:
    """At most 30 lines that compile; `python -m frameworks.examples` runs it in its framework's environment."""
    text = path.read_text()
    compile(text, path.name, "exec")
    assert len(text.splitlines()) <= 30
    name = path.stem.removesuffix("_agent")
    assert name in {one.name for one in TRIED}
    assert json.loads((ROOT / "tests/frameworks/results/examples.json").read_text())[name] == "stopped"


def test_an_example_of_a_framework(run: Any) -> None:
    """LangGraph's, which is installed here: it ends well, stopped by its budget."""
    done, entries = run(sys.executable, "-c", LOOPBACK_ONLY, str(FRAMEWORKS / "langgraph_agent.py"))
    assert done.returncode == 0, done.stderr
    assert "call to gpt-4o refused before it was sent" in done.stdout
    assert {entry.agent for entry in entries if entry.operation == "chat"} == {"reader"}


TOLD: dict[str, tuple[int, int, str, str]] = {
    "existing_otel.py": (
        2,
        0,
        "call to gpt-4o refused before it was sent: it may cost",
        "Spent $0.015 in 2 calls.",
    ),
    "with_init.py": (2, 0, "call to gpt-4o refused", "Spent $0.015 in 2 calls, $0.005 left."),
    "openai_dropin.py": (3, 0, "Hello from the loopback provider.", "calls."),
    "langchain_agent.py": (6, 5, "loop: search refused, asked for 6 times", "in 6 calls."),
    "by_hand.py": (5, 0, "call to mistral-large-latest refused", "calls."),
    "loop_guard.py": (0, 20, "repeat of search|", "loop: send_mail refused"),
    "session_per_task.py": (5, 0, "runaway: call to gpt-4o refused", "fine: done, $0.015 spent"),
}
"""Model calls and tool actions booked, and two things said."""


@pytest.mark.parametrize("name", TOLD)
def test_example(run: Any, name: str) -> None:
    """It ends well, says what it should, and books what it did."""
    calls, actions, *said = TOLD[name]
    done, entries = run(sys.executable, "-c", LOOPBACK_ONLY, str(EXAMPLES / name))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for words in said:
        assert words in done.stdout
    booked = [entry for entry in entries if entry.status is not Status.REFUSED]
    assert sum(entry.operation != "execute_tool" for entry in booked) == calls
    assert sum(entry.operation == "execute_tool" for entry in booked) == actions
    assert any(entry.status is Status.REFUSED for entry in entries)


def test_zero_code_example(run: Any) -> None:
    """The command of its docstring guards it; its own `except Exception` does not swallow the trip."""
    text = (EXAMPLES / "zero_code" / "agent.py").read_text()
    command = next(line for line in text.splitlines() if line.startswith("AGENTFUSE_"))
    setting, instrument, *rest = command.split()
    assert (instrument, rest) == ("opentelemetry-instrument", ["python", "agent.py"])
    name, _, value = setting.partition("=")
    with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as provider:
        done, entries = run(
            str(Path(sys.executable).parent / instrument),
            sys.executable,
            str(EXAMPLES / "zero_code" / "agent.py"),
            OPENAI_API_KEY="none",
            OPENAI_BASE_URL=provider.openai_base_url,
            OTEL_TRACES_EXPORTER="none",
            OTEL_METRICS_EXPORTER="none",
            OTEL_LOGS_EXPORTER="none",
            **{name: value},
        )
        assert provider.count == 2
    assert done.returncode == 1
    assert "SentinelBudgetExceeded: call to gpt-4o refused before it was sent" in done.stderr.splitlines()[-1]
    assert "something went wrong" not in done.stdout
    assert Decimal(sum(entry.cost for entry in entries if entry.status is Status.SETTLED)) == 15_000_000
