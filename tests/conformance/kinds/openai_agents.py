"""Calls through the OpenAI Agents SDK."""

from typing import Any

import agents

from conformance.place import MODEL, Place

from . import openai_sdk
from .base import Kinds

KINDS = Kinds()

agents.set_trace_processors([])  # its own exporter, which would send to OpenAI


def chat(place: Place) -> Any:
    return agents.OpenAIChatCompletionsModel(model=MODEL, openai_client=place.once(openai_sdk.aclient))


def responses(place: Place) -> Any:
    return agents.OpenAIResponsesModel(model=MODEL, openai_client=place.once(openai_sdk.aclient))


def agent(model: Any, place: Place, *, tool: bool = False) -> Any:
    def weather(city: str) -> str:
        """The weather in a city."""
        return place.weather(city)

    tools = [agents.function_tool(weather)] if tool else []
    return agents.Agent(name="Weather", instructions="Be brief.", model=model, tools=tools)


def options(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = {"max_turns": 30}
    if place.session:
        found["run_config"] = agents.RunConfig(group_id=place.session)
    return found


@KINDS.add("Responses model")
async def run(place: Place, prompt: str) -> Any:
    return await agents.Runner.run(agent(place.once(responses), place), prompt, **options(place))


@KINDS.add("chat-completions model")
async def run_chat(place: Place, prompt: str) -> Any:
    return await agents.Runner.run(agent(place.once(chat), place), prompt, **options(place))


@KINDS.add("Responses model, stream")
async def run_stream(place: Place, prompt: str) -> Any:
    async for event in agents.Runner.run_streamed(
        agent(place.once(responses), place), prompt, **options(place)
    ).stream_events():
        yield event


@KINDS.add("chat-completions model, stream", told=False)
async def run_chat_stream(place: Place, prompt: str) -> Any:
    async for event in agents.Runner.run_streamed(
        agent(place.once(chat), place), prompt, **options(place)
    ).stream_events():
        yield event


@KINDS.add("Responses model with a tool", agent=True, requests=2)
async def run_with_tool(place: Place, prompt: str) -> Any:
    return await agents.Runner.run(agent(place.once(responses), place, tool=True), prompt, **options(place))


@KINDS.add("chat-completions model with a tool", agent=True, requests=2)
async def run_chat_with_tool(place: Place, prompt: str) -> Any:
    return await agents.Runner.run(agent(place.once(chat), place, tool=True), prompt, **options(place))
