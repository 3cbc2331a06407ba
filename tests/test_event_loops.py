"""In an event loop a gate does nothing that a detector of blocking calls objects to: one local commit, no more."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import anthropic
import openai
import pytest
from blockbuster import BlockBuster

import agent_fuse
from agent_fuse import SentinelBudgetExceeded, Usage
from agent_fuse.testing import LoopbackProvider
from alone import leave_nobody

MESSAGES: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """No guard that another test left in this process judges here, and none is left."""
    leave_nobody()
    yield
    leave_nobody()


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as provider:
        yield provider


async def chat(o: openai.AsyncOpenAI, _: anthropic.AsyncAnthropic) -> object:
    return await o.chat.completions.create(model="gpt-4o", messages=MESSAGES)


async def chat_stream(o: openai.AsyncOpenAI, _: anthropic.AsyncAnthropic) -> object:
    stream = await o.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
    return [chunk async for chunk in stream]


async def responses(o: openai.AsyncOpenAI, _: anthropic.AsyncAnthropic) -> object:
    return await o.responses.create(model="gpt-4o", input="hi")


async def messages(_: openai.AsyncOpenAI, a: anthropic.AsyncAnthropic) -> object:
    return await a.messages.create(model="claude-opus-4-6", max_tokens=500, messages=MESSAGES)


async def messages_stream(_: openai.AsyncOpenAI, a: anthropic.AsyncAnthropic) -> object:
    async with a.messages.stream(model="claude-opus-4-6", max_tokens=500, messages=MESSAGES) as stream:
        return await stream.get_final_message()


async def by_hand(_: openai.AsyncOpenAI, __: anthropic.AsyncAnthropic) -> object:
    with agent_fuse.call("gpt-4o", 1000, 500) as call:
        await asyncio.sleep(0)
        call.usage(1000, 500)
    return agent_fuse.check_loop("search", {"query": object()})


Call = Callable[[openai.AsyncOpenAI, anthropic.AsyncAnthropic], Coroutine[Any, Any, object]]
CALLS: tuple[Call, ...] = (chat, chat_stream, responses, messages, messages_stream, by_hand)


def watched(provider: LoopbackProvider, call: Call) -> object:
    """Run a call twice in one loop: once so that everybody has read what is read once, once under the detector."""

    async def run() -> object:
        async with (
            openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as o,
            anthropic.AsyncAnthropic(base_url=provider.anthropic_base_url, api_key="x", max_retries=0) as a,
        ):
            await call(o, a)
            detector = BlockBuster()
            detector.activate()
            try:
                return await call(o, a)
            finally:
                detector.deactivate()

    return asyncio.run(run())


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_a_call_blocks_no_event_loop(provider: LoopbackProvider, tmp_path: Any, call: Call) -> None:
    """Judged, answered, booked: no file is looked for, nothing sleeps."""
    fuse = agent_fuse.init(budget=5, db_path=str(tmp_path / "ledger.db")).fuse
    watched(provider, call)
    assert len([entry for entry in fuse.ledger.journal() if not entry.tool]) == 2
    assert not fuse.ledger.holds()


def test_a_refusal_blocks_no_event_loop(provider: LoopbackProvider, tmp_path: Any) -> None:
    """A trip under the detector is a trip."""
    agent_fuse.init(budget=0.01, db_path=str(tmp_path / "ledger.db"))
    with pytest.raises(SentinelBudgetExceeded):
        watched(provider, chat)


def test_the_detector_sees(tmp_path: Any) -> None:
    """What these tests rely on: a look at a file in an event loop is objected to."""

    async def look() -> None:
        detector = BlockBuster()
        detector.activate()
        try:
            (tmp_path / "x").exists()
        finally:
            detector.deactivate()

    with pytest.raises(Exception, match=r"Blocking call to os\.stat"):
        asyncio.run(look())
