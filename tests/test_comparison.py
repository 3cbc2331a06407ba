"""The comparison's page says what was measured, and what it says of AgentFuse is still so."""

from pathlib import Path

import pytest

from comparison.asked import LONE, said
from comparison.page import PAGE, page, stored
from comparison.peers_named import PEERS

ASK = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from comparison.ask import main; main(*sys.argv[1:])"


def test_the_page_is_what_was_measured():
    """`make compare` writes both; every peer was asked, or it says why not."""
    assert PAGE.read_text("utf-8") == page()
    assert list(stored()["peers"]) == list(PEERS)


@pytest.mark.parametrize("kind", ["memory", "SQLite, NORMAL", "SQLite, FULL"])
def test_agentfuse_answers_as_the_page_says(kind, elsewhere):
    """The questions of the comparison that one process answers, asked again."""
    measured = stored()["peers"]["agentfuse"]["kinds"][kind]
    for question, right in LONE.items():
        assert said(elsewhere(ASK, "agentfuse", kind, question)) == right == measured[question], question
