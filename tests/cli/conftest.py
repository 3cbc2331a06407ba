"""The command line as a person, a pipe and a script meet it: on a ledger with a story, at a time that stands still."""

import io
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

import agent_fuse.cli
from agent_fuse.cli import clock
from cli import filled, many

SNAPSHOTS = Path(__file__).with_name("snapshots")
_STYLE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Screen(io.StringIO):
    """Standard output that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


@dataclass
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def plain(self):
        """The output without styles."""
        return _STYLE.sub("", self.out)


@pytest.fixture(scope="session")
def story(tmp_path_factory):
    """The ledger with a story. Nobody may write to it."""
    path = tmp_path_factory.mktemp("story") / "ledger.db"
    filled.fill(path)
    return path


@pytest.fixture
def own(story, tmp_path):
    """A copy of it to write to."""
    path = tmp_path / "ledger.db"
    path.write_bytes(story.read_bytes())
    return path


@pytest.fixture
def run(monkeypatch):
    """Run `agent-fuse` in this process: `run("status", "--db", path, tty=True)`."""
    monkeypatch.setattr(clock, "now", lambda: filled.NOW)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    time.tzset()

    def run(*arguments, tty=False):
        out, err = Screen() if tty else io.StringIO(), io.StringIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as left:
                agent_fuse.cli.main([str(one) for one in arguments])
        return Done(left.value.code or 0, out.getvalue(), err.getvalue())

    yield run
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def snapshot():
    """Compare with what was recorded; `AGENT_FUSE_UPDATE_SNAPSHOTS=1` records anew."""

    def compare(name, text):
        path = SNAPSHOTS / f"{name}.txt"
        if os.environ.get("AGENT_FUSE_UPDATE_SNAPSHOTS"):
            path.write_text(text, "utf-8")
        assert path.exists(), f"no snapshot {name}; record it with AGENT_FUSE_UPDATE_SNAPSHOTS=1"
        assert text == path.read_text("utf-8")

    return compare


@pytest.fixture(scope="session")
def crowds(tmp_path_factory):
    """Two ledgers, one with 2,000 journal lines and one with 60,000."""
    folder = tmp_path_factory.mktemp("crowds")
    for count in (2_000, 60_000):
        many.fill(folder / f"{count}.db", count)
    return {count: folder / f"{count}.db" for count in (2_000, 60_000)}
