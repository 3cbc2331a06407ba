"""Calls through LangChain's chat models, embeddings and agents."""

import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

try:
    from langchain.agents import create_agent
except ImportError:
    from langgraph.prebuilt import create_react_agent as create_agent

from conformance.place import CLAUDE, EMBEDDER, MODEL, Place

from .base import Kinds

KINDS = Kinds()


def model(place: Place) -> Any:
    return ChatOpenAI(model=MODEL, base_url=place.openai.openai_base_url, api_key="test", max_retries=0, timeout=20)  # type: ignore[arg-type]


def streaming(place: Place) -> Any:
    return ChatOpenAI(
        model=MODEL,
        base_url=place.openai.openai_base_url,
        api_key="test",  # type: ignore[arg-type]
        max_retries=0,
        timeout=20,
        stream_usage=True,
    )


def responses(place: Place) -> Any:
    return ChatOpenAI(
        model=MODEL,
        base_url=place.openai.openai_base_url,
        api_key="test",  # type: ignore[arg-type]
        max_retries=0,
        timeout=20,
        use_responses_api=True,
    )


def claude(place: Place) -> Any:
    return ChatAnthropic(
        model_name=CLAUDE,
        base_url=place.openai.anthropic_base_url,
        api_key="test",  # type: ignore[arg-type]
        max_retries=0,
        timeout=20,
        stop=None,
        max_tokens_to_sample=300,
    )


def agent(place: Place) -> Any:
    tool = StructuredTool.from_function(place.weather, name="weather", description="The weather in a city.")
    return create_agent(place.once(model), tools=[tool])


def config(place: Place) -> Any:
    found: dict[str, Any] = {"recursion_limit": 60}
    if place.session:
        found["metadata"] = {"session_id": place.session, "thread_id": place.session}
    return found


@KINDS.add("invoke")
def invoke(place: Place, prompt: str) -> Any:
    return place.once(model).invoke(prompt, config(place))


@KINDS.add("ainvoke")
async def ainvoke(place: Place, prompt: str) -> Any:
    return await place.once(model).ainvoke(prompt, config(place))


@KINDS.add("stream")
def stream(place: Place, prompt: str) -> Any:
    yield from place.once(streaming).stream(prompt, config(place))


@KINDS.add("astream")
async def astream(place: Place, prompt: str) -> Any:
    async for piece in place.once(streaming).astream(prompt, config(place)):
        yield piece


@KINDS.add("batch of 3", requests=3)
def batch(place: Place, prompt: str) -> Any:
    return place.once(model).batch([prompt] * 3, config(place))


@KINDS.add("abatch of 3", requests=3)
async def abatch(place: Place, prompt: str) -> Any:
    return await place.once(model).abatch([prompt] * 3, config(place))


@KINDS.add("invoke, with_retry")
def with_retry(place: Place, prompt: str) -> Any:
    return (
        place.once(model).with_retry(stop_after_attempt=3, wait_exponential_jitter=False).invoke(prompt, config(place))
    )


@KINDS.add("invoke, Responses API")
def invoke_responses(place: Place, prompt: str) -> Any:
    return place.once(responses).invoke(prompt, config(place))


@KINDS.add("ainvoke, Responses API")
async def ainvoke_responses(place: Place, prompt: str) -> Any:
    return await place.once(responses).ainvoke(prompt, config(place))


@KINDS.add("invoke, ChatAnthropic")
def invoke_claude(place: Place, prompt: str) -> Any:
    return place.once(claude).invoke(prompt, config(place))


@KINDS.add("ainvoke, ChatAnthropic")
async def ainvoke_claude(place: Place, prompt: str) -> Any:
    return await place.once(claude).ainvoke(prompt, config(place))


@KINDS.add("OpenAIEmbeddings")
def embeddings(place: Place, prompt: str) -> Any:
    one = OpenAIEmbeddings(
        model=EMBEDDER,
        base_url=place.openai.openai_base_url,
        api_key="test",  # type: ignore[arg-type]
        check_embedding_ctx_length=False,
        max_retries=0,
    )
    return one.embed_documents([prompt])


@KINDS.add("agent", agent=True, requests=2)
def run_agent(place: Place, prompt: str) -> Any:
    return place.once(agent).invoke({"messages": [("user", prompt)]}, config(place))


@KINDS.add("agent, async", agent=True, requests=2)
async def run_agent_async(place: Place, prompt: str) -> Any:
    return await place.once(agent).ainvoke({"messages": [("user", prompt)]}, config(place))


@KINDS.add("8 equal invokes, threads", requests=8, many=True)
def invoke_threads(place: Place, prompt: str) -> Any:
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(contextvars.copy_context().run, invoke, place, prompt) for _ in range(8)]
    return [one.result() for one in made]
