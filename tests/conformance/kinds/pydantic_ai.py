"""Calls through pydantic-ai agents."""

import inspect
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from conformance.place import CLAUDE, MODEL, Place

from . import anthropic_sdk, openai_sdk
from .base import Kinds

KINDS = Kinds()


def chat(place: Place) -> Agent[None, str]:
    return Agent(OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=place.once(openai_sdk.aclient))))


def responses(place: Place) -> Agent[None, str]:
    return Agent(OpenAIResponsesModel(MODEL, provider=OpenAIProvider(openai_client=place.once(openai_sdk.aclient))))


def claude(place: Place) -> Agent[None, str]:
    provider = AnthropicProvider(anthropic_client=place.once(anthropic_sdk.aclient))
    return Agent(AnthropicModel(CLAUDE, provider=provider), model_settings={"max_tokens": 300})


def with_tool(place: Place) -> Agent[None, str]:
    agent = chat(place)
    agent.tool_plain(name="weather", description="The weather in a city.")(place.weather)
    return agent


def named(place: Place) -> dict[str, Any]:
    """pydantic-ai's own name for a session, where this release has one."""
    has = "conversation_id" in inspect.signature(Agent.run).parameters
    return {"conversation_id": place.session} if place.session and has else {}


@KINDS.add("chat model")
async def run(place: Place, prompt: str) -> Any:
    return await place.once(chat).run(prompt, **named(place))


@KINDS.add("chat model, stream")
async def run_stream(place: Place, prompt: str) -> Any:
    async with place.once(chat).run_stream(prompt, **named(place)) as found:
        async for piece in found.stream_text(delta=True, debounce_by=None):
            yield piece


@KINDS.add("Responses model")
async def run_responses(place: Place, prompt: str) -> Any:
    return await place.once(responses).run(prompt, **named(place))


@KINDS.add("Anthropic model")
async def run_claude(place: Place, prompt: str) -> Any:
    return await place.once(claude).run(prompt, **named(place))


@KINDS.add("agent with a tool", agent=True, requests=2)
async def run_with_tool(place: Place, prompt: str) -> Any:
    return await place.once(with_tool).run(prompt, **named(place))
