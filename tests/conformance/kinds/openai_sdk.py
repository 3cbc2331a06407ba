"""Calls through the openai SDK."""

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai

from conformance.place import EMBEDDER, MODEL, Place

from .base import Kinds

KINDS = Kinds()
USAGE: Any = {"include_usage": True}


def client(place: Place) -> openai.OpenAI:
    return openai.OpenAI(base_url=place.openai.openai_base_url, api_key="test", max_retries=0, timeout=20)


def aclient(place: Place) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=place.openai.openai_base_url, api_key="test", max_retries=0, timeout=20)


def messages(prompt: str) -> Any:
    return [{"role": "user", "content": prompt}]


@KINDS.add("chat")
def chat(place: Place, prompt: str) -> Any:
    return place.once(client).chat.completions.create(model=MODEL, messages=messages(prompt))


@KINDS.add("chat, async")
async def chat_async(place: Place, prompt: str) -> Any:
    return await place.once(aclient).chat.completions.create(model=MODEL, messages=messages(prompt))


@KINDS.add("chat, raw response")
def chat_raw(place: Place, prompt: str) -> Any:
    raw = place.once(client).chat.completions.with_raw_response
    return raw.create(model=MODEL, messages=messages(prompt)).parse()


@KINDS.add("chat stream")
def chat_stream(place: Place, prompt: str) -> Any:
    yield from place.once(client).chat.completions.create(
        model=MODEL, messages=messages(prompt), stream=True, stream_options=USAGE
    )


@KINDS.add("chat stream, async")
async def chat_stream_async(place: Place, prompt: str) -> Any:
    async for piece in await place.once(aclient).chat.completions.create(
        model=MODEL, messages=messages(prompt), stream=True, stream_options=USAGE
    ):
        yield piece


@KINDS.add("chat stream without usage", told=False)
def chat_stream_without_usage(place: Place, prompt: str) -> Any:
    yield from place.once(client).chat.completions.create(model=MODEL, messages=messages(prompt), stream=True)


@KINDS.add("responses")
def responses(place: Place, prompt: str) -> Any:
    return place.once(client).responses.create(model=MODEL, input=prompt)


@KINDS.add("responses, async")
async def responses_async(place: Place, prompt: str) -> Any:
    return await place.once(aclient).responses.create(model=MODEL, input=prompt)


@KINDS.add("responses stream")
def responses_stream(place: Place, prompt: str) -> Any:
    yield from place.once(client).responses.create(model=MODEL, input=prompt, stream=True)


@KINDS.add("embeddings")
def embeddings(place: Place, prompt: str) -> Any:
    return place.once(client).embeddings.create(model=EMBEDDER, input=[prompt])


@KINDS.add("8 equal chats, threads", requests=8, many=True)
def chat_threads(place: Place, prompt: str) -> Any:
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(contextvars.copy_context().run, chat, place, prompt) for _ in range(8)]
    return [one.result() for one in made]


@KINDS.add("8 equal chats, tasks", requests=8, many=True)
async def chat_tasks(place: Place, prompt: str) -> Any:
    return await asyncio.gather(*(chat_async(place, prompt) for _ in range(8)))
