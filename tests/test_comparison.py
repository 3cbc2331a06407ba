"""The comparison's page says what was measured, and what it says of AgentFuse is still so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from comparison.page import PAGE, page, stored
from comparison.peers_named import PEERS

TESTS = Path(__file__).parent
RIGHT = {"fit": 40, "threads": 100, "processes": 100, "release": 10, "broken": 5, "crash": 5}
"""What a guard has to answer: a budget lets go what it fits, and no more."""


def test_the_page_is_what_was_measured():
    """`make compare` writes both; every peer was asked, or it says why not."""
    assert PAGE.read_text("utf-8") == page()
    assert list(stored()["peers"]) == list(PEERS)


@pytest.mark.parametrize("kind", ["memory", "SQLite, NORMAL", "SQLite, FULL"])
def test_agentfuse_answers_as_the_page_says(kind, tmp_path):
    """The questions of the comparison, asked again."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(TESTS), "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    measured = stored()["peers"]["agentfuse"]["kinds"][kind]
    for question, right in RIGHT.items():
        if kind == "memory" and question in ("processes", "crash"):
            continue  # nothing is shared
        command = [sys.executable, "-m", "comparison.ask", "agentfuse", kind, question]
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=120, check=False)
        answer = next((one for one in done.stdout.splitlines() if one.startswith("ANSWER")), done.stderr)
        assert json.loads(answer.removeprefix("ANSWER"))[0] == right == measured[question], question
