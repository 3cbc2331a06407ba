"""Limits that ask a person: a paused call goes, or is refused, by what is decided elsewhere; silence refuses it."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import openai
import pytest

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded, control
from agent_fuse.accounting import paused_calls, waits
from agent_fuse.alert import AlertKind
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Meter
from agent_fuse.ledgers.controls import TopUp
from agent_fuse.sightings import Outcome
from agent_fuse.testing import FakeClock, LoopbackProvider
from alone import leave_nobody
from fuses import PRICE, Desk

TIGHT = Limit(usd="0.01", on_tight="pause", pause_for=60)
"""Admits one call of the desk, and not a second."""
ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 90}


@pytest.fixture
def desk(monkeypatch):
    """Makes a fuse whose waits move its clock; `meanwhile` runs in each."""

    def make(*limits, **options):
        return Desk(limits=limits, budget=None, **options).sleeping(monkeypatch)

    return make


def spend(desk, **facts):
    desk.fuse.close_call(desk.fuse.open_call(desk.ask(**facts)), outcome=Outcome.DONE)


def waiting(desk):
    return list(paused_calls.change(desk.ledger, lambda _: None, desk.clock()).values())


def test_silence_refuses(desk):
    """Nobody answers for as long as the limit waits: the trip says so, and nothing is held or asked any more."""
    one = desk(TIGHT)
    spend(one)
    with pytest.raises(SentinelBudgetExceeded, match="nobody answered within 60 seconds") as caught:
        spend(one)
    assert caught.value.reason == "unanswered"
    assert sum(one.slept) == pytest.approx(60, abs=1)
    assert not waiting(one)
    assert one.held() == 0
    assert [entry.reason for entry in one.books.entries() if entry.refused_by] == ["unanswered"]


def test_a_top_up_lets_it_go(desk):
    one = desk(TIGHT)
    spend(one)

    def meanwhile(_):
        (call,) = waiting(one)
        assert (call.account, call.short, call.session) == ("session=s", 2 * PRICE - 10_000_000, "s")
        one.ledger.control("session=s", None, json.dumps({"top_ups": [{"meter": "usd", "amount": call.short}]}), now=1)

    one.meanwhile = meanwhile
    spend(one)
    assert sum(one.slept) == 0.25
    assert one.spent() == 2 * PRICE
    assert not waiting(one)


def test_a_stop_ends_the_question(desk):
    one = desk(TIGHT)
    spend(one)
    one.meanwhile = lambda _: one.ledger.control("all", None, '{"stopped": true}', now=1)
    with pytest.raises(SentinelBudgetExceeded, match="everything was stopped"):
        spend(one)
    assert not waiting(one)


def test_a_room_that_comes_by_itself_lets_it_go(desk):
    """A window that moves on answers too."""
    one = desk(Limit(calls=1, window="30s"), on_tight="pause", pause_for=100)
    spend(one)
    spend(one)
    assert 29 < sum(one.slept) < 32


def test_every_limit_of_a_fuse_can_pause(desk):
    """The setting is for limits that say nothing; a limit's own word counts."""
    one = desk(Limit(usd="0.01"), on_tight="pause", pause_for=5)
    spend(one)
    with pytest.raises(SentinelBudgetExceeded, match="nobody answered within 5 seconds"):
        spend(one)
    one = desk(Limit(usd="0.01", on_tight="refuse"), on_tight="pause")
    spend(one)
    with pytest.raises(SentinelBudgetExceeded):
        spend(one)
    assert sum(one.slept) == 0


def test_an_interrupt_withdraws_the_question(desk):
    one = desk(TIGHT)
    spend(one)

    def interrupt(_):
        assert waiting(one)
        raise KeyboardInterrupt

    one.meanwhile = interrupt
    with pytest.raises(KeyboardInterrupt):
        spend(one)
    assert not waiting(one)


def test_an_event_loop_that_nobody_can_wait_for_asks_nobody(desk):
    one = desk(TIGHT)

    async def main():
        spend(one)
        with pytest.raises(
            SentinelBudgetExceeded, match="an event loop runs here, where it cannot wait: use the async"
        ):
            spend(one)

    asyncio.run(main())
    assert not waiting(one)


def test_many_that_wait_look_less_often(desk):
    """One event loop judges them one after the other: eight hundred ask eighty times a second, not thousands."""
    one = desk(TIGHT)
    spend(one)
    until = one.clock() + 3600
    crowd = paused_calls.PausedCall(
        id="", at=one.clock(), until=until, account="session=t", limit="$1.00 per session 't'",
        meter=Meter.USD, short=1, session="t", agent="", model="gpt-4o",
    )  # fmt: skip
    others = {str(n): replace(crowd, id=str(n)) for n in range(799)}
    paused_calls.change(one.ledger, lambda those: those.update(others), one.clock())
    with pytest.raises(SentinelBudgetExceeded, match="nobody answered"):
        spend(one)
    assert max(one.slept) == pytest.approx(10)
    assert sum(one.slept) == pytest.approx(60, abs=1)
    assert {call.id for call in waiting(one)} == set(others)


def test_whoever_is_told_may_answer_at_once(desk):
    """The alert comes in a thread of its own, in which a person's program may act on the ledger."""
    told = []

    def answer(alert):
        if alert.kind is AlertKind.PAUSED:
            told.append(alert)
            one.ledger.control("session=s", None, json.dumps({"top_ups": [{"meter": "usd", "amount": PRICE}]}), now=1)
            answered.set()

    answered = threading.Event()
    one = desk(TIGHT, on_warning=answer)
    spend(one)
    one.meanwhile = lambda _: answered.wait(30)
    spend(one)
    (alert,) = told
    assert "agent-fuse approve session=s" in alert.message
    assert "$0.005 more than the limit of $0.01 per session 's' admits" in alert.message


AGENT = """
import openai, agent_fuse
from agent_fuse import Limit
agent_fuse.init(limits=Limit(usd="0.001", on_tight="pause", pause_for=60))
client = openai.OpenAI(max_retries=0)
with agent_fuse.session("run-1"):
    for _ in range(4):
        try:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=90)
            print("sent", flush=True)
        except agent_fuse.SentinelBudgetExceeded as trip:
            print(trip.reason, trip, flush=True)
"""


def test_answers_come_from_another_terminal(tmp_path):
    """A call of another process waits; approved it leaves, denied or stopped it does not."""
    path = str(tmp_path / "ledger.db")
    environ = os.environ | {"AGENTFUSE_DB_PATH": path, "OPENAI_API_KEY": "none", "COLUMNS": "200"}
    cli = str(Path(sys.executable).with_name("agent-fuse"))

    def run(*words):
        return subprocess.run(
            [cli, *words, "--db", path], capture_output=True, text=True, check=True, env=environ
        ).stdout

    def asked():
        return next(found[0] for found in iter(partial(control.paused, db_path=path), None) if found)

    with LoopbackProvider() as provider:
        environ["OPENAI_BASE_URL"] = provider.openai_base_url
        with subprocess.Popen([sys.executable, "-c", AGENT], stdout=subprocess.PIPE, text=True, env=environ) as agent:
            assert agent.stdout.readline() == "sent\n"
            assert (asked().account, asked().meter, asked().model) == ("session=run-1", "usd", "gpt-4o")
            assert "agent-fuse approve session=run-1, or deny" in run("limits")
            assert json.loads(run("limits", "--json"))["paused"][0]["session"] == "run-1"
            assert len(provider.served) == 1
            assert "topped up by" in run("approve", "run-1")
            assert agent.stdout.readline() == "sent\n"
            asked()
            assert run("deny", "run-1", "--why", "enough", "--who", "bea") == "1 call is refused on session=run-1.\n"
            said = agent.stdout.readline()
            assert said.startswith("denied ")
            assert "it was denied by bea (enough)" in said
            asked()
            run("approve", "run-1", "2.00", "--who", "bea")
            assert agent.stdout.readline() == "sent\n"
        assert len(provider.served) == 3
    decided = json.loads(run("limits", "--json"))["decisions"]
    assert [one["what"] for one in decided] == ["top-up", "deny", "top-up"]


def test_an_awaited_call_pauses_without_its_loop(tmp_path):
    """While AsyncOpenAI's call waits, the event loop goes on, and in it the answer is given."""
    leave_nobody()
    path = str(tmp_path / "l.db")
    agent_fuse.init(limits=Limit(usd="0.001", on_tight="pause"), db_path=path)

    async def asked():
        for _ in iter(lambda: bool(control.paused()), True):
            await asyncio.sleep(0.01)

    async def main(provider):
        async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:
            with agent_fuse.session("run-1"):
                await client.chat.completions.create(**ASKED)
                second = asyncio.ensure_future(client.chat.completions.create(**ASKED))
                await asked()
                assert len(provider.served) == 1
                control.approve("run-1", who="ann")
                await second
                third = asyncio.ensure_future(client.chat.completions.create(**ASKED))
                await asked()
                control.deny("run-1")
                with pytest.raises(SentinelBudgetExceeded, match="it was denied"):
                    await third
                last = asyncio.ensure_future(client.chat.completions.create(**ASKED))
                await asked()
                last.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await last
                assert not control.paused(), "it is asked for a call that nobody waits for"

    with LoopbackProvider() as provider:
        asyncio.run(main(provider))
        assert len(provider.served) == 2
    leave_nobody()


def test_nothing_to_answer_is_said(tmp_path):
    path = str(tmp_path / "l.db")
    open_ledger(path).close()
    for answer in (control.approve, control.deny):
        with pytest.raises(ConfigurationError, match="no call is paused on session=run-1"):
            answer("run-1", db_path=path)


def called():
    with agent_fuse.call("gpt-4o", 10, 10) as one:
        one.usage(10, 10)


@pytest.fixture
def approving(box, monkeypatch):
    """A guard under such a limit, and a person who approves whatever has waited for 40 seconds of its clock."""

    def make(limit):
        clock = FakeClock(1_800_000_000.0)
        box(clock=clock, limits=[limit], session_id="s", warn_at="none", busy_wait=0)

        def sleep(seconds):
            clock.advance(seconds)
            patient = [one.account for one in control.paused() if clock() - one.at > 40]
            approved.extend(control.approve(account).top_ups[0] for account in patient)

        approved = []
        monkeypatch.setattr(waits.time, "sleep", sleep)
        return clock, approved

    return make


def test_an_approval_of_seconds_reaches_from_then_on(approving):
    """Time goes by while a call waits: the limit is raised by that too, and ten seconds more."""
    clock, approved = approving(Limit(seconds=5, on_tight="pause", pause_for=60))
    called()
    clock.advance(30)
    called()
    (one,) = approved
    assert (one.meter, 75 <= one.amount <= 77) == ("seconds", True)


def test_an_approval_lets_one_more_call_be_open(approving):
    _, approved = approving(Limit(concurrent=1, on_tight="pause", pause_for=60))
    with agent_fuse.call("gpt-4o", 10, 10):
        called()
    assert [(one.meter, one.amount) for one in approved] == [("concurrent", 1)]


@pytest.mark.parametrize("calls", [1, 4])
def test_an_approval_lets_all_go_that_wait(calls, tmp_path):
    """What they lack together, whatever was left: under $1 of which $0.95 is spent, four times $0.10 lack $0.35."""
    limits = [Limit(usd=1, on_tight="pause", pause_for=60)]
    agent_fuse.init(limits=limits, session_id="s", db_path=str(tmp_path / "l.db"), busy_wait=0, warn_at="none")

    def pay(usd="0.10"):
        with agent_fuse.charge("gpu", usd=usd):
            pass

    pay("0.95")
    with ThreadPoolExecutor(calls) as pool:
        asked = [pool.submit(pay) for _ in range(calls)]
        try:
            wait_for(lambda: len(control.paused()) == calls)
            approved = control.approve("s").top_ups
            wait_for(lambda: all(one.done() for one in asked))
        finally:
            for one in control.paused()[:1]:
                control.deny(one.account)
        assert [one.amount for one in approved] == [calls * 100_000_000 - 50_000_000]
        assert [one.result() for one in asked] == [None] * calls
    leave_nobody()


def wait_for(what):
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_dollars_for_calls_that_lack_none(tmp_path):
    """An approval that would let nothing go says so."""
    path = str(tmp_path / "l.db")
    one = paused_calls.PausedCall(
        id="1", at=time.time(), until=time.time() + 600, account="session=s", limit="1 call per session 's'",
        meter=Meter.CALLS, short=1, requested=1, session="s", agent="", model="gpt-4o",
    )  # fmt: skip
    with closing(open_ledger(path)) as ledger:
        paused_calls.change(ledger, lambda those: those.update({one.id: one}), time.time())
    with pytest.raises(ConfigurationError, match="paused on session=s lack calls, not USD; approve without an amount"):
        control.approve("s", 2, db_path=path)
    assert control.approve("s", db_path=path).top_ups == (TopUp(meter=Meter.CALLS, amount=1),)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"usd": 1, "on_tight": "stop"}, "Limit on_tight='stop'; it must be 'refuse' or 'pause'"),
        ({"usd": 1, "pause_for": 0}, "Limit pause_for=0; it must be a number of seconds up to 86,400"),
        ({"usd": 1, "pause_for": "1m"}, "Limit pause_for='1m'"),
    ],
)
def test_a_pause_that_cannot_be(given, words):
    with pytest.raises(ConfigurationError) as caught:
        Limit(**given)
    assert words in str(caught.value)


def test_a_look_leaves_what_a_later_version_wrote():
    """Processes of two versions wait on one ledger: the older one that only looks takes no question away."""
    ledger = open_ledger("memory://")
    mine = paused_calls.PausedCall(
        id="mine", at=0.0, until=100.0, account="all", limit="a limit", meter=Meter.USD, short=1, session="s",
        agent="", model="m",
    )  # fmt: skip
    paused_calls.change(ledger, lambda those: those.update(mine=mine), 1.0)

    def newer(note):
        return json.dumps([*json.loads(note), {"id": "theirs", "meter": "carbon", "until": 100.0}]).encode(), None

    ledger.update_note(paused_calls.NOTE, newer, now=2.0)
    assert paused_calls.change(ledger, lambda _: None, 3.0) == {"mine": mine}
    kept = ledger.update_note(paused_calls.NOTE, lambda note: (note, note), now=4.0)
    assert [one["id"] for one in json.loads(kept)] == ["mine", "theirs"]
