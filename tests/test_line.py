"""Calls that wait for open ones go in the order in which they came: a later small one does not starve an earlier one."""

import asyncio
import threading
import time

import openai
import pytest

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded
from agent_fuse.accounting.line import GONE_SECONDS, Line
from agent_fuse.testing import LoopbackProvider, Reply

WAIT = 2.0


def charge(usd, name, order, held=0.0):
    """Hold so much for so long, and note when it was let in."""
    try:
        with agent_fuse.call("gpt-4o", 0, int(usd * 100_000)) as made:
            order.append(name)
            time.sleep(held)
            made.usage(0, 0)
    except SentinelBudgetExceeded:
        order.append(f"{name} refused")


def start(*given, **named):
    thread = threading.Thread(target=charge, args=given, kwargs=named)
    thread.start()
    return thread


def test_a_stream_of_small_calls_does_not_starve_a_large_one(box) -> None:
    """The large one needs all there is; small ones, each of which would fit at once, keep coming while it waits."""
    box(budget=1, busy_wait=WAIT)
    order: list[str] = []
    threads = [start(0.5, "first", order, held=0.5)]
    time.sleep(0.1)
    threads.append(start(1, "large", order, held=0.1))
    time.sleep(0.1)
    for number in range(6):
        threads.append(start(0.2, f"small {number}", order, held=0.6))
        time.sleep(0.1)
    for one in threads:
        one.join()
    assert order[:2] == ["first", "large"]
    assert sorted(order[2:]) == [f"small {number}" for number in range(6)]


def test_nobody_stands_in_line_longer_than_it_would_wait(box) -> None:
    """The one ahead waits in vain; the one behind goes when its own two seconds are over, or when the other gives up."""
    box(budget=1, busy_wait=0.6)
    order: list[str] = []
    threads = [start(0.5, "open", order, held=4.0)]
    time.sleep(0.1)
    threads.append(start(1, "large", order))
    time.sleep(0.1)
    began = time.monotonic()
    charge(0.2, "small", order)
    took = time.monotonic() - began
    for one in threads:
        one.join()
    assert order == ["open", "large refused", "small"]
    assert 0.3 < took < 2.5


def test_only_those_who_want_the_same_stand_in_line(box) -> None:
    """A session of its own budget passes by."""
    box(budget=1, busy_wait=WAIT)
    order: list[str] = []
    threads = [start(0.5, "open", order, held=0.6)]
    time.sleep(0.1)
    threads.append(start(1, "large", order))
    time.sleep(0.1)
    with agent_fuse.session("another"):
        charge(0.2, "other", order)
    assert order == ["open", "other"]
    for one in threads:
        one.join()


def test_where_nobody_waits_nobody_stands_back(box) -> None:
    """With `busy_wait=0` a call that does not fit is refused at once, and holds nobody up."""
    box(budget=1, busy_wait=0)
    order: list[str] = []
    thread = start(0.5, "open", order, held=0.5)
    time.sleep(0.1)
    charge(1, "large", order)
    charge(0.2, "small", order)
    assert order == ["open", "large refused", "small"]
    thread.join()


@pytest.mark.parametrize("limit", [Limit(concurrent=1), Limit(concurrent=1, on_limit="wait", max_wait=30)])
def test_tasks_of_an_event_loop_go_in_the_order_in_which_they_came(box, limit) -> None:
    """One open call at a time: whoever is in line first is served first, though all ask again at their own times."""
    box(limits=[limit], busy_wait=30)
    with LoopbackProvider(Reply(text="ok", delay_s=0.12)) as provider:

        async def run():
            async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:

                async def ask(number):
                    await asyncio.sleep(number * 0.03)
                    said = [{"role": "user", "content": f"{number}"}]
                    await client.chat.completions.create(model="gpt-4o", messages=said, max_tokens=5)

                await asyncio.gather(*map(ask, range(6)))

        asyncio.run(run())
    assert [one.body["messages"][0]["content"] for one in provider.requests] == list("012345")


def test_who_was_cancelled_holds_nobody_up(box) -> None:
    """A task that is cancelled while it waits leaves the line."""
    one = box(limits=[Limit(concurrent=1)], busy_wait=30)
    with LoopbackProvider(Reply(text="ok", delay_s=1.5)) as provider:

        async def run():
            async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:

                async def ask(text):
                    said = [{"role": "user", "content": text}]
                    await client.chat.completions.create(model="gpt-4o", messages=said, max_tokens=5)

                first = asyncio.create_task(ask("first"))
                await asyncio.sleep(0.1)
                second = asyncio.create_task(ask("second"))
                await asyncio.sleep(0.1)
                third = asyncio.create_task(ask("third"))
                await asyncio.sleep(0.05)
                second.cancel()
                await asyncio.gather(first, third)

        asyncio.run(run())
    assert [one.body["messages"][0]["content"] for one in provider.requests] == ["first", "third"]
    line = one.fuse.admission.patience.line
    assert line is not None
    assert line.places == {}


def test_who_asks_no_more_is_forgotten() -> None:
    now = [0.0]
    line = Line(lambda: now[0])
    line.stand("a", ["x"])
    line.stand("b", ["x", "y"])
    assert line.ahead("c", ["x", "z"]) == {"x"}
    assert line.ahead("b", ["x", "y"]) == {"x"}
    assert line.ahead("a", ["x"]) == frozenset()
    now[0] = GONE_SECONDS + 0.1
    assert line.ahead("b", ["y"]) == frozenset()
    assert line.places == {}
