"""Calls through the anthropic SDK."""

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic

from conformance.place import CLAUDE, Place

from .base import Kinds

KINDS = Kinds()


def client(place: Place) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=place.openai.anthropic_base_url, api_key="test", max_retries=0, timeout=20)


def aclient(place: Place) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=place.openai.anthropic_base_url, api_key="test", max_retries=0, timeout=20)


def body(prompt: str) -> Any:
    return {"model": CLAUDE, "max_tokens": 300, "messages": [{"role": "user", "content": prompt}]}


@KINDS.add("messages")
def create(place: Place, prompt: str) -> Any:
    return place.once(client).messages.create(**body(prompt))


@KINDS.add("messages, async")
async def create_async(place: Place, prompt: str) -> Any:
    return await place.once(aclient).messages.create(**body(prompt))


@KINDS.add("messages, stream=True")
def create_stream(place: Place, prompt: str) -> Any:
    yield from place.once(client).messages.create(**body(prompt), stream=True)


@KINDS.add("messages, stream=True, async")
async def create_stream_async(place: Place, prompt: str) -> Any:
    async for event in await place.once(aclient).messages.create(**body(prompt), stream=True):
        yield event


@KINDS.add("messages.stream()")
def stream(place: Place, prompt: str) -> Any:
    with place.once(client).messages.stream(**body(prompt)) as events:
        yield from events


@KINDS.add("messages.stream(), async")
async def stream_async(place: Place, prompt: str) -> Any:
    async with place.once(aclient).messages.stream(**body(prompt)) as events:
        async for event in events:
            yield event


@KINDS.add("8 equal messages, threads", requests=8, many=True)
def create_threads(place: Place, prompt: str) -> Any:
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(contextvars.copy_context().run, create, place, prompt) for _ in range(8)]
    return [one.result() for one in made]


@KINDS.add("8 equal messages, tasks", requests=8, many=True)
async def create_tasks(place: Place, prompt: str) -> Any:
    return await asyncio.gather(*(create_async(place, prompt) for _ in range(8)))
