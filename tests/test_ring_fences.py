"""Ring-fenced sessions: a share of what is left is kept for a session inside, from all around it, until it ends."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
from contextvars import Context
from decimal import Decimal

import pytest

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded, control
from agent_fuse.calls import to_nanos
from agent_fuse.cli import main
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.controls import read
from agent_fuse.ring_fences import LONGEST, drop_dead
from agent_fuse.testing import assert_books_balance

CALL = "0.10"


def spend(usd=CALL):
    with agent_fuse.charge("work", usd=usd):
        pass


def how_often(usd=CALL):
    """How many such calls go, until one is refused."""
    for times in range(1_000):
        try:
            spend(usd)
        except SentinelBudgetExceeded:
            return times
    raise AssertionError("no limit binds")


@pytest.mark.parametrize("budget", ["20%", 0.20])
def test_inside_it_is_there_and_afterwards_for_all(box, budget) -> None:
    one = box(budget=1)
    with agent_fuse.session("team"):
        with (
            agent_fuse.session("helper", budget=budget, ring_fenced=True),
            agent_fuse.session("its own helper"),
        ):
            assert agent_fuse.remaining().usd == Decimal("0.2")
        assert agent_fuse.remaining().usd == 1
    assert one.books.open_holds() == []


def test_the_parent_is_refused_while_it_stands_and_gets_the_rest_when_it_ends(box) -> None:
    """The parent works in another thread, as an agent that handed work over does."""
    box(budget=1)
    found = {}
    with agent_fuse.session("team"):
        opened, over = threading.Event(), threading.Event()

        def help_out():
            with agent_fuse.session("helper", budget="20%", ring_fenced=True):
                spend()
                opened.set()
                assert over.wait(20)
                found["left"] = agent_fuse.remaining().usd
                found["calls"] = how_often()

        thread = threading.Thread(target=help_out)
        thread.start()
        assert opened.wait(20)
        assert agent_fuse.remaining().usd == Decimal("0.8")
        assert how_often("0.05") == 16
        with pytest.raises(SentinelBudgetExceeded, match="held") as trip:
            spend("0.01")
        assert trip.value.held == Decimal("0.1")
        over.set()
        thread.join()
        assert found == {"left": Decimal("0.1"), "calls": 1}
        assert how_often() == 0
    assert agent_fuse.monitor("team").session_spend_usd == 1


def test_what_is_left_of_it_comes_back(box) -> None:
    one = box(budget=1)
    with agent_fuse.session("team"):
        with agent_fuse.session("helper", budget="50%", ring_fenced=True):
            spend()
        assert how_often() == 9
    assert one.fuse.ledger.controls() == {}
    assert_books_balance(one.fuse.ledger)


def test_it_comes_back_from_a_session_that_fails(box) -> None:
    one = box(budget=1)
    with agent_fuse.session("team"):
        with pytest.raises(ZeroDivisionError), agent_fuse.session("helper", budget="50%", ring_fenced=True):
            1 / 0  # noqa: B018
        assert how_often() == 10
    assert one.fuse.ledger.controls() == {}


def test_every_limit_in_dollars_around_it_keeps_it(box) -> None:
    """Another session of the same user, and of everything, too."""
    box(budget=1, total_budget=1, limits=[Limit(usd=1, per="user.id")])
    with agent_fuse.session("team", user_id="ann"), agent_fuse.session("helper", budget="30%", ring_fenced=True):
        thread_found = []

        def elsewhere():
            with agent_fuse.session("other", user_id="ann"):
                thread_found.append(how_often())
            with agent_fuse.session("another", user_id="bob"):
                thread_found.append(how_often())

        carried = threading.Thread(target=elsewhere)
        Context().run(carried.start)
        carried.join()
        assert thread_found == [7, 0]
        assert how_often() == 3


def test_a_slice_of_a_slice(box) -> None:
    """It is a part of the one around it, and counted once on what is around both."""
    box(budget=1)
    with agent_fuse.session("team"):
        with agent_fuse.session("helper", budget="50%", ring_fenced=True):
            with agent_fuse.session("inner", budget="40%", ring_fenced=True):
                assert agent_fuse.remaining().usd == Decimal("0.2")
                assert how_often() == 2
            assert how_often() == 3
        assert how_often() == 5


def test_more_than_is_left_cannot_be_kept(box) -> None:
    box(budget=1)
    with agent_fuse.session("team"):
        spend("0.95")
        with (
            pytest.raises(SentinelBudgetExceeded, match=r"\$0.10 for session 'helper' cannot be ring-fenced"),
            agent_fuse.session("helper", budget=0.10, ring_fenced=True),
        ):
            raise AssertionError("it was opened")
        assert how_often("0.01") == 5, "and nothing stays kept"


def test_shares_taken_at_once_are_each_of_what_the_others_left(box) -> None:
    """Eight threads take half of what is left: all together never more than there is."""
    box(budget=1)
    with agent_fuse.session("team"):
        ready = threading.Barrier(8)
        spent = []

        def take(number):
            with agent_fuse.session(f"helper-{number}", budget="50%", ring_fenced=True):
                left = agent_fuse.remaining().usd
                ready.wait(20)
                spend(left)
                spent.append(left)
                ready.wait(20)

        threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert sorted(spent, reverse=True) == [Decimal(1) / 2**n for n in range(1, 9)]


def test_a_process_that_died_keeps_nothing(box) -> None:
    """Whoever opens the ledger next takes its fences down; those of a live one stand, until they are too old."""
    one = box(budget=1)
    with agent_fuse.session("team"), agent_fuse.session("helper", budget="50%", ring_fenced=True):
        ledger, now = one.fuse.ledger, one.fuse.clock()
        drop_dead(ledger, now)
        (name,) = ledger.controls()
        text = ledger.controls()[name]
        (fence,) = read({name: text}).by_account[name].fences
        assert abs(fence.until - now - LONGEST) < 60
        gone = text.replace(f'"pid": {fence.pid}', '"pid": 4194303')
        assert ledger.control(name, text, gone, now=now)
        box(budget=1, db_path=str(one.fuse.settings.db_path))
        assert ledger.controls() == {}


def test_stopping_a_session_leaves_what_is_kept_on_it(box) -> None:
    one = box(budget=1)
    with agent_fuse.session("team"), agent_fuse.session("helper", budget="50%", ring_fenced=True):
        control.stop("team", db_path=str(one.fuse.settings.db_path))
        control.resume("team", db_path=str(one.fuse.settings.db_path))
        (found,) = control.in_force(db_path=str(one.fuse.settings.db_path))
        assert [fence.amount for fence in found.fences] == [to_nanos("0.5")]


def test_nothing_is_kept_where_nothing_binds(box) -> None:
    one = box(limits=[Limit(calls=5)])
    with agent_fuse.session("alone", budget=0.5, ring_fenced=True):
        assert one.fuse.ledger.controls() == {}
        assert how_often() == 5
    with (
        pytest.raises(ConfigurationError, match="no limit in USD binds it"),
        agent_fuse.session("share", budget="20%", ring_fenced=True),
    ):
        pass
    with pytest.raises(ConfigurationError, match="is ring_fenced and has no budget"):
        agent_fuse.session("none", ring_fenced=True)


def test_observe_mode_keeps_nothing(box) -> None:
    one = box(budget=1, mode="observe")
    with agent_fuse.session("team"), agent_fuse.session("helper", budget="50%", ring_fenced=True):
        assert one.fuse.ledger.controls() == {}


KILLED = """
import os, signal, sys
import agent_fuse
from agent_fuse import ring_fences
ring_fences._change = lambda *given, **named: os.kill(os.getpid(), signal.SIGKILL)
agent_fuse.init(limits=[agent_fuse.Limit(usd=1)], db_path=sys.argv[1])
with agent_fuse.session("team"), agent_fuse.session("helper", budget="50%", ring_fenced=True):
    print("never")
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_process_killed_while_it_puts_one_up_spends_nothing(box, request, tmp_path, kind) -> None:
    """Between the hold and the fence: the next guard gives the place back."""
    url = str(tmp_path / "killed.db") if kind == "sqlite" else request.getfixturevalue("postgres").database()
    done = subprocess.run([sys.executable, "-c", KILLED, url], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "")
    with contextlib.closing(open_ledger(url)) as left:
        assert [one.amounts.usd for one in left.holds()] == [to_nanos("0.5")]
    one = box(budget=1, db_path=url)
    assert one.books.open_holds() == []
    assert one.spent("team") == 0
    with agent_fuse.session("team"):
        assert how_often() == 10


def test_commands_tell_what_is_kept(box, capsys) -> None:
    one = box(budget=1)
    with agent_fuse.session("team"), agent_fuse.session("helper", budget="50%", ring_fenced=True):
        spend()
        path = str(one.fuse.settings.db_path)
        told = {}
        for command in ("status", "limits"):
            with pytest.raises(SystemExit):
                main([command, "--db", path, "--json"])
            told[command] = json.loads(capsys.readouterr().out)
        with pytest.raises(SystemExit):
            main(["limits", "--db", path])
        words = " ".join(capsys.readouterr().out.split())
    (team,) = [limit for limit in told["status"]["limits"] if limit["account"] == "session=team"]
    assert (team["spent"], team["held"], team["left"]) == ("0.1", "0.4", "0.5")
    assert [(kept["for"], kept["usd"]) for kept in told["limits"]["in_force"][0]["kept"]] == [("session=helper", "0.5")]
    assert "session=team: $0.50 of it is kept for session=helper" in words
