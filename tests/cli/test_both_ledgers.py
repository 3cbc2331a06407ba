"""The same history in SQLite and in PostgreSQL: every command, the report, the dashboard's state and its metrics say the same."""

import json
import re
from types import SimpleNamespace

import pytest

import agent_fuse
from agent_fuse import Limit, control
from agent_fuse.calls import Entry, Status
from agent_fuse.dashboard.filters import Filter
from agent_fuse.dashboard.prometheus import exposition
from agent_fuse.dashboard.state import Caps, state
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Amounts
from agent_fuse.ledgers.reading import open_reader
from agent_fuse.report import gather
from alone import leave_nobody
from cli import filled

READING = {
    "status": ("status", "--json"),
    "status of a time": ("status", "--since", "12h", "--json"),
    "status of an account": ("status", "--account", "session=research-loop", "--json"),
    "status, in words": ("status",),
    "sessions": ("sessions", "--json"),
    "sessions, in words": ("sessions",),
    "sessions of an agent": ("sessions", "--agent", "*er", "--json"),
    "calls": ("calls", "--json", "--limit", "500"),
    "calls refused": ("calls", "--refused", "--json"),
    "calls estimated": ("calls", "--estimated", "--json"),
    "calls of a model": ("calls", "--model", "claude*", "--json"),
    "calls of a user": ("calls", "--user", "b*", "--json"),
    "calls of a session": ("calls", "--session", "チャット-*", "--json"),
    "top": ("top", "--once", "--json"),
    "top, in words": ("top", "--once"),
    "limits": ("limits", "--json"),
    "limits, in words": ("limits",),
    "CSV": ("export", "--with-refused"),
    "JSON": ("export", "--format", "json", "--with-refused"),
    "prune": ("prune", "--before", "1h", "--dry-run", "--json"),
}
CONTROLLED = (
    ("stop", "session=support-7421", "--why", "test", "--who", "me", "--yes"),
    ("top-up", "session=research-loop", "0.50", "--why", "test", "--who", "me", "--yes"),
    ("stop", "user.id=bob", "--why", "test", "--who", "me", "--yes"),
    ("resume", "user.id=bob", "--why", "test", "--who", "me", "--yes"),
)


@pytest.fixture
def both(postgres, tmp_path):
    """The story, told to both."""
    urls = {"sqlite": str(tmp_path / "ledger.db"), "postgresql": postgres.database()}
    for url in urls.values():
        filled.fill(url)
    return urls


def plain(text, url):
    """What a command said, without the name of the ledger."""
    with open_reader(url) as books:
        for name in (books.where, books.name, url):
            text = text.replace(json.dumps(name)[1:-1], "LEDGER").replace(name, "LEDGER")
    return text


def said(run, url, command):
    """Its code and its words on this ledger, compared without the lengths of names."""
    done = run(*command, "--db", url)
    return done.code, plain(done.out, url).split(), plain(done.err, url).split()


def gathered(url):
    """What the report and the dashboard are made of, and what Prometheus is told."""
    with open_reader(url) as books:
        shown = state(books, Caps({}), now=filled.NOW, among=Filter())
        told = gather(books, {}, now=filled.NOW)
        report = [getattr(told, name) for name in ("first", "last", "limits", "refused", "latest")]
        tally = {name: getattr(told.tally, name) for name in dir(told.tally) if not name.startswith("_")}
        figures = {name: value for name, value in tally.items() if not callable(value)}
        assert figures
        return json.loads(plain(json.dumps(shown), url)), exposition(shown), report, repr(figures)


def test_every_answer_is_the_same(run, both, monkeypatch):
    """As the history stands, and again after people stopped, topped up and resumed."""
    done = []  # what was decided, a second apart
    monkeypatch.setattr(control, "time", SimpleNamespace(time=lambda: filled.NOW - 60 + len(done)))
    for commands in ((), CONTROLLED):
        for command in commands:
            codes = {run(*command, "--db", url).code for url in both.values()}
            assert codes == {0}, command
            done.append(command)
        for name, command in READING.items():
            found = {kind: said(run, url, command) for kind, url in both.items()}
            assert found["sqlite"] == found["postgresql"], name
            assert found["sqlite"][1], name
            assert found["sqlite"][0] in (0, 1), (name, found["sqlite"])  # 1: a limit is reached
        for one, other in zip(gathered(both["sqlite"]), gathered(both["postgresql"]), strict=True):
            assert one == other


def test_the_files_are_the_same(run, both, tmp_path):
    """The report's page, byte for byte but for the ledger's name."""
    pages = {}
    for kind, url in both.items():
        path = tmp_path / f"{kind}.html"
        assert run("report", "--db", url, "--output", path).code == 0
        pages[kind] = plain(path.read_text("utf-8"), url)
    assert pages["sqlite"] == pages["postgresql"]
    assert "research-loop" in pages["sqlite"]


FEES = (
    ("paid", Status.SETTLED, 1_500_000_000, 250_000_000, 60),
    ("estimated", Status.ESTIMATED, 500_000_000, 0, 60),
    ("refused", Status.REFUSED, 900_000_000, 400_000_000, 60),
    ("long ago", Status.SETTLED, 7_000_000_000, 3_000_000_000, 9 * 3_600),
)
"""Id, status, cost, fee, age in seconds."""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_status_tells_fees_beside_tokens(run, postgres, tmp_path, kind):
    """What was paid since then for tokens, and what for anything else; refused calls were never paid."""
    url = postgres.database() if kind == "postgresql" else str(tmp_path / "ledger.db")
    ledger = open_ledger(url)
    for name, status, cost, fee, age in FEES:
        entry = Entry(id=name, at=filled.NOW - age, status=status, session="s", cost=cost, fee=fee)
        if status is Status.REFUSED:
            ledger.refuse(entry, ("session=s", "all"), now=filled.NOW)
        else:
            ledger.settle(entry, ("session=s", "all"), Amounts(usd=cost, calls=1), now=filled.NOW)
    ledger.close()
    found = json.loads(run("status", "--db", url, "--json").out)
    assert found["booked"] == {"usd": "2", "token_usd": "1.75", "fee_usd": "0.25"}
    assert "In the last hour: $1.75 for tokens, $0.2500 for fees." in run("status", "--db", url).out
    assert "$5.75 for tokens, $3.25 for fees." in run("status", "--db", url, "--since", "1d").out


def lived(url):
    """What a process that runs into its limits is told: warnings, trips, and what the doctor says of it in the end."""
    leave_nobody()
    told = []
    agent_fuse.init(
        limits=[Limit(usd="0.05"), Limit(calls=4, per="user.id", window="day"), Limit(tokens=5_000, per="all")],
        db_path=url,
        session_id="s",
        warn_at=(0.5, 0.9),
        on_warning=lambda one: told.append((one.kind, one.message, one.session, one.limit, one.share, one.spent)),
        busy_wait=0,
        loop_threshold=2,
    )
    for n in range(6):
        try:
            with agent_fuse.session(f"r{n % 2}", user_id="ann"):
                with agent_fuse.call("gpt-4o", 1_000, 500) as one:
                    one.usage(1_000, 500)
                agent_fuse.check_loop("t", {"a": 1})
        except agent_fuse.SentinelError as trip:
            told.append((type(trip), trip.reason, re.sub(r"\b[\d:]+ UTC", "…", str(trip)).partition("; it resets")[0]))
    facts = [(one.what, one.state) for one in agent_fuse.doctor() if not one.what.startswith("the ledger ")]
    leave_nobody()
    return told, facts


def test_what_a_process_is_told_is_the_same(postgres, tmp_path):
    """Warnings, trips and the doctor's words on three ledgers: in memory, in a file, on a server."""
    urls = ("memory://", str(tmp_path / "ledger.db"), postgres.database())
    told, *others = [lived(url) for url in urls]
    assert {one[0] for one in told[0]} >= {"limit", "loop"}
    assert len(told[0]) > 5
    for other in others:
        assert other == told
