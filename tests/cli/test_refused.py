"""What refused whom, as an operator sees it: the limit that refused, what to do, and an exit code for a cron job."""

import json

import pytest

from agent_fuse import Limit, SentinelBudgetExceeded, call, control, pre_flight, session
from agent_fuse.accounting import paused_calls
from agent_fuse.accounting.paused_calls import PausedCall
from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Amounts, Meter
from cli import filled

LIMITS = (Limit(usd=5), Limit(usd="0.02", per="user.id"), Limit(usd=10, per="all"), Limit(calls=100, per="agent"))


@pytest.fixture
def books(box, tmp_path):
    """A ledger in which one limit of four refused one call, by a real fuse, at the story's time."""
    path = tmp_path / "books.db"
    box(limits=LIMITS, db_path=str(path), clock=lambda: filled.NOW - 60)
    with session("req-1", user_id="ann"), pytest.raises(SentinelBudgetExceeded):
        [pre_flight("gpt-4o", 1000, 500) for _ in range(3)]
    return path


def test_calls_say_which_limit_refused(run, books):
    """`calls --refused` names the limit and whose it is, its figures and what to do: in a table, in a pipe, as JSON."""
    (line,) = json.loads(run("calls", "--refused", "--db", books, "--json").out)["calls"]
    assert line["refused_by"] == {
        "limit": "$0.02 per user.id",
        "per": "user.id",
        "value": "ann",
        "meter": "usd",
        "cap": "0.02",
        "spent": "0",
        "held": "0.015",
        "requested": "0.0075",
        "advice": "it fits if the open calls cost less than they hold: try again when they have ended, or raise the limit",
    }
    piped = run("calls", "--refused", "--db", books).out
    assert "$0.02 per user.id ann" in piped
    assert piped.rstrip().endswith("or raise the limit")
    shown = run("calls", "--refused", "--db", books, tty=True).plain
    assert "$0.02 per user.id ann" in shown
    assert "it fits if the open calls cost less than they hold" in shown


def test_status_counts_on_the_limit_that_refused(run, books):
    """The refusal counts on that limit and on no other, the last line names it, and the exit code is 1."""
    done = run("status", "--db", books, "--json")
    found = json.loads(done.out)
    assert done.code == 1
    assert {(one["account"], one["meter"]): one["refused"] for one in found["limits"]} == {
        ("all", "usd"): 0,
        ("session=req-1", "usd"): 0,
        ("user.id=ann", "usd"): 1,
        ("agent=(none)", "calls"): 0,
    }
    assert found["tightest"]["account"] == "user.id=ann"
    text = run("status", "--db", books).out
    assert "1 call was refused in the last hour:\n  1 by $0.02 per user.id ann; it fits if" in text
    assert text.splitlines()[-1] == "Tightest: $0.02 per user.id ann, 75 % used, $0.0050 left."


def test_a_refusal_passes_with_time(run, books):
    """What was refused before --since, or after --until, is not held against a ledger that is well."""
    assert run("status", "--db", books, "--since", "59s").code == 0
    assert run("status", "--db", books, "--since", "61s").code == 1
    assert run("status", "--db", books, "--since", "1h", "--until", "61s").code == 0


@pytest.mark.parametrize(
    ("account", "code"), [("user.id=ann", 1), ("session=req-1", 0), ("all", 0), ("agent=(none)", 0)]
)
def test_status_of_one_account(run, books, account, code):
    """With --account only what its own limits refused counts."""
    assert run("status", "--db", books, "--account", account).code == code


def test_a_loop_counts_too(run, own):
    """A tool loop that was cut makes status exit with 1, and is told with its tool; also for its session alone."""
    done = run("status", "--db", own, "--since", "2h", "--until", "66m")
    assert done.code == 1
    assert "  1: loop of search; change what the agent does, or give search a higher threshold" in done.out
    assert run("status", "--db", own, "--since", "2h", "--until", "66m", "--account", "session=research-loop").code == 1
    assert run("status", "--db", own, "--since", "2h", "--until", "66m", "--account", "session=support-7421").code == 0


def test_lines_of_an_older_version(run, own):
    """A refusal that an older version wrote has no limit to name: it counts, and says its reason."""
    ledger = open_ledger(own)
    ledger.refuse(Entry(id="old", at=filled.NOW - 5, status=Status.REFUSED, reason="budget"), ["all"], now=filled.NOW)
    ledger.close()
    done = run("status", "--db", own, "--since", "1m")
    assert (done.code, "  1: budget\n" in done.out) == (1, True)
    (line,) = json.loads(run("calls", "--refused", "--db", own, "--since", "1m", "--json").out)["calls"]
    assert line["refused_by"] is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("research-loop", "did you mean 'session=research-loop'?"),
        ("user.id=an", "did you mean 'user.id=ann'?"),
        ("nope", "accounts are named key=value, such as session=run-1, or all"),
    ],
)
def test_an_account_that_is_not_there(run, own, name, hint):
    """A name that is no account is bad usage, not an account without limits: exit code 2, with what was perhaps meant."""
    done = run("status", "--db", own, "--account", name)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"agent-fuse: --account is {name!r}, and the ledger has no such account; {hint}\n"


def test_an_account_without_a_limit(run, own):
    """An account that no limit is on says so, with what it spent."""
    ledger = open_ledger(own)
    entry = Entry(id="x", at=filled.NOW, status=Status.SETTLED, cost=5)
    ledger.settle(entry, ["all", "team=red"], Amounts(usd=2_500_000_000), now=filled.NOW)
    ledger.close()
    done = run("status", "--db", own, "--account", "team=red")
    assert "No limit is known for this account; $2.50 is spent on it." in done.out


def test_before_the_first_call(run, box, tmp_path):
    """A ledger that no call was made on yet says so and what the limits are: not that none is known."""
    path = tmp_path / "new.db"
    box(budget=1, limits=Limit(calls=7, per="agent"), db_path=str(path))
    done = run("status", "--db", path)
    assert done.out.endswith("No call has met a limit yet. The limits are 7 calls per agent, $1.00 per session.\n")
    assert done.code == 0
    box(budget=1, limits=Limit(calls=7, per="all"), db_path=str(path))
    done = run("status", "--db", path)
    assert "No call has met yet: 7 calls per agent, $1.00 per session." in done.out
    assert done.out.endswith("Tightest: 7 calls in all, 0 % used, 7 left.\n")


def test_status_shows_the_sum(box, run, tmp_path):
    """Beside the sessions stands what all spent together, in all and today, and whether anything caps it."""
    path = tmp_path / "l.db"
    for day, calls in ((86_400, 2), (0, 3)):
        box(budget="0.05", db_path=str(path), clock=lambda day=day: filled.NOW - 60 - day)
        for number in range(calls):
            with session(f"req-{day}-{number}"), call("gpt-4o", 1000, 500):
                pass
    line = "All sessions together: $0.0375 spent, $0.0225 of it today (UTC)"
    assert f"{line}; no total_budget caps the sum.\n" in run("status", "--db", path).out
    assert json.loads(run("status", "--db", path, "--json").out)["today_usd"] == "0.0225"
    box(budget="0.05", total_budget=1, db_path=str(path))
    assert f"{line}.\n" in run("status", "--db", path).out


def test_status_says_nothing_of_today_where_nobody_notes_it(box, run, tmp_path):
    """With a cap on everything no fuse notes what a day began with: today's sum is unknown, which is not 0."""
    path = tmp_path / "l.db"
    box(budget="0.05", total_budget=1, db_path=str(path), clock=lambda: filled.NOW - 60)
    with session("req"), call("gpt-4o", 1000, 500):
        pass
    assert "All sessions together: $0.0075 spent.\n" in run("status", "--db", path).out
    assert json.loads(run("status", "--db", path, "--json").out)["today_usd"] is None


@pytest.mark.parametrize("command", [["status"], ["calls"]])
def test_a_name_that_no_file_can_have(run, tmp_path, command):
    """One line, and no traceback."""
    done = run(*command, "--db", tmp_path / ("x" * 300))
    assert (done.code, len(done.err.splitlines())) == (3, 1)
    assert done.err.startswith("agent-fuse: ledger ")


@pytest.mark.parametrize("command", [["status"], ["calls"], ["report", "-o", "-"], ["export"], ["top", "--once"]])
def test_a_folder_is_no_ledger(run, tmp_path, command):
    """A folder given for a ledger is called one, in one line."""
    done = run(*command, "--db", tmp_path)
    assert (done.code, done.err) == (
        3,
        f"agent-fuse: ledger {tmp_path}: open failed: it is a folder; name the file of the ledger in it\n",
    )


@pytest.mark.parametrize("width", [30, 50, 80, 200])
@pytest.mark.parametrize(
    "command", [["status"], ["calls", "--refused"], ["calls"], ["sessions"], ["top", "--once", "--window", "3h"]]
)
def test_every_width(run, story, monkeypatch, width, command):
    """No line is wider than the terminal, whatever its width, and dollars are never cut."""
    from rich.cells import cell_len

    monkeypatch.setenv("COLUMNS", str(width))
    out = run(*command, "--db", story, tty=True).plain.replace(str(story), "LEDGER")
    assert max(map(cell_len, out.splitlines())) <= width
    if width >= 50:
        assert "$0.2463" in out or command[0] == "calls"


@pytest.mark.parametrize(
    ("stopped", "waiting", "said"),
    [
        ((), 0, ""),
        (("run-1",), 0, "session=run-1 is stopped"),
        (("run-1", "run-2"), 1, "1 call waits for an answer, 2 accounts are stopped"),
        (("run-1", "all"), 2, "2 calls wait for an answer, everything is stopped"),
    ],
)
def test_what_waits_and_what_is_stopped_is_told_first_of_all(run, tmp_path, stopped, waiting, said):
    """By `status` and `top`, each of which someone looks at who wonders why an agent stands still."""
    path = str(tmp_path / "l.db")
    facts = {"limit": "$1.00", "meter": Meter.USD, "short": 1, "session": "s", "agent": "", "model": "m"}
    those = {
        str(number): PausedCall(id=str(number), at=filled.NOW, until=filled.NOW + 60, account="all", **facts)
        for number in range(waiting)
    }
    ledger = open_ledger(path)
    paused_calls.change(ledger, lambda known: known.update(those), filled.NOW)
    ledger.close()
    for one in stopped:
        control.stop(one, db_path=path)
    for words in (("status",), ("top", "--once")):
        shown = run(*words, "--db", path).out
        assert f"{said}: agent-fuse limits tells more.\n" in shown if said else "agent-fuse limits" not in shown
