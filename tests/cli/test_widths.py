"""What a person sees on a small, a usual and a wide terminal: whole words, and names that are told apart."""

import pytest
from rich.cells import cell_len

from agent_fuse import Limit, SentinelBudgetExceeded, call, session
from cli import filled

USERS = ("auth0|64f1c9d2a7e3b50012ab34cd", "auth0|64f1c9d2a7e3b50012ab34ce")
PER = ("session", "user.id", "agent", "tenant.id", "all")
LIMITS = (
    Limit(usd="0.05"),
    Limit(tokens=50_000),
    Limit(usd="0.09", per="user.id"),
    Limit(calls=60, per="agent"),
    Limit(tokens=100_000, per="tenant.id"),
    Limit(usd=5, per="all"),
)


@pytest.fixture
def books(box, tmp_path):
    """A ledger of names as they are in the field, long and alike, whose figures are the same."""
    box(clock=lambda: filled.NOW, limits=LIMITS, db_path=str(tmp_path / "books.db"))
    for number in range(3):
        for user in USERS:
            keys = {"gen_ai.agent.name": f"customer-support-triage-agent-{user[-2:]}", "tenant.id": "acme-corporation"}
            name = f"customer-support-conversation-2026-11-26-{number}-{user[-2:]}"
            with session(name, user_id=user, attributes=keys):
                for _ in range(5):
                    try:
                        with call("claude-sonnet-4-5", 1000, 500) as one:
                            one.usage(1000, 500)
                    except SentinelBudgetExceeded:
                        pass
    return tmp_path / "books.db"


def parts(text):
    """Paragraphs and tables of a screen, each a list of lines."""
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    is_table = [any(set(line) == {"─"} for line in block) for block in blocks]
    return (
        [block for block, one in zip(blocks, is_table, strict=True) if not one],
        [block for block, one in zip(blocks, is_table, strict=True) if one],
    )


@pytest.mark.parametrize("width", [50, 80, 200])
@pytest.mark.parametrize("command", [["status"], ["top", "--once"], ["calls", "--refused"], ["sessions"]])
def test_what_a_person_sees(run, books, monkeypatch, width, command):
    """No line is too wide, no word is broken, and no two rows of one table say the same, though their figures do."""
    monkeypatch.setenv("COLUMNS", str(width))
    shown = run(*command, "--db", books, tty=True).plain
    whole = set(run(*command, "--db", books).out.split()) | {"q", "ends"}
    assert max(map(cell_len, shown.splitlines())) <= width
    paragraphs, tables = parts(shown[shown.index("$") :] if command == ["status"] else shown)  # its path may be long
    words = [word for block in paragraphs for line in block for word in line.split()]
    assert {word for word in words if word.rstrip(":;") not in whole and word not in whole} == set()
    for table in tables:
        rows = [line for line in table[2:] if "ends" not in line]
        if command[0] != "calls":  # its rows are calls, and some are alike
            assert len(set(rows)) == len(rows), shown


@pytest.mark.parametrize("width", [50, 80])
def test_top_says_of_each_limit_what_it_is_per(run, books, monkeypatch, width):
    """The key of a limit is whole at any width, and what presses stands first, be its pace known or not."""
    monkeypatch.setenv("COLUMNS", str(width))
    _, (limits, _) = parts(run("top", "--once", "--db", books, tty=True).plain)
    keys = [line.split()[0] for line in limits[2:]]
    assert set(keys) <= set(PER)
    assert keys[:2] == ["user.id", "user.id"]


def test_top_names_the_unit_where_there_is_no_room_for_the_cap(run, story, monkeypatch):
    """Two limits of one session are told apart at 50 columns."""
    monkeypatch.setenv("COLUMNS", "50")
    shown = run("top", "--once", "--window", "3d", "--db", story, tty=True).plain
    assert " 22 tools " in shown
    assert " cap " not in shown
