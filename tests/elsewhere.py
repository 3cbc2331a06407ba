"""Other processes that begin at once: each is a fork of one that has loaded the libraries, and has done nothing else."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SERVER = """
import json, os, signal, sys
import openai, openai.resources.batches, openai.resources.files, openai.resources.responses, openai.resources.videos
import agent_fuse.api, agent_fuse.ledgers.sqlite, agent_fuse.otel.instrumentor, agent_fuse.otel.span_processor

openai.OpenAI(api_key="x").close()  # which loads the HTTP client

for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
signal.alarm(120)  # whoever hangs is ended
with open(asked["told"], "wb") as told, open(os.devnull) as nothing:
    for mine, theirs in ((nothing, 0), (told, 1), (told, 2)):
        os.dup2(mine.fileno(), theirs)
os.environ.clear()
os.environ.update(asked["environ"])
os.chdir(asked["folder"])
sys.argv = ["-c", *asked["args"]]
exec(compile(asked["script"], "<elsewhere>", "exec"), {"__name__": "__main__"})
"""
"""Reads what to run, line by line; a child leaves the loop, and ends as any program does."""


@pytest.fixture(scope="session")
def _forks() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        yield server


@pytest.fixture
def elsewhere(_forks: subprocess.Popen[str], tmp_path: Path) -> Callable[..., str]:
    """Run a script in a process that knows nothing of this one, in the test's environment; what it printed comes back."""

    def run(script: str, *args: str) -> str:
        told = tmp_path / "told.txt"
        asked = {
            "script": script,
            "args": args,
            "told": str(told),
            "environ": dict(os.environ),
            "folder": str(Path.cwd()),
        }
        assert _forks.stdin
        assert _forks.stdout
        _forks.stdin.write(f"{json.dumps(asked)}\n")
        _forks.stdin.flush()
        code = _forks.stdout.readline().strip()
        said = told.read_text("utf-8")
        assert code == "0", said
        return said

    return run
