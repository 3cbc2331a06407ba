"""What the comparison's page says of AgentFuse in several processes is still so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from comparison.asked import SHARED, said
from comparison.page import stored


@pytest.mark.parametrize("question", SHARED)
@pytest.mark.parametrize("kind", ["SQLite, NORMAL", "SQLite, FULL"])
def test_agentfuse_answers_as_the_page_says(kind, question, tmp_path):
    """The questions of the comparison about processes that share a budget, asked again."""
    tests = str(Path(__file__).parent)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": tests, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "comparison.ask", "agentfuse", kind, question]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=120, check=False)
    measured = stored()["peers"]["agentfuse"]["kinds"][kind][question]
    assert said(done.stdout or done.stderr) == SHARED[question] == measured
