"""Tools in an event loop under limits that wait or pause: the wait is awaited, and the loop rule is asked once."""

import asyncio
import itertools
import threading
import time

import pytest

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded, SentinelLoopError, call, charge, control, guard, loop_guard
from agent_fuse.otel import active

A_SECOND = Limit(tool_calls=2, per="all", window="1s", on_limit="wait")


@pytest.fixture
def start(tmp_path):
    """Begins with these limits; what the fuse tells is in the list that it returns."""

    def begin(*limits, **options):
        agent_fuse.init(limits=list(limits), db_path=str(tmp_path / "ledger.db"), session_id="s", **options)
        events = []
        active.guards()[0].fuse.listen(events.append)
        return events

    return begin


def beside(work):
    """Run `work` with a task beside it that ticks each 10 ms: what it gave, how long it took and the longest standstill."""

    async def main():
        ticks = [time.monotonic()]

        async def tick():
            while True:
                await asyncio.sleep(0.01)
                ticks.append(time.monotonic())

        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0)
        began = time.monotonic()
        result = await work()
        ticks.append(time.monotonic())
        ticking.cancel()
        return result, ticks[-1] - began, max(after - before for before, after in itertools.pairwise(ticks))

    return asyncio.run(main())


@loop_guard
async def search(query):
    return query


@loop_guard
async def pages(query):
    yield query


@guard(model="gpt-4o", estimated_input_tokens=1000, estimated_output_tokens=500)
async def ask(query):
    return query


async def of_a_generator(n):
    (one,) = [one async for one in pages(n)]
    return one


async def of_a_charge(n):
    async with charge("gpu", "0.01") as one:
        assert str(one.usd) == "0.01"
        return n


async def of_a_call(n):
    async with call("gpt-4o", 1000, 500):
        return n


@pytest.mark.parametrize(("tool", "windows"), [(search, 2), (of_a_generator, 1), (of_a_charge, 1)])
def test_an_async_tool_is_awaited(start, tool, windows):
    """One more than the windows have room for, at two a second: each is waited for, and a task beside ticks on."""
    events, many = start(A_SECOND), 2 * windows + 1

    async def work():
        return [await tool(n) for n in range(many)]

    result, took, standstill = beside(work)
    assert result == list(range(many))
    assert windows - 0.5 < took < 4 * windows
    assert standstill < 0.5
    assert [event.trip for event in events] == [None] * many


@pytest.mark.parametrize("work", [ask, of_a_call])
def test_an_async_call_by_hand_is_awaited(start, work):
    """Three model calls at two a second."""
    events = start(Limit(calls=2, per="all", window="1s", on_limit="wait"))

    async def run():
        return [await work(n) for n in range(3)]

    result, took, standstill = beside(run)
    assert result == [0, 1, 2]
    assert 0.5 < took < 4
    assert standstill < 0.5
    assert [event.trip for event in events] == [None] * 3


def test_many_tasks_share_a_rate(start):
    events = start(Limit(tool_calls=4, per="all", window="1s", on_limit="wait"))

    async def work():
        return await asyncio.gather(*(search(n) for n in range(7)))

    result, _, standstill = beside(work)
    assert result == list(range(7))
    assert standstill < 0.5
    assert [event.trip for event in events] == [None] * 7


@pytest.mark.parametrize("prices", [{}, {"search": "0.01"}])
def test_a_wait_is_one_step_of_the_loop_rule(start, prices):
    """The third of the equal calls waits; the next is the first that trips, and a wait counts no step."""
    start(A_SECOND, loop_threshold=3, tool_prices=prices)

    async def work():
        for _ in range(3):
            await search("same")

    assert beside(work)[1] > 0.5
    with pytest.raises(SentinelLoopError):
        asyncio.run(search("same"))


def test_a_wait_that_would_be_too_long_is_refused_at_once(start):
    start(Limit(tool_calls=1, per="all", window="1h", on_limit="wait", max_wait=60))

    async def work():
        await search(1)
        with pytest.raises(SentinelBudgetExceeded, match="tool 'search'"):
            await search(2)

    assert beside(work)[1] < 5


def test_open_charges_are_waited_for(start):
    """What another task holds is free when that ends: `busy_wait`."""
    start(Limit(usd="0.01", per="all"), busy_wait=5)

    async def long():
        async with charge("gpu", "0.01") as one:
            await asyncio.sleep(0.3)
            one.usd = 0

    async def work():
        return await asyncio.gather(long(), of_a_charge(7))

    result, took, standstill = beside(work)
    assert result == [None, 7]
    assert took >= 0.3
    assert standstill < 0.5


def test_a_person_is_asked(start):
    """The loop goes on while a tool waits for a top-up."""
    start(Limit(tool_calls=1, on_tight="pause", pause_for=30))

    async def work():
        await search(1)
        approving = threading.Timer(0.3, control.approve, ("s",))
        approving.start()
        return await search(2)

    result, took, standstill = beside(work)
    assert result == 2
    assert took >= 0.3
    assert standstill < 0.5


def test_one_that_is_cancelled_waits_no_more(start):
    """Its question is withdrawn, its tool has not run, and nothing is counted."""
    start(Limit(tool_calls=1, on_tight="pause", pause_for=30))
    fuse, ran = active.guards()[0].fuse, []

    @loop_guard
    async def fetch(n):
        ran.append(n)

    async def work():
        await fetch(1)
        task = asyncio.create_task(fetch(2))
        await asyncio.sleep(0.2)
        asked = len(control.paused())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return asked, len(control.paused())

    assert beside(work)[0] == (1, 0)
    assert ran == [1]
    assert fuse.ledger.balances(["session=s"])["session=s"].settled.tool_calls == 1
    assert not fuse.ledger.holds()


def test_what_nobody_awaits_is_refused(start):
    """A plain function, and a plain block: the loop would have to stand still."""
    start(Limit(tool_calls=1, per="all", window="1s", on_limit="wait"))

    @loop_guard
    def look(n):
        return n

    async def work():
        look(1)
        with pytest.raises(SentinelBudgetExceeded):
            look(2)
        with pytest.raises(SentinelBudgetExceeded), charge("gpu", 0):
            pytest.fail("its work began")

    asyncio.run(work())


def test_a_charge_still_decorates(start):
    """A function may be decorated with a charge: each call costs."""
    start(Limit(usd=1))

    @charge("gpu", "0.10")
    def train():
        return "done"

    assert [train(), train()] == ["done", "done"]
    assert str(agent_fuse.remaining().usd) == "0.8"
