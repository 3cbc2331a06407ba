"""A hand on the switch: what is decided in one process binds the next gate of every other, and is written down."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

import agent_fuse
from agent_fuse import SentinelBudgetExceeded, SentinelError, control
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.ledgers.reading import open_reader
from agent_fuse.limits import Caller, Limit, Session
from agent_fuse.sightings import Outcome
from agent_fuse.testing import LoopbackProvider
from fuses import Desk

AGENT = """
import openai, sys, agent_fuse
agent_fuse.init(budget=0.02)
client = openai.OpenAI(max_retries=0)
for said in sys.stdin:
    with agent_fuse.session("run-1", user_id="ann"):
        try:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": said}], max_tokens=100)
            print("sent", flush=True)
        except agent_fuse.SentinelBudgetExceeded as trip:
            print(trip.kind, trip, flush=True)
"""


@pytest.fixture
def path(tmp_path):
    open_ledger(tmp_path / "ledger.db").close()
    return str(tmp_path / "ledger.db")


@pytest.fixture
def cli(path):
    def run(*words, code=0):
        command = [str(Path(sys.executable).with_name("agent-fuse")), *words, "--db", path]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"})
        assert done.returncode == code, done.stdout + done.stderr
        return (done.stdout + done.stderr).strip()

    return run


def test_a_running_agent_is_stopped_resumed_and_topped_up_from_another_terminal(path, cli):
    with LoopbackProvider() as provider:
        environ = os.environ | {
            "AGENTFUSE_DB_PATH": path,
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": provider.openai_base_url,
        }
        with subprocess.Popen(
            [sys.executable, "-c", AGENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
        ) as agent:

            def turn():
                agent.stdin.write("go on\n")
                agent.stdin.flush()
                return agent.stdout.readline().strip()

            assert turn() == "sent"
            for what in ("run-1", "user.id=ann", "model=gpt-4o", "all"):
                sent = len(provider.served)
                said = cli(
                    "stop", what, "--why", "it runs in circles", "--who", "bea", *(["--yes"] if what == "all" else [])
                )
                assert "is stopped by bea (it runs in circles); from its next call on, in every process." in said
                refused = turn()
                assert refused.startswith("stopped call to gpt-4o refused before it was sent: ")
                assert "was stopped by bea at 20" in refused
                assert f"agent-fuse resume {'session=' if what == 'run-1' else ''}{what}" in refused
                assert len(provider.served) == sent, "it was sent all the same"
                resumed = cli("resume", what, "--who", "bea", *(["--yes"] if what == "all" else []))
                assert " is resumed by bea; from its next call on" in resumed
                if what != "all":
                    continue
            while turn() == "sent":
                pass
            assert "topped up by $0.05 by" in cli("top-up", "run-1", "0.05")
            assert turn() == "sent"
            while (last := turn()) == "sent":
                pass
            assert "of the limit of $0.02 per session 'run-1' topped up by $0.05" in last
            agent.stdin.close()
    said = cli("limits")
    assert "session=run-1 is topped up by $0.05 by" in said
    assert "stop all by bea: it runs in circles" in said
    decisions = json.loads(cli("limits", "--json"))["decisions"]
    assert [one["what"] for one in decisions] == ["top-up", *["resume", "stop"] * 4]
    refused = json.loads(cli("calls", "--refused", "--json", "--limit", "50"))["calls"]
    assert {one["reason"] for one in refused} == {"stopped", "budget"}


def test_everything_is_asked_for_twice(cli, path):
    open_ledger(path).close()
    assert "add --yes, or name an account" in cli("stop", "all", code=2)
    assert not open_reader(path).controls()
    assert "No call was booked on session=typo so far: is it spelt" in cli("stop", "typo")
    assert "No call was booked on sesion=a so far: did you mean session=a?" in cli("stop", "sesion=a")


def test_a_top_up_for_an_hour_ends_in_an_hour(cli, path):
    """`--until` looks ahead: a length is from now on, not the age that it is with `--since`."""
    before = time.time()
    cli("top-up", "run-1", "2", "--until", "1h")
    (found,) = control.in_force(db_path=path)
    assert before + 3_600 <= found.top_ups[0].until <= time.time() + 3_600


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("", "name a session, key=value such as user.id=ann, or all"),
        ("user.id=", "after user.id= comes whose it is"),
        ("=ann", "before = comes a key"),
        (None, "account is None"),
    ],
)
def test_an_account_that_cannot_be(what, words, path):
    with pytest.raises(ConfigurationError, match="account is") as caught:
        control.stop(what, db_path=path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "exactly one of usd, tokens"),
        ({"usd": 1, "calls": 2}, "exactly one of usd, tokens"),
        ({"usd": -1}, "top-up usd is -1"),
        ({"calls": 0}, "top-up calls=0; it must be a whole number, 1 or more"),
        ({"tokens": 1.5}, "top-up tokens=1.5"),
        ({"usd": 0}, "top-up usd is 0; it must be more than 0"),
        ({"usd": 1, "until": 5}, "until is 5; it must be a datetime, or a timedelta from now"),
        ({"usd": 1, "until": "18:00"}, "until is '18:00'; it must be a datetime"),
        ({"usd": 1, "until": timedelta(0)}, "which is past; name a time to come"),
        ({"usd": 1, "until": datetime.min.replace(tzinfo=UTC)}, "which is past; name a time to come"),
        ({"usd": 1, "who": ["ann"]}, "who is ['ann']; it must be a text"),
        ({"usd": 1, "why": 5}, "why is 5; it must be a text"),
    ],
)
def test_a_top_up_that_cannot_be(given, words, path):
    with pytest.raises(ConfigurationError) as caught:
        control.top_up("run-1", db_path=path, **given)
    assert words in str(caught.value)
    assert not control.in_force(db_path=path)


@pytest.mark.parametrize("act", [partial(control.stop, "all"), partial(control.top_up, "run-1", 1), control.in_force])
def test_a_slip_in_the_name_of_the_ledger_is_told(act, tmp_path):
    """What is stopped in a ledger that nobody uses goes on; it makes no new one."""
    with pytest.raises(LedgerError, match="there is no such file; name another one"):
        act(db_path=str(tmp_path / "slip.db"))
    assert not list(tmp_path.iterdir())


def test_spellings_of_a_key_are_one_key(path):
    assert control.stop("user_id=ann", db_path=path).account == "user.id=ann"
    assert control.stop("session.id=run-1", db_path=path).account == "session=run-1"
    assert [one.account for one in control.in_force(db_path=path)] == ["session=run-1", "user.id=ann"]
    control.resume("user.id=ann", db_path=path)
    assert [one.account for one in control.in_force(db_path=path)] == ["session=run-1"]


def spend(desk, **facts):
    desk.fuse.close_call(desk.fuse.open_call(desk.ask(**facts)), outcome=Outcome.DONE)


def test_tools_and_gates_that_only_look_are_stopped_too():
    from agent_fuse.accounting.call_request import Stage

    desk = Desk(budget=1)
    caller = Caller(session=Session(id="s"), agent="writer")
    desk.fuse.actions.open(caller, "search", {})
    desk.ledger.control("agent=writer", None, json.dumps({"stopped": True}), now=desk.clock())
    with pytest.raises(SentinelBudgetExceeded, match="tool 'search' refused before it was sent: agent 'writer'"):
        desk.fuse.actions.open(caller, "search", {"q": 2})
    with pytest.raises(SentinelBudgetExceeded, match="agent 'writer' was stopped"):
        desk.fuse.open_call(desk.ask(caller=caller, stage=Stage.UNNAMED))
    spend(desk)


def test_a_top_up_ends(path):
    found = control.top_up("run-1", calls=3, until=timedelta(hours=1), db_path=path)
    assert found.top_ups[0].until == pytest.approx(found.at + 3600)
    again = control.top_up("run-1", usd=2, db_path=path)
    assert len(again.top_ups) == 2


def test_a_stop_of_everything_binds_without_a_limit():
    desk = Desk(budget=None, limits=[Limit(calls=9)])
    desk.ledger.control("all", None, json.dumps({"stopped": True}), now=desk.clock())
    with pytest.raises(SentinelError, match="everything was stopped at"):
        spend(desk)


def test_what_is_left_is_told_with_what_was_granted(box):
    """Of each meter the tightest limit, topped up; in words fit for a model; and that it was stopped."""
    box(limits=[Limit(usd=0.02), Limit(usd=1, per="all"), Limit(calls=4, window="day"), Limit(seconds=600)])
    with agent_fuse.session("run-1"):
        assert str(agent_fuse.remaining()) == "$0.02, 4 calls and 600 seconds are left, 100% of the tightest limit"
        agent_fuse.pre_flight("gpt-4o", 1000, 500)
        agent_fuse.post_flight("gpt-4o", 1000, 500)
        left = agent_fuse.remaining()
        assert (left.usd, left.calls, left.tokens, left.share) == (Decimal("0.0125"), 3, None, 0.625)
        control.top_up("run-1", "0.02")
        assert agent_fuse.remaining().usd == Decimal("0.0325")
        assert agent_fuse.monitor().budget_remaining_usd == Decimal("0.0325")
        control.stop("run-1")
        assert str(agent_fuse.remaining()) == "nothing is left: a person stopped this work"


@pytest.mark.parametrize(
    ("limit", "words"),
    [(Limit(usd=0.01), "$0.0025 is left, 25% of the"), (Limit(calls=2), "1 call is left, 50% of the")],
)
def test_what_is_left_of_little_is_told_as_what_it_is(box, limit, words):
    """A model that has the last quarter of a cent is not told that it has nothing."""
    box(limits=[limit])
    agent_fuse.pre_flight("gpt-4o", 1000, 500)
    assert str(agent_fuse.remaining()) == f"{words} tightest limit"


def test_without_a_limit_nothing_is_said_to_be_left(box):
    box(limits=[Limit(calls=5, per="user.id")])
    assert (str(agent_fuse.remaining()), agent_fuse.remaining().share) == ("there is no limit", 1.0)
