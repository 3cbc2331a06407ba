"""Calls through the google-genai SDK."""

from typing import Any

from google import genai

from conformance.place import GEMINI, Place

from .base import Kinds

KINDS = Kinds()


def client(place: Place) -> genai.Client:
    return genai.Client(api_key="test", http_options={"base_url": place.google.url, "timeout": 20_000})  # type: ignore[arg-type]


@KINDS.add("generate_content")
def generate(place: Place, prompt: str) -> Any:
    return place.once(client).models.generate_content(model=GEMINI, contents=prompt)


@KINDS.add("generate_content, async")
async def generate_async(place: Place, prompt: str) -> Any:
    return await place.once(client).aio.models.generate_content(model=GEMINI, contents=prompt)


@KINDS.add("generate_content_stream")
def stream(place: Place, prompt: str) -> Any:
    yield from place.once(client).models.generate_content_stream(model=GEMINI, contents=prompt)


@KINDS.add("generate_content_stream, async")
async def stream_async(place: Place, prompt: str) -> Any:
    async for piece in await place.once(client).aio.models.generate_content_stream(model=GEMINI, contents=prompt):
        yield piece
