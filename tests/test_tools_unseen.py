"""Tool loops are seen where nobody set OpenTelemetry up: LangChain's spans, at a provider of our own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from agent_fuse.testing import LoopbackProvider, Reply, ToolCall

BIN = Path(sys.executable).parent

AGENT = """
from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

@tool
def search(query: str) -> str:
    "Search."
    print("searching", flush=True)
    return "nothing found"

agent = create_agent(ChatOpenAI(model="gpt-4o"), tools=[search])
try:
    agent.invoke({"messages": [{"role": "user", "content": "Find."}]}, {"recursion_limit": 60})
except Exception as error:
    print("swallowed", error)
"""

BARE = """
from langchain_core.tools import tool

@tool
def search(query: str) -> str:
    "Search."
    return "nothing found"

for turn in range(60):
    print("turn", turn, flush=True)
    try:
        search.invoke({"query": "a"})
    except Exception as error:
        print("swallowed", error)
"""


def ended(folder: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The program, run with a model that asks for the same search again and again."""
    reply = Reply(tool_calls=(ToolCall(name="search", arguments={"query": "a"}),))
    with LoopbackProvider(reply) as provider:
        env = {
            **os.environ,
            "OPENAI_API_KEY": "test",
            "OPENAI_BASE_URL": provider.openai_base_url,
            "AGENTFUSE_DB_PATH": str(folder / "ledger.db"),
            **environ,
        }
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=180, check=False)


def test_an_agent_in_a_run(tmp_path: Path) -> None:
    """`agent-fuse run` with no telemetry at all: five searches, and the sixth ends the agent."""
    (tmp_path / "agent.py").write_text(AGENT)
    ran = ended(tmp_path, str(BIN / "agent-fuse"), "run", "agent.py")
    assert ran.stdout == "searching\n" * 5, ran.stderr
    assert ran.returncode == 1
    assert "SentinelLoopError: loop: search refused, asked for 6 times" in ran.stderr
    assert ran.stderr.splitlines()[0].endswith("; tools of LangChain")
    assert ran.stderr.splitlines()[-1] == "agent-fuse: spent $0.0033075 in 6 calls and 5 tool calls; 1 refused"


def test_tools_under_zero_code_without_a_distro(tmp_path: Path) -> None:
    """`opentelemetry-instrument` without a distro turns LangChain's spans on and sets no provider: tools are seen."""
    (tmp_path / "agent.py").write_text(BARE)
    ran = ended(
        tmp_path,
        str(BIN / "opentelemetry-instrument"),
        sys.executable,
        "agent.py",
        AGENTFUSE_BUDGET="5",
        OTEL_PYTHON_DISTRO="none",
        OTEL_PYTHON_CONFIGURATOR="none",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="openai,anthropic",
    )
    assert ran.stdout.splitlines()[-1] == "turn 5", ran.stderr
    assert "swallowed" not in ran.stdout
    assert "SentinelLoopError: loop: search refused, asked for 6 times" in ran.stderr


def test_tools_are_said_to_be_unseen(run_python: Any) -> None:
    """Where LangChain is installed without its instrumentation, or the SDK is disabled, the line says so."""
    script = """
import os, importlib.metadata as metadata
real = metadata.distribution
def without(name):
    if name == "opentelemetry-instrumentation-langchain":
        raise metadata.PackageNotFoundError(name)
    return real(name)
metadata.distribution = without
import agent_fuse
from agent_fuse.otel.coverage import words
fuse = agent_fuse.AgentFuseSpanProcessor(budget=1, db_path="memory://").fuse
print(words(fuse))
os.environ["OTEL_SDK_DISABLED"] = "true"
print(words(fuse))
"""
    first, second = run_python(script).stdout.splitlines()
    assert first.endswith("; tools of LangChain NOT seen (pip install opentelemetry-instrumentation-langchain)")
    assert second.endswith("; spans and tools NOT seen (OTEL_SDK_DISABLED)")
