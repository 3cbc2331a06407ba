"""What a request body asks for, besides its prompt: how long an answer, how many, how fast."""

import json
from collections.abc import Mapping
from typing import Any, cast

from agent_fuse.calls import MAX_TOKENS

Body = dict[str, Any]

UNREADABLE_BYTES = 1_000_000
"""Size of a body that cannot be written as JSON."""

PRICED_TIERS = ("priority", "flex", "fast", "batch")
"""Service tiers and speeds that the data may price apart."""

CAPS = ("max_completion_tokens", "max_output_tokens", "max_tokens", "max_tokens_to_sample")
"""Names of the most tokens that one answer may have."""


def cap(body: Body) -> int | None:
    """The most tokens one answer may have, as the body says."""
    for key in CAPS:
        value = body.get(key)
        if type(value) is int and value > 0:
            return value
    config = body.get("generationConfig")
    value = cast("Body", config).get("maxOutputTokens") if isinstance(config, dict) else None
    return value if type(value) is int and value > 0 else None


def choices(body: Body) -> int:
    """How many answers are generated: `n` or `best_of`, whichever is more, for each prompt."""
    if "n" not in body and "best_of" not in body and "prompt" not in body:
        return 1
    asked = [value for key in ("n", "best_of") if type(value := body.get(key)) is int and value > 0]
    prompt = body.get("prompt")
    prompts = 1
    if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
        prompts = len(cast("list[Any]", prompt))
    return min(max(asked, default=1) * prompts, MAX_TOKENS)


def tier(body: Body) -> str:
    """The service tier that the data may price apart."""
    asked = body.get("service_tier") or body.get("speed")
    return priced_tier(asked) if isinstance(asked, str) else ""


def priced_tier(told: str) -> str:
    """A service tier or speed as it is asked for or told, empty where it is the ordinary one."""
    return told if told in PRICED_TIERS else ""


def size(body: Body) -> int:
    """UTF-8 bytes of the body as JSON, UNREADABLE_BYTES where it cannot be written so."""
    try:
        return len(json.dumps(body, ensure_ascii=False, default=vars).encode("utf-8", "surrogatepass"))
    except Exception:  # noqa: BLE001 - what cannot be written as JSON cannot be sent
        return UNREADABLE_BYTES


def model(body: Body) -> str | None:
    """The model named in the body."""
    value = body.get("model")
    return value if isinstance(value, str) else None


def opened(body: object) -> Body | None:
    """The body as a dictionary, None where it is none and cannot be made one."""
    if type(body) is dict:
        return cast("Body", body)
    if not isinstance(body, Mapping):
        return None
    try:
        return dict(cast("Mapping[str, Any]", body))
    except Exception:  # noqa: BLE001 - a mapping of someone else's making
        return None
