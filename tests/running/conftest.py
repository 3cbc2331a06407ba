"""A run of `agent-fuse run` in a folder of its own, beside a model provider on loopback."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_fuse.calls import Usage
from agent_fuse.testing import LoopbackProvider

BIN = Path(sys.executable).parent
AGENT = """
import openai

client = openai.OpenAI(api_key="test", max_retries=0)
for turn in range(12):
    try:
        client.chat.completions.create(model="gpt-4o", max_tokens=500, messages=[{"role": "user", "content": "Go on."}])
    except Exception as error:
        print("the agent goes on after", error)
"""
"""Calls of $0.0075 each, and a loop that swallows every Exception."""


@dataclass
class Ran:
    """What became of it."""

    status: int
    out: str
    err: str
    requests: int

    @property
    def lines(self):
        """What agent-fuse said, without its name and without warnings that a limit comes near."""
        said = [line.removeprefix("agent-fuse: ") for line in self.err.splitlines() if line.startswith("agent-fuse: ")]
        return [line for line in said if "% of the limit of" not in line]


class Place:
    """A folder to run programs in."""

    def __init__(self, folder, provider):
        self.folder = folder
        self.provider = provider
        self.ledger = folder / "ledger.db"
        self.write("agent.py", AGENT)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def environ(self, **more):
        found = {
            **os.environ,
            "OPENAI_BASE_URL": self.provider.openai_base_url,
            "OPENAI_API_KEY": "test",
            "AGENTFUSE_DB_PATH": str(self.ledger),
            **more,
        }
        return {name: value for name, value in found.items() if value is not None}

    def start(self, *words, environ=None, command=(str(BIN / "agent-fuse"), "run"), **options):
        """Start it and come back at once."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(
            [*command, *words], cwd=self.folder, env=self.environ(**(environ or {})), text=True, **pipes
        )

    def run(self, *words, environ=None, **options):
        """Run it to its end."""
        before = self.provider.count
        with self.start(*words, environ=environ, **options) as started:
            out, err = started.communicate(timeout=120)
        return Ran(started.returncode, out, err, self.provider.count - before)


@pytest.fixture(scope="session")
def provider():
    with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as one:
        yield one


@pytest.fixture
def place(tmp_path, provider):
    return Place(tmp_path, provider)
