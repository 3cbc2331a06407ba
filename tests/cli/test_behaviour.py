"""What commands do: exit codes, live ledgers, exports, pruning, start-up."""

import csv
import io
import json
import os
import pty
import signal
import stat
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import apsw
import pytest

from agent_fuse import control
from agent_fuse.calls import Entry, Status
from agent_fuse.cli.options import DEFAULT_LEDGER
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Amounts
from agent_fuse.options import DEFAULT_DB_PATH
from agent_fuse.views.asked_period import when
from agent_fuse.views.focus_export import COLUMNS
from cli import filled
from dashboard.conftest import PROGRAM

READERS = (
    ["status", "--since", "1m"],
    ["sessions"],
    ["calls"],
    ["top", "--once"],
    ["report", "-o", "-"],
    ["export"],
    ["prune", "--before", "1d", "--yes"],
)


@pytest.mark.parametrize("command", READERS, ids=lambda one: one[0])
def test_missing_ledger(run, tmp_path, command):
    """A ledger that is not there is named in one line, with exit code 3, and neither it nor its folder is made."""
    path = tmp_path / "not" / "there.db"
    done = run(*command, "--db", path)
    assert done.code == 3
    assert (
        done.err == f"agent-fuse: ledger {path}: open failed: there is no such file; name another one (--db, db_path)\n"
    )
    assert done.out == ""
    assert not path.parent.exists()


@pytest.mark.parametrize("command", ["stop x", "resume x", "top-up x 1", "approve x", "deny x"])
def test_a_slip_in_the_ledgers_name_stops_nothing(run, tmp_path, command):
    """An act on a ledger that is not there, or a folder, is refused, and makes none."""
    for where, why in ((tmp_path / "typo.db", "there is no such file"), (tmp_path, "it is a folder")):
        done = run(*command.split(), "--db", where)
        assert (done.code, done.out) == (3, "")
        assert why in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", READERS, ids=lambda one: one[0])
def test_not_a_ledger(run, tmp_path, command):
    """A text file, an empty file and another program's database are left as they are, with exit code 3 and one line."""
    text, empty, other = (tmp_path / name for name in ("notes.txt", "empty.db", "other.db"))
    text.write_text("not a database " * 100)
    empty.touch()
    apsw.Connection(str(other)).execute("CREATE TABLE theirs (x)").connection.close()
    for path in (text, empty, other):
        before = path.read_bytes()
        done = run(*command, "--db", path)
        assert (done.code, done.err.count("\n")) == (3, 1)
        assert str(path) in done.err
        assert path.read_bytes() == before


def test_newer_ledger(run, own):
    """A ledger of a newer version is refused with the fix."""
    apsw.Connection(str(own)).pragma("user_version", 99)
    done = run("status", "--db", own)
    assert done.code == 3
    assert "upgrade agent-fuse" in done.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["status", "--db", "memory://"], "what is in memory cannot be read by another process"),
        (["calls", "--since", "yesterday"], "--since is 'yesterday'; write an age such as 30m, 1h, 2d, or a date"),
        (["top", "--window", "0s"], "--window is '0s'"),
        (["report", "-o", "/no/such/folder/r.html"], "name a file that can be written"),
        (["export", "-o", "/no/such/folder/r.csv"], "name a file that can be written"),
        (["prune", "--before", "1d"], "add --yes"),
        (["prune", "--before", "2100-01-01", "--yes"], "name an age or a time in the past"),
        (["doctor", "no-such-agent.py"], "there is no such file"),
        (["calls", "--until", "soon"], "--until is 'soon'; write an age such as 30m, 1h, 2d, or a date"),
        (["report", "--since", "1h", "--until", "2h"], "--until is '2h', which is not after --since '1h'; swap them"),
        (["top-up", "x", "1", "--until", "soon"], "--until is 'soon'; write a time from now such as 30m, 1h, 2d, or a"),
        (
            ["top-up", "x", "1", "--until", "999999999w"],
            "--until is '999999999w', which no calendar tells; leave it out",
        ),
        (["calls", "--limit", "-1"], "'-1'"),
        (["calls", "--limit", "many"], "'many'"),
        (["export", "--format", "xml"], "'xml' is not one of 'csv', 'json'; see agent-fuse export -h"),
        (["frobnicate"], "no such command 'frobnicate'; see agent-fuse -h"),
        (["statuss"], "no such command 'statuss', did you mean 'status'; see agent-fuse -h"),
        (["calls", "--frobnicate"], "no such option: --frobnicate"),
        (["calls", "--since"], "option '--since' requires an argument; see agent-fuse"),
        (["top-up", "run-1"], "missing argument 'USD'; see agent-fuse top-up -h"),
        (["ledger", "a\nb"], "see agent-fuse ledger -h"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_bad_usage(run, story, arguments, told):
    """Bad usage exits with 2 and says what is wrong, in one line."""
    if (
        "--db" not in arguments
        and arguments[-1] != "--since"
        and arguments[0] in ("calls", "top", "report", "export", "prune")
    ):
        arguments = [*arguments, "--db", str(story)]
    done = run(*arguments)
    assert done.code == 2
    assert told in done.err
    assert done.err.startswith("agent-fuse: ")
    assert done.err.count("\n") == 1


def test_status_exits_with_one_at_a_cap(run, own):
    """Status is 0 while something is left of every limit shown, and 1 when one is reached; --account asks about one."""
    assert run("status", "--db", own, "--since", "1m").code == 0
    ledger = open_ledger(own)
    ledger.settle(
        Entry(id="last", at=filled.NOW, status=Status.SETTLED, session="research-loop", cost=53_700_000),
        ["session=research-loop"],
        Amounts(usd=60_000_000, calls=1),
        now=filled.NOW,
    )
    ledger.close()
    done = run("status", "--db", own, "--since", "1m")
    assert done.code == 1
    assert done.out.endswith("1 of the limits shown is reached.\n")
    assert run("status", "--db", own, "--since", "1m", "--account", "session=research-loop").code == 1
    assert run("status", "--db", own, "--account", "session=support-7421").code == 0


def test_budget_of_the_environment(run, tmp_path, monkeypatch):
    """Where no fuse posted a budget, AGENTFUSE_BUDGET stands in, and the source says so; a bad one is bad usage."""
    path = tmp_path / "ledger.db"
    ledger = open_ledger(path)
    entry = Entry(id="a", at=1.0, status=Status.SETTLED, session="s", cost=5)
    ledger.settle(entry, ["all", "session=s"], Amounts(usd=500_000_000, calls=1), now=1.0)
    ledger.close()
    assert "No limit is known" in run("status", "--db", path).out
    monkeypatch.setenv("AGENTFUSE_BUDGET", "2.00")
    (limit,) = json.loads(run("status", "--db", path, "--json").out)["limits"]
    assert (limit["cap"], limit["left"], limit["used"], limit["source"]) == ("2", "1.5", 0.25, "AGENTFUSE_BUDGET")
    monkeypatch.setenv("AGENTFUSE_BUDGET", "lots")
    assert run("status", "--db", path).code == 2


def test_default_ledger(run, home):
    """Without either, the ledger is the one that a fuse has by default."""
    assert DEFAULT_LEDGER == DEFAULT_DB_PATH
    assert f"ledger {home}/.agent_fuse/guard_v1.db: open failed" in run("status").err


def test_ledger_of_the_environment(run, story, monkeypatch):
    """AGENTFUSE_DB_PATH names the ledger where --db does not."""
    monkeypatch.setenv("AGENTFUSE_DB_PATH", f"sqlite:///{story}")
    assert json.loads(run("status", "--json").out)["ledger"] == str(story)


def test_reading_takes_no_lock(run, own):
    """While another connection holds the write lock, with changes not committed, every reading command answers."""
    writer = apsw.Connection(str(own))
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE accounts SET refused = 999")
    for command in READERS[:-1]:
        done = run(*command, "--db", own)
        assert done.code == 0, done.err
        assert "999" not in done.out
    writer.execute("COMMIT")
    writer.close()
    assert "999" in run("status", "--db", own).out


def test_reading_never_writes(run, own):
    """Reading commands change no byte of the database file, and work where the file may not be written."""
    before = own.read_bytes()
    own.chmod(stat.S_IRUSR)
    for command in READERS[:-1]:
        assert run(*command, "--db", own).code == 0
    assert own.read_bytes() == before


def test_live_ledger(run, own):
    """While a thread books calls, commands read on, and nothing that is booked meanwhile is lost."""
    ledger, stop, booked = open_ledger(own), threading.Event(), []

    def work():
        while not stop.is_set():
            call = f"live{len(booked)}"
            entry = Entry(id=call, at=filled.NOW, status=Status.SETTLED, session="live", cost=1_000)
            ledger.settle(entry, ["all", "session=live"], Amounts(usd=1_000, calls=1), now=filled.NOW)
            booked.append(call)

    before = json.loads(run("status", "--db", own, "--json").out)["total"]["calls"]
    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(3):
            for command in READERS[:-1]:
                assert run(*command, "--db", own).code == 0
    finally:
        stop.set()
        thread.join()
        ledger.close()
    assert booked
    assert json.loads(run("status", "--db", own, "--json").out)["total"]["calls"] == before + len(booked)


def test_export_adds_up(run, story, tmp_path):
    """CSV and JSON have the documented columns and the same rows; what was billed adds up to the ledger's total."""
    total = Decimal(json.loads(run("status", "--db", story, "--json").out)["total"]["usd"])
    rows = list(csv.DictReader(io.StringIO(run("export", "--db", story).out)))
    assert tuple(rows[0]) == COLUMNS
    assert sum(Decimal(row["BilledCost"]) for row in rows) == total
    target = tmp_path / "calls.json"
    assert run("export", "--db", story, "--format", "json", "-o", target).out == ""
    found = json.loads(target.read_text("utf-8"))
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in found] == rows
    with_refused = list(csv.DictReader(io.StringIO(run("export", "--db", story, "--with-refused").out)))
    refused = [row for row in with_refused if row["x_Status"] == "refused"]
    assert len(with_refused) == len(rows) + 15 == len(rows) + len(refused)
    assert {row["BilledCost"] for row in refused} == {"0"}
    assert sum(Decimal(row["x_QuotedCost"]) for row in refused) == 14 * Decimal("0.0315")


def test_export_some(run, story):
    """--json is --format json, --limit takes the latest so many, and --since and --until a stretch of time."""
    everything = json.loads(run("export", "--db", story, "--format", "json").out)
    assert json.loads(run("export", "--db", story, "--json").out) == everything
    assert json.loads(run("export", "--db", story, "--json", "--limit", "7").out) == everything[:7]
    middle = ("--since", "2027-01-14T12:00:00+00:00", "--until", "2027-01-15T00:00:00+00:00")
    found = json.loads(run("export", "--db", story, "--json", *middle).out)
    assert found == [
        row for row in everything if "2027-01-14T12:00:00Z" <= row["ChargePeriodStart"] < "2027-01-15T00:00:00Z"
    ]
    assert found


def test_until(run, story):
    """Every command that takes --since takes --until: what they show of two neighbouring times adds up to the whole."""
    edge = "2027-01-15T07:00:00+00:00"

    def of(command, field, *period):
        return json.loads(run(command, "--db", story, "--json", *period).out)[field]

    def calls(*period):
        return {one["id"] for one in of("calls", "calls", "--limit", "0", *period)}

    assert calls("--until", edge) | calls("--since", edge) == calls()
    assert calls("--until", edge) & calls("--since", edge) == set()
    assert (calls("--until", edge), calls("--since", edge)) != (set(), set())

    def refused(*period):
        return sum(one["calls"] for one in of("status", "refused", *period))

    assert refused("--since", "2d", "--until", edge) + refused("--since", edge) == refused("--since", "2d") == 15

    def spent(command, field, *period):
        found = of(command, field, *period)
        return sum(Decimal(one["cost_usd"]) for one in (found if isinstance(found, list) else [found]))

    for command, field in (("sessions", "sessions"), ("report", "total")):
        parts = spent(command, field, "--until", edge), spent(command, field, "--since", edge)
        assert sum(parts) == spent(command, field)
        assert all(parts)


def test_export_months(run, tmp_path):
    """The billing period is the calendar month in UTC, over the end of a year too; the charge period one second."""
    path = tmp_path / "ledger.db"
    ledger = open_ledger(path)
    ledger.settle(
        Entry(id="a", at=1_798_761_599.5, status=Status.SETTLED, cost=1), ["all"], Amounts(usd=1), now=1.0
    )  # 2026-12-31 23:59:59.5
    ledger.close()
    (row,) = csv.DictReader(io.StringIO(run("export", "--db", path).out))
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == ("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z")
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == ("2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z")


def test_prune(run, own):
    """Prune drops exactly the lines that are older, leaves accounts and posted caps as they were, and counts first."""
    before = json.loads(run("status", "--db", own, "--json").out)
    lines = len(json.loads(run("calls", "--db", own, "--limit", "0", "--json").out)["calls"])
    assert json.loads(run("prune", "--db", own, "--before", "10h", "--dry-run", "--json").out)["dropped"] == 0
    found = json.loads(run("prune", "--db", own, "--before", "10h", "--yes", "--json").out)
    assert 0 < found["dropped"] == found["lines"] < lines
    left = json.loads(run("calls", "--db", own, "--limit", "0", "--json").out)["calls"]
    assert len(left) == lines - found["dropped"]
    assert min(one["at"] for one in left) >= "2027-01-14T22:00:00"
    after = json.loads(run("status", "--db", own, "--json").out)
    assert (after["total"], after["limits"]) == (before["total"], before["limits"])


def test_prune_shows_progress(run, crowds, tmp_path):
    """On a terminal a bar goes along; the lines are dropped in stretches, all of them."""
    path = tmp_path / "ledger.db"
    path.write_bytes(crowds[60_000].read_bytes())
    done = run("prune", "--db", path, "--before", "30d", "--yes", tty=True)
    assert done.code == 0
    assert "pruning" in done.plain
    assert "40,000 lines dropped" in done.plain


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1_800), ("1.5h", 5_400), ("2d", 172_800), ("1w", 604_800)]
)
def test_ages(text, seconds):
    """An age counts back from now."""
    assert when(text, now=1_000_000.0) == 1_000_000.0 - seconds


def test_dates():
    """A date and time with a zone is that moment; what is neither age nor date is refused."""
    assert when("2027-01-15T08:00:00+00:00", now=0.0) == filled.NOW
    for bad in ("", "1y", "-1h", "noon"):
        with pytest.raises(ConfigurationError, match="--since is"):
            when(bad, now=0.0)


def test_patterns(run, story):
    """Filters take whole names, or patterns with * and ?."""

    def found(*filters):
        return {
            one["session"] for one in json.loads(run("sessions", "--db", story, "--json", *filters).out)["sessions"]
        }

    assert found("--session", "support-7421") == {"support-7421"}
    assert found("--session", "support-742?") == {"support-7421", "support-7422"}
    assert found("--session", "support") == set()
    assert found("--agent", "*er") == {"research-loop", "nightly-summary"}
    assert found("--user", "ann") == {"research-loop", "nightly-summary"}
    assert found("--user", "b?b") == {"support-7421", "support-7422"}
    assert found("--user", "an") == set()


def test_without_the_extra(run_python):
    """Without typer one line on stderr names the extra, and the exit code is 2."""
    script = "import sys; sys.modules['typer'] = None; from agent_fuse.cli import main; main(['status'])"
    done = run_python(script, check=False)
    assert done.returncode == 2
    assert done.stderr == "agent-fuse: typer is missing; install the command line with: pip install 'agent-fuse[cli]'\n"


def test_start_is_light(story):
    """status, calls and report load neither OpenTelemetry, nor the price data, nor an SDK."""
    script = """
import sys
from agent_fuse.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
heavy = {"opentelemetry", "genai_prices", "openai", "anthropic", "langchain_core", "tiktoken", "httpx"}
print(sorted(heavy & set(sys.modules)))
"""
    for command in (["status"], ["calls", "--since", "1h"], ["report", "-o", os.devnull]):
        done = subprocess.run(
            [sys.executable, "-c", script, *command, "--db", str(story)], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "[]"


def test_entry_point(story):
    """`agent-fuse` is installed as a program, and a closed pipe ends it quietly."""
    program = Path(sys.executable).with_name("agent-fuse")
    done = subprocess.run(
        f"'{program}' export --db '{story}' | head -1", shell=True, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("BilledCost,")
    assert done.stderr == ""


@pytest.mark.parametrize("key", [b"q", b"\x03"], ids=["q", "ctrl-c"])
def test_top_lives_until_a_key(story, key):
    """On a real terminal top takes the screen, draws frame after frame, and a key ends it with 0 and the screen back."""
    program = Path(sys.executable).with_name("agent-fuse")
    child, terminal = pty.fork()
    if not child:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background has it ignored
        os.environ.update(COLUMNS="80", LINES="24", TERM="xterm-256color")
        os.execv(program, [str(program), "top", "--every", "0.1", "--db", str(story)])
    seen, pressed = b"", False
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # how Linux tells that the other side is gone
            break
        if not part:
            break
        seen += part
        if not pressed and seen.count(b"q ends") >= 2:
            os.write(terminal, key)
            pressed = True
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    assert seen.index(b"\x1b[?1049h") < seen.index(b"an hour") < seen.index(b"\x1b[?1049l")


def test_no_is_told_in_a_line(tmp_path):
    """Who is asked at a terminal and says no is told that nothing was done, and nothing was."""
    open_ledger(tmp_path / "ledger.db").close()
    terminal, other = os.openpty()
    words = [PROGRAM, "stop", "all", "--db", str(tmp_path / "ledger.db")]
    with subprocess.Popen(words, stdin=other, stdout=other, stderr=subprocess.PIPE, text=True) as asked:
        os.write(terminal, b"n\n")
        assert asked.stderr.read().strip() == "agent-fuse: nothing was done"
    os.close(terminal)
    os.close(other)
    assert asked.returncode == 1
    assert control.in_force(db_path=str(tmp_path / "ledger.db")) == []
