"""Every way to call a model that AgentFuse promises to guard, as one small function each."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import AzureChatOpenAI, ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from agent_fuse.testing import LoopbackProvider

MESSAGES: Any = [{"role": "user", "content": "Say hello to the world, please."}]
MODEL = "gpt-4o"
EMBEDDER = "text-embedding-3-small"
CLAUDE = "claude-opus-4-6"


class Greeting(BaseModel):
    """What structured calls ask for."""

    text: str


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


@dataclass(frozen=True)
class Kind:
    """One way to call."""

    name: str
    call: Callable[[LoopbackProvider], Any]
    requests: int = 1
    langchain: bool = False
    anthropic: bool = False
    usage_told: bool = True
    """The provider tells usage to this kind of call by itself."""
    agent: bool = False


KINDS: list[Kind] = []

LOOP = asyncio.new_event_loop()
"""One loop for all async kinds: LangChain keeps its async clients, which are bound to a loop."""


def run_to_the_end(work: Awaitable[Any]) -> Any:
    """Run it, and whatever it has begun beside itself: of a batch, the first trip is raised before the others end."""
    try:
        return LOOP.run_until_complete(work)
    finally:
        if left := asyncio.all_tasks(LOOP):
            LOOP.run_until_complete(asyncio.wait(left, timeout=30))


def kind(**facts: Any) -> Callable[[Callable[[LoopbackProvider], Any]], Callable[[LoopbackProvider], Any]]:
    def add(call: Callable[[LoopbackProvider], Any]) -> Callable[[LoopbackProvider], Any]:
        function: Callable[[LoopbackProvider], Any] = call
        if asyncio.iscoroutinefunction(call):
            awaitable: Callable[[LoopbackProvider], Awaitable[Any]] = call

            def function(provider: LoopbackProvider) -> Any:
                return run_to_the_end(awaitable(provider))

        KINDS.append(Kind(name=call.__name__, call=function, **facts))
        return call

    return add


@functools.cache
def client(provider: LoopbackProvider) -> openai.OpenAI:
    return openai.OpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0)


@functools.cache
def azure(provider: LoopbackProvider) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(
        azure_endpoint=provider.azure_endpoint, api_key="test", api_version="2024-10-21", max_retries=0
    )


def aclient(provider: LoopbackProvider) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0)


@functools.cache
def claude(provider: LoopbackProvider) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=provider.anthropic_base_url, api_key="test", max_retries=0)


def aclaude(provider: LoopbackProvider) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=provider.anthropic_base_url, api_key="test", max_retries=0)


def chat(provider: LoopbackProvider, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(model=MODEL, base_url=provider.openai_base_url, api_key="test", max_retries=0, **options)  # type: ignore[arg-type]


# OpenAI --------------------------------------------------------------------------------------------------------------


@kind()
def chat_create(provider: LoopbackProvider) -> Any:
    return client(provider).chat.completions.create(model=MODEL, messages=MESSAGES)


@kind()
async def chat_create_async(provider: LoopbackProvider) -> Any:
    async with aclient(provider) as one:
        return await one.chat.completions.create(model=MODEL, messages=MESSAGES)


@kind()
async def chat_create_sync_in_loop(provider: LoopbackProvider) -> Any:
    return client(provider).chat.completions.create(model=MODEL, messages=MESSAGES)


@kind()
def chat_parse(provider: LoopbackProvider) -> Any:
    return client(provider).chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=Greeting)


@kind()
async def chat_parse_async(provider: LoopbackProvider) -> Any:
    async with aclient(provider) as one:
        return await one.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=Greeting)


@kind()
def chat_raw(provider: LoopbackProvider) -> Any:
    return client(provider).chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES).parse()


@kind()
async def chat_raw_async(provider: LoopbackProvider) -> Any:
    async with aclient(provider) as one:
        return (await one.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES)).parse()


@kind()
def chat_streaming_response(provider: LoopbackProvider) -> Any:
    one = client(provider).chat.completions.with_streaming_response
    with one.create(model=MODEL, messages=MESSAGES) as response:
        return response.parse()


@kind()
async def chat_streaming_response_async(provider: LoopbackProvider) -> Any:
    async with (
        aclient(provider) as one,
        one.chat.completions.with_streaming_response.create(model=MODEL, messages=MESSAGES) as response,
    ):
        return await response.parse()


@kind()
def chat_stream(provider: LoopbackProvider) -> Any:
    options: Any = {"include_usage": True}
    return list(
        client(provider).chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, stream_options=options)
    )


@kind()
async def chat_stream_async(provider: LoopbackProvider) -> Any:
    options: Any = {"include_usage": True}
    async with aclient(provider) as one:
        stream = await one.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, stream_options=options)
        return [chunk async for chunk in stream]


@kind()
def chat_stream_helper(provider: LoopbackProvider) -> Any:
    options: Any = {"include_usage": True}
    with client(provider).chat.completions.stream(model=MODEL, messages=MESSAGES, stream_options=options) as stream:
        return list(stream)


@kind(usage_told=False)
def chat_stream_without_usage(provider: LoopbackProvider) -> Any:
    return list(client(provider).chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))


@kind()
def chat_with_options(provider: LoopbackProvider) -> Any:
    return client(provider).with_options(timeout=30).chat.completions.create(model=MODEL, messages=MESSAGES)


@kind()
def chat_azure(provider: LoopbackProvider) -> Any:
    return azure(provider).chat.completions.create(model=MODEL, messages=MESSAGES)


@kind()
async def chat_azure_async(provider: LoopbackProvider) -> Any:
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=provider.azure_endpoint, api_key="test", api_version="2024-10-21", max_retries=0
    ) as one:
        return await one.chat.completions.create(model=MODEL, messages=MESSAGES)


@kind()
def completions(provider: LoopbackProvider) -> Any:
    return client(provider).completions.create(model="gpt-3.5-turbo-instruct", prompt="Once upon a time")


@kind()
def responses(provider: LoopbackProvider) -> Any:
    return client(provider).responses.create(model=MODEL, input="Say hello.")


@kind()
async def responses_async(provider: LoopbackProvider) -> Any:
    async with aclient(provider) as one:
        return await one.responses.create(model=MODEL, input="Say hello.")


@kind()
def responses_stream(provider: LoopbackProvider) -> Any:
    return list(client(provider).responses.create(model=MODEL, input="Say hello.", stream=True))


@kind()
async def responses_stream_async(provider: LoopbackProvider) -> Any:
    async with aclient(provider) as one:
        return [event async for event in await one.responses.create(model=MODEL, input="Say hello.", stream=True)]


@kind()
def responses_parse(provider: LoopbackProvider) -> Any:
    return client(provider).responses.parse(model=MODEL, input="Say hello.", text_format=Greeting)


@kind()
async def responses_parse_async(provider: LoopbackProvider) -> Any:
    async with aclient(provider) as one:
        return await one.responses.parse(model=MODEL, input="Say hello.", text_format=Greeting)


@kind()
def embeddings(provider: LoopbackProvider) -> Any:
    return client(provider).embeddings.create(model=EMBEDDER, input=["hello", "world"])


@kind()
async def embeddings_async(provider: LoopbackProvider) -> Any:
    async with aclient(provider) as one:
        return await one.embeddings.create(model=EMBEDDER, input=["hello", "world"])


# Anthropic -----------------------------------------------------------------------------------------------------------


@kind(anthropic=True)
def messages_create(provider: LoopbackProvider) -> Any:
    return claude(provider).messages.create(model=CLAUDE, max_tokens=200, messages=MESSAGES)


@kind(anthropic=True)
async def messages_create_async(provider: LoopbackProvider) -> Any:
    async with aclaude(provider) as one:
        return await one.messages.create(model=CLAUDE, max_tokens=200, messages=MESSAGES)


@kind(anthropic=True)
def messages_create_stream(provider: LoopbackProvider) -> Any:
    return list(claude(provider).messages.create(model=CLAUDE, max_tokens=200, messages=MESSAGES, stream=True))


@kind(anthropic=True)
async def messages_create_stream_async(provider: LoopbackProvider) -> Any:
    async with aclaude(provider) as one:
        stream = await one.messages.create(model=CLAUDE, max_tokens=200, messages=MESSAGES, stream=True)
        return [event async for event in stream]


@kind(anthropic=True)
def messages_stream(provider: LoopbackProvider) -> Any:
    with claude(provider).messages.stream(model=CLAUDE, max_tokens=200, messages=MESSAGES) as stream:
        return stream.get_final_message()


@kind(anthropic=True)
async def messages_stream_async(provider: LoopbackProvider) -> Any:
    async with (
        aclaude(provider) as one,
        one.messages.stream(model=CLAUDE, max_tokens=200, messages=MESSAGES) as stream,
    ):
        return await stream.get_final_message()


# LangChain -----------------------------------------------------------------------------------------------------------


@kind(langchain=True)
def langchain_invoke(provider: LoopbackProvider) -> Any:
    return chat(provider).invoke("Say hello.")


@kind(langchain=True)
async def langchain_ainvoke(provider: LoopbackProvider) -> Any:
    return await chat(provider).ainvoke("Say hello.")


@kind(langchain=True)
def langchain_stream(provider: LoopbackProvider) -> Any:
    return list(chat(provider, stream_usage=True).stream("Say hello."))


@kind(langchain=True)
async def langchain_astream(provider: LoopbackProvider) -> Any:
    return [chunk async for chunk in chat(provider, stream_usage=True).astream("Say hello.")]


@kind(langchain=True, requests=3)
def langchain_batch(provider: LoopbackProvider) -> Any:
    return chat(provider).batch(["one", "two", "three"])


@kind(langchain=True, requests=3)
async def langchain_abatch(provider: LoopbackProvider) -> Any:
    return await chat(provider).abatch(["one", "two", "three"])


@kind(langchain=True)
def langchain_structured(provider: LoopbackProvider) -> Any:
    return chat(provider).with_structured_output(Greeting, method="json_schema").invoke("Say hello.")


@kind(langchain=True)
def langchain_with_retry(provider: LoopbackProvider) -> Any:
    return chat(provider).with_retry(stop_after_attempt=3, wait_exponential_jitter=False).invoke("Say hello.")


@kind(langchain=True)
def langchain_with_fallbacks(provider: LoopbackProvider) -> Any:
    return chat(provider).with_fallbacks([chat(provider)]).invoke("Say hello.")


@kind(langchain=True)
def langchain_responses_api(provider: LoopbackProvider) -> Any:
    return chat(provider, use_responses_api=True).invoke("Say hello.")


@kind(langchain=True)
async def langchain_responses_api_async(provider: LoopbackProvider) -> Any:
    return await chat(provider, use_responses_api=True).ainvoke("Say hello.")


@kind(langchain=True)
def langchain_azure(provider: LoopbackProvider) -> Any:
    one = AzureChatOpenAI(
        model=MODEL,
        azure_endpoint=provider.azure_endpoint,
        api_key="test",
        api_version="2024-10-21",
        max_retries=0,  # type: ignore[arg-type]
    )
    return one.invoke("Say hello.")


@kind(langchain=True)
def langchain_embeddings(provider: LoopbackProvider) -> Any:
    one = OpenAIEmbeddings(
        model=EMBEDDER,
        base_url=provider.openai_base_url,
        api_key="test",  # type: ignore[arg-type]
        check_embedding_ctx_length=False,
        max_retries=0,
    )
    return one.embed_documents(["hello", "world"])


@kind(langchain=True, agent=True)
def langchain_agent(provider: LoopbackProvider) -> Any:
    agent: Any = create_agent(chat(provider), tools=[weather])
    return agent.invoke({"messages": MESSAGES})


@kind(langchain=True, agent=True)
async def langchain_agent_async(provider: LoopbackProvider) -> Any:
    agent: Any = create_agent(chat(provider), tools=[weather])
    return await agent.ainvoke({"messages": MESSAGES})


@kind(langchain=True, requests=2)
async def openai_after_ainvoke(provider: LoopbackProvider) -> Any:
    """Traceloop's LangChain instrumentation leaves a suppression key behind that hides later direct calls."""
    await chat(provider).ainvoke("Say hello.")
    async with aclient(provider) as one:
        return await one.chat.completions.create(model=MODEL, messages=MESSAGES)
