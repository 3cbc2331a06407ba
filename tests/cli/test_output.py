"""What each command prints: its help, on a terminal of 80 columns, in a pipe, and as JSON."""

import json
import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from agent_fuse.cli.app import COMMANDS, GROUPS
from cli import filled

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
SETTINGS = DOCS.with_name("settings.md")
NAMES = [command.__name__.replace("_", "-") for command in COMMANDS]
READING = {
    "status": ("status",),
    "status-account": ("status", "--account", "session=research-loop"),
    "sessions": ("sessions",),
    "sessions-since": ("sessions", "--since", "10h", "--limit", "2"),
    "calls": ("calls", "--limit", "12"),
    "status-since": ("status", "--since", "2h", "--limit", "2"),
    "calls-refused": ("calls", "--refused", "--session", "research*", "--limit", "3"),
    "calls-estimated": ("calls", "--estimated", "--agent", "triage", "--since", "2027-01-14T13:00", "--limit", "4"),
    "calls-tool": ("calls", "--tool", "search", "--model", "", "--limit", "3"),
    "top": ("top", "--once", "--window", "1h"),
}
"""Reading commands, by the name of their snapshot."""
NUMBERS = {"status": 2, "top": 2}
"""Of the JSON schemas that changed a field's meaning."""


@pytest.mark.parametrize("name", ["", *NAMES])
def test_help(run, snapshot, name):
    """The help of every command is as recorded, fits 80 columns, and is the same in a pipe."""
    done = run(*([name] if name else []), "--help", tty=True)
    assert done.code == 0
    if name != "run":  # its options are those of the settings table
        snapshot(f"help-{name or 'all'}", done.plain)
    assert max(map(len, done.plain.splitlines())) <= 80
    assert run(*([name] if name else []), "--help").out == done.plain
    assert "..." not in done.plain.partition("Commands:")[2], "a command is told in words that fit its line"
    assert "](" not in done.plain, "no terminal follows a link"


@pytest.mark.parametrize("name", READING)
def test_terminal(run, snapshot, story, name):
    """On a terminal of 80 columns the output is as recorded, and no line is wider."""
    done = run(*READING[name], "--db", story, tty=True)
    snapshot(f"{name}-terminal", done.plain.replace(str(story), "LEDGER"))
    assert [line for line in done.plain.splitlines() if cell_len(line) > 80 and str(story) not in line] == []


@pytest.mark.parametrize("name", READING)
def test_pipe(run, snapshot, story, name):
    """In a pipe the output is as recorded: no style, no drawing, nothing cut, no blank at a line's end."""
    done = run(*READING[name], "--db", story)
    snapshot(f"{name}-pipe", done.out.replace(str(story), "LEDGER"))
    assert "\x1b" not in done.out
    assert not re.search(r"[█▒░…─]", done.out)
    assert [line for line in done.out.splitlines() if line != line.rstrip()] == []


@pytest.mark.parametrize("name", [*READING, "report"])
def test_json(run, snapshot, story, name):
    """`--json` is as recorded, names its schema, and every field of it stands in the documentation."""
    command = READING.get(name, (name,))
    done = run(*command, "--db", story, "--json")
    found = json.loads(done.out)
    assert found["schema"] == f"agent-fuse/{command[0]}/{NUMBERS.get(command[0], 1)}"
    snapshot(f"{name}-json", done.out.replace(str(story), "LEDGER"))
    assert sorted(fields(found) - documented(command[0]) - {"schema"}) == []


def test_prices_output(run, snapshot):
    """A known model, a tiered one, those billed by the unit and an unknown one are shown on a terminal and as JSON."""
    for model in ("gpt-4o-mini", "gemini-2.5-pro", "gpt-image-1", "dall-e-3", "sora-2-pro", "nobody-knows-it"):
        snapshot(f"prices-{model}-terminal", run("prices", model, tty=True).plain)
        done = run("prices", model, "--json")
        snapshot(f"prices-{model}-json", done.out)
        assert sorted(fields(json.loads(done.out)) - documented("prices") - {"schema"}) == []


def fields(found):
    """All names of fields in an object, however deep."""
    if isinstance(found, list):
        return set().union(*map(fields, found)) if found else set()
    return set(found).union(*map(fields, found.values())) if isinstance(found, dict) else set()


def documented(command):
    """Names that a command's chapter of docs/cli.md has in code."""
    chapters = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", DOCS.read_text("utf-8"), re.MULTILINE | re.DOTALL))
    shared = {"top": chapters["status"], "status": chapters["calls"], "report": chapters["status"] + chapters["calls"]}
    return {
        word
        for text in re.findall(r"`([^`]+)`", chapters[command] + shared.get(command, ""))
        for word in re.findall(r"\w+", text)
    }


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_command_is_documented(run, command):
    """Each command has its chapter in docs/cli.md, and each of its options is named there or above all chapters."""
    name = command.__name__.replace("_", "-")
    text = DOCS.read_text("utf-8")
    chapter = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert chapter, f"docs/cli.md has no chapter {name}"
    general = text.partition("## status")[0]
    options = set(re.findall(r"(--[a-z][a-z-]*)", run(name, "--help").out)) - {"--help"}
    as_calls = (
        re.search(r"^## calls\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)[1]
        if "as for\n`calls`" in chapter[1]
        else ""
    )
    table = re.findall(r"AGENTFUSE_(\w+)", SETTINGS.read_text("utf-8")) if "(settings.md)" in chapter[1] else []
    as_settings = {f"--{option.lower().replace('_', '-')}" for option in table}
    # A switch is named there once: `--strict`, or `--no-strict`.
    missing = [
        one
        for one in options - as_settings
        if one.replace("--no-", "--") not in as_settings and one not in chapter[1] + general + as_calls
    ]
    # --output is the long form of -o.
    assert [one for one in missing if not (one == "--output" and "-o" in chapter[1])] == []


def test_every_chapter_is_a_command():
    """docs/cli.md has no chapter of a command that is not there."""
    assert re.findall(r"^## ([\w-]+)$", DOCS.read_text("utf-8"), re.MULTILINE) == ["JSON", *NAMES, *GROUPS]


def test_no_color(run, story, monkeypatch):
    """With NO_COLOR a terminal gets no colour at all; without it the bars have some."""
    coloured = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7]|38)(?:;\d+)*m")
    assert coloured.search(run("status", "--db", story, tty=True).out)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not coloured.search(run("status", "--db", story, tty=True).out)


def test_names_cannot_talk_to_the_terminal(run, own):
    """A session whose name holds control characters is shown with escapes, on a terminal and in a pipe."""
    from agent_fuse.calls import Entry, Status
    from agent_fuse.ledgers import open_ledger
    from agent_fuse.ledgers.base import Amounts

    ledger = open_ledger(own)
    evil = "x\x1b]0;owned\x07\n[bold]y"
    entry = Entry(id="evil", at=filled.NOW, status=Status.SETTLED, session=evil, model="m\x1b[2J", cost=1)
    ledger.settle(entry, ["all", f"session={evil}"], Amounts(usd=1, calls=1), now=filled.NOW)
    ledger.close()
    for command in ("sessions", "calls", "status", "top"):
        for tty in (True, False):
            out = run(command, "--db", own, *(["--once"] if command == "top" else []), tty=tty).out
            assert "\x1b]" not in out
            assert "\x1b[2J" not in out
            assert "\x07" not in out
    assert "x\\x1b]0;owned\\x07\\n[bold]y" in run("sessions", "--db", own).out


def test_narrow_terminal(run, story, monkeypatch):
    """In 40 columns figures stay whole, names are cut, and the least needed columns go."""
    monkeypatch.setenv("COLUMNS", "40")
    out = run("sessions", "--db", story, tty=True).plain
    assert max(cell_len(line) for line in out.splitlines()) <= 40
    assert "$0.2463" in out
    assert "models" not in out
