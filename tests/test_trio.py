"""Trio's event loop is one too: a gate never makes it stand still, and a call that waits is awaited there."""

import openai
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded
from agent_fuse.accounting import waits
from agent_fuse.ledgers.waiting import in_event_loop
from agent_fuse.testing import LoopbackProvider, Reply

ONE_AT_A_TIME = Limit(concurrent=1, on_limit="wait", max_wait=60)


@pytest.fixture(autouse=True)
def awake(monkeypatch):
    """Nobody waits in a thread: it would be the event loop's."""

    def sleep(seconds):
        raise AssertionError(f"the event loop stands still for {seconds} seconds")

    monkeypatch.setattr(waits.time, "sleep", sleep)


def test_it_is_known_where_it_runs() -> None:
    async def main():
        return in_event_loop(), await trio.to_thread.run_sync(in_event_loop)

    assert not in_event_loop()
    assert trio.run(main) == (True, False)


def test_a_call_by_hand_is_awaited(box) -> None:
    """The second goes when the first is over, which it can only be if the loop goes on meanwhile."""
    box(limits=[ONE_AT_A_TIME])
    order = []

    async def second():
        async with agent_fuse.call("gpt-4o", 10, 10) as made:
            order.append("second")
            made.usage(10, 10)

    async def main():
        async with trio.open_nursery() as nursery, agent_fuse.call("gpt-4o", 10, 10) as made:
            nursery.start_soon(second)
            await wait_all_tasks_blocked()
            order.append("first")
            made.usage(10, 10)

    trio.run(main)
    assert order == ["first", "second"]


def test_calls_of_an_async_client_are_awaited(box) -> None:
    """Three at once under a limit of one: each waits for those before it, and none is refused."""
    one = box(limits=[ONE_AT_A_TIME])
    with LoopbackProvider(Reply(text="ok", delay_s=0.1)) as provider:

        async def main():
            async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:

                async def ask():
                    said = [{"role": "user", "content": "hi"}]
                    await client.chat.completions.create(model="gpt-4o", messages=said, max_tokens=5)

                async with trio.open_nursery() as nursery:
                    for _ in range(3):
                        nursery.start_soon(ask)

        trio.run(main)
    assert len(provider.requests) == len(one.entries()) == 3


def test_what_cannot_be_awaited_is_refused_at_once(box) -> None:
    box(limits=[ONE_AT_A_TIME])

    async def main():
        with agent_fuse.call("gpt-4o", 10, 10), agent_fuse.call("gpt-4o", 10, 10):
            pass

    with pytest.raises(SentinelBudgetExceeded) as caught:
        trio.run(main)
    assert caught.value.kind == "busy"
