"""Limits that let calls wait: in a thread it sleeps, in an event loop it is awaited, and what no time mends is refused."""

import asyncio
import threading

import openai
import pytest

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded
from agent_fuse.calls import Usage
from agent_fuse.errors import ConfigurationError
from agent_fuse.otel import active
from agent_fuse.settings import settings
from agent_fuse.sightings import Outcome
from agent_fuse.testing import LoopbackProvider, Reply
from alone import leave_nobody
from fuses import Desk

CALLS = 20


@pytest.fixture
def desk(monkeypatch):
    """Makes a fuse whose waits move its clock."""

    def make(*limits, **options):
        return Desk(limits=limits, **options).sleeping(monkeypatch)

    return make


def spend(desk, **facts):
    desk.fuse.close_call(desk.fuse.open_call(desk.ask(**facts)), outcome=Outcome.DONE)


def test_a_call_waits_until_its_window_has_room(desk):
    one = desk(Limit(calls=2, per="all", window="1m", on_limit="wait"))
    began = one.clock()
    for _ in range(6):
        spend(one)
    assert 120 <= one.clock() - began <= 124
    assert not [event for event in one.events if event.trip], "nothing was refused"
    assert one.books.balance("all").settled.calls == 6


def test_a_calendars_window_is_waited_for(desk):
    one = desk(Limit(calls=1, per="all", window="hour", on_limit="wait", max_wait=3600))
    for _ in range(3):
        spend(one)
    assert sum(one.slept) == 7200, "the clock began on the hour"


def test_what_would_take_longer_is_refused_at_once(desk):
    one = desk(Limit(calls=1, per="all", window="1h", on_limit="wait", max_wait=60))
    spend(one)
    with pytest.raises(SentinelBudgetExceeded) as caught:
        spend(one)
    assert one.slept == []
    assert 3600 <= caught.value.retry_after <= 3660


@pytest.mark.parametrize("limit", [Limit(usd=0.001, window="1m", on_limit="wait"), Limit(calls=1, on_limit="wait")])
def test_what_no_time_mends_is_refused_at_once(desk, limit):
    """A call dearer than the whole limit, and one under a limit that is used up for good."""
    one = desk(limit)
    if limit.calls:
        spend(one)
    with pytest.raises(SentinelBudgetExceeded):
        spend(one)
    assert one.slept == []


def test_open_calls_are_waited_for(desk):
    one = desk(Limit(concurrent=1, per="all", on_limit="wait", max_wait=1))
    first = one.fuse.open_call(one.ask())

    def meanwhile(made):
        if len(made.slept) == 3:
            ends = threading.Thread(target=made.fuse.close_call, args=(first,), kwargs={"outcome": Outcome.DONE})
            ends.start()
            ends.join()

    one.meanwhile = meanwhile
    spend(one)
    assert len(one.slept) == 3
    one.fuse.open_call(one.ask())
    with pytest.raises(SentinelBudgetExceeded, match="1 call is open of the limit of 1 open call"):
        spend(one)
    assert sum(one.slept) == pytest.approx(1.15, abs=0.06)


def test_open_calls_are_waited_for_a_little_by_default(monkeypatch, desk):
    """Where a call would fit if the open ones cost less than they hold, it waits two seconds and no longer."""
    monkeypatch.delenv("AGENTFUSE_BUSY_WAIT")
    assert settings().busy_wait == 2
    one = desk(Limit(usd="0.01"), busy_wait=2)
    first = one.fuse.open_call(one.ask())
    with pytest.raises(SentinelBudgetExceeded) as caught:
        spend(one)
    assert caught.value.kind == "busy"
    assert sum(one.slept) == pytest.approx(2, abs=0.06)
    one.slept.clear()

    def meanwhile(made):
        ends = threading.Thread(
            target=made.fuse.close_call,
            args=(first,),
            kwargs={"outcome": Outcome.DONE, "usage": Usage(input_tokens=1, output_tokens=1)},
        )
        ends.start()
        ends.join()
        made.meanwhile = lambda _: None

    one.meanwhile = meanwhile
    spend(one)
    assert len(one.slept) == 1


@pytest.mark.parametrize("limit", [Limit(usd="0.008"), Limit(calls=1), Limit(usd="0.001")])
def test_what_is_exceeded_never_waits(desk, limit):
    """Spent for good, counted for good, or dearer than the whole limit."""
    one = desk(limit, busy_wait=2)
    if limit.calls:
        one.fuse.open_call(one.ask())
    elif limit.cap > 2_000_000:
        spend(one)
    with pytest.raises(SentinelBudgetExceeded):
        spend(one)
    assert one.slept == []


def test_a_stop_is_not_waited_for(desk):
    one = desk(Limit(concurrent=1, per="all", on_limit="wait"))
    one.ledger.control("all", None, '{"stopped": true}', now=one.clock())
    with pytest.raises(SentinelBudgetExceeded, match="everything was stopped"):
        spend(one)
    assert one.slept == []


def in_threads(provider, asked):
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0)
    threads = [threading.Thread(target=client.chat.completions.create, kwargs=asked) for _ in range(CALLS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def in_tasks(provider, asked):
    async def main():
        async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:
            await asyncio.gather(*(client.chat.completions.create(**asked) for _ in range(CALLS)))

    asyncio.run(main())


def in_streams(provider, asked):
    async def one(client):
        async for _ in await client.chat.completions.create(**asked, stream=True):
            pass

    async def main():
        async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:
            await asyncio.gather(*(one(client) for _ in range(CALLS)))

    asyncio.run(main())


@pytest.mark.parametrize("run", [in_threads, in_tasks, in_streams])
def test_four_at_a_time(run, tmp_path):
    """Of many calls at once none is refused, and never are more than four open, whatever client is used."""
    leave_nobody()
    agent_fuse.init(budget=9, limits=Limit(concurrent=4, per="all", on_limit="wait"), db_path=str(tmp_path / "l.db"))
    fuse, most = active.guards()[0].fuse, []
    fuse.accounting.on_reserved.add(lambda caller, due, balances: most.append(balances["all"].held.calls))
    events = []
    fuse.listen(events.append)
    with LoopbackProvider() as provider:
        provider.reply(Reply(delay_s=0.02), times=CALLS)
        run(provider, {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10})
        assert len(provider.served) == CALLS
    assert max(most) == 4
    assert [event.trip for event in events] == [None] * CALLS, "a call was refused, or booked twice"
    leave_nobody()


def test_an_event_loop_that_nobody_can_wait_for_refuses(desk):
    """A call that is judged inside an event loop, by hand or by its span: the loop must not stand still."""
    one = desk(Limit(calls=1, per="all", window="1m", on_limit="wait"))

    async def main():
        spend(one)
        with pytest.raises(SentinelBudgetExceeded):
            spend(one)

    asyncio.run(main())
    assert one.slept == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"calls": 1, "on_limit": "pause"}, "it must be 'refuse' or 'wait'"),
        ({"seconds": 1, "on_limit": "wait"}, "Limit seconds with on_limit='wait'; time that has passed does not"),
        ({"calls": 1, "max_wait": 0}, "Limit max_wait=0; it must be a number of seconds up to 86,400"),
        ({"calls": 1, "max_wait": float("nan")}, "Limit max_wait=nan"),
        ({"calls": 1, "max_wait": "1m"}, "Limit max_wait='1m'"),
    ],
)
def test_a_wait_that_cannot_be(given, words):
    with pytest.raises(ConfigurationError) as caught:
        Limit(**given)
    assert words in str(caught.value)
