"""Aliases: a framework span and the request inside it name two models, and are one call all the same."""

import asyncio
from collections.abc import Iterator
from contextvars import Context, copy_context
from typing import Any

import openai
import pytest
from opentelemetry.sdk.trace import TracerProvider

from agent_fuse.calls import Status, Usage
from agent_fuse.otel import instrumentor
from agent_fuse.testing import LoopbackProvider, Reply
from boxes import Box

TOLD = Usage(input_tokens=1000, output_tokens=100)
COST = 3_500_000
"""At gpt-4o's price, which answers whatever was asked for, in nano-dollars."""
SNAPSHOT = "gpt-4o-2024-08-06"
SCOPE = "openinference.instrumentation.langchain"


@pytest.fixture(scope="module")
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as one:
        one.default = Reply(model=SNAPSHOT, usage=TOLD, delay_s=0.01)
        yield one


@pytest.fixture
def rig(box: Any) -> Iterator[Box]:
    """A guard whose request gate is on."""
    was_on = instrumentor.wanted()
    made: Box = box(db_path="memory://", budget=100, request_gate=True)
    instrumentor.install()
    yield made
    if not was_on:
        instrumentor.uninstall()


async def run(rig: Box, provider: LoopbackProvider, asked: str, told: dict[str, str], *, stream: bool) -> None:
    """A call as OpenInference sees LangChain's async path: its span is nowhere around the request."""
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(rig.processor)
    elsewhere: Context = copy_context()
    span = elsewhere.run(tracing.get_tracer(SCOPE).start_span, "ChatOpenAI")
    async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:
        body: Any = {"model": asked, "messages": [{"role": "user", "content": "hi"}]}
        if stream:
            usage: Any = {"include_usage": True}
            async for _ in await client.chat.completions.create(**body, stream=True, stream_options=usage):
                pass
        else:
            await client.chat.completions.create(**body)
    counts = {"llm.token_count.prompt": TOLD.input_tokens, "llm.token_count.completion": TOLD.output_tokens}
    span.set_attributes({"openinference.span.kind": "LLM", **told, **counts})
    elsewhere.run(span.end)


TELLS = {
    "the alias": lambda asked: {"llm.model_name": asked},
    "the snapshot": lambda _: {"llm.model_name": SNAPSHOT},
    "both": lambda asked: {"llm.model_name": asked, "llm.response.model_name": SNAPSHOT},
    "neither": lambda _: {},
    "another name": lambda _: {"llm.model_name": "the-name-of-a-gateway"},
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("tells", TELLS)
def test_an_alias_is_booked_once(rig: Box, provider: LoopbackProvider, tells: str, stream: bool) -> None:
    """Twelve at once, asked by three names, answered by a snapshot: twelve bookings, whatever the span tells."""
    provider.reset()
    names = ["gpt-4o", "my-alias", "prod-chat"] * 4

    async def all_of_them() -> None:
        await asyncio.gather(*(run(rig, provider, name, TELLS[tells](name), stream=stream) for name in names))

    asyncio.run(all_of_them())
    assert len(provider.served) == len(names)
    assert [(one.status, one.cost) for one in rig.entries()] == [(Status.SETTLED, COST)] * len(names)
    assert rig.books.open_holds() == []


def test_a_call_of_another_provider_at_the_same_time_is_its_own(rig: Box, provider: LoopbackProvider) -> None:
    """A span whose calls pass no request gate claims no request of another model, equal as their usage may be."""
    provider.reset()
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(rig.processor)
    elsewhere = copy_context()
    span = elsewhere.run(tracing.get_tracer(SCOPE).start_span, "ChatMistralAI")
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    counts = {"llm.token_count.prompt": TOLD.input_tokens, "llm.token_count.completion": TOLD.output_tokens}
    span.set_attributes({"openinference.span.kind": "LLM", "llm.model_name": "mistral-large", **counts})
    elsewhere.run(span.end)
    assert sorted(one.model for one in rig.entries()) == ["gpt-4o", "mistral-large"]
