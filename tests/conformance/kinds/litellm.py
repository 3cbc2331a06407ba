"""Calls through litellm."""

from typing import Any

import litellm

from conformance.place import CLAUDE, MODEL, Place

from .base import Kinds

KINDS = Kinds()


def options(place: Place, prompt: str) -> dict[str, Any]:
    return {
        "model": f"openai/{MODEL}",
        "messages": [{"role": "user", "content": prompt}],
        "api_base": place.openai.openai_base_url,
        "api_key": "test",
        "num_retries": 0,
        "timeout": 20,
        **({"metadata": {"session_id": place.session}} if place.session else {}),
    }


@KINDS.add("completion, openai/")
def completion(place: Place, prompt: str) -> Any:
    return litellm.completion(**options(place, prompt))


@KINDS.add("acompletion, openai/")
async def acompletion(place: Place, prompt: str) -> Any:
    return await litellm.acompletion(**options(place, prompt))


@KINDS.add("completion stream, openai/")
def stream(place: Place, prompt: str) -> Any:
    yield from litellm.completion(**options(place, prompt), stream=True, stream_options={"include_usage": True})


@KINDS.add("completion, anthropic/")
def claude(place: Place, prompt: str) -> Any:
    asked = {**options(place, prompt), "model": f"anthropic/{CLAUDE}", "api_base": place.openai.anthropic_base_url}
    return litellm.completion(**asked, max_tokens=300)
