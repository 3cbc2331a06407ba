"""What a request body asks for, besides its prompt: how long an answer, how many, how fast."""

import json
import re
from collections.abc import Mapping
from itertools import chain
from typing import Any, cast

from agent_fuse.calls import MAX_TOKENS
from agent_fuse.quoting.names import stem

Body = dict[str, Any]

UNREADABLE_BYTES = 1_000_000
"""Size of a body that cannot be written as JSON."""

ANNOTATED = "annotated"
"""Of OCR that fills a schema besides, which is dearer."""
PRICED_TIERS = ("priority", "flex", "fast", "batch", ANNOTATED)
"""Service tiers, speeds and the like that may be priced apart."""
US = "us"
"""The place that is priced apart where a model is asked to run in it alone (Anthropic's `inference_geo`)."""
REGIONAL = "regional"
"""The same, of Anthropic's models at Google Cloud and of OpenAI's own: an endpoint that is not the global one."""
PLACE = "agent_fuse.place"
"""Where a body says so that is asked for at such an endpoint; of what leaves it is no part."""
PLACES = (US, REGIONAL)
TIERS = tuple(f"{tier}{place}" for place in ("", *(f"@{one}" for one in PLACES)) for tier in ("", *PRICED_TIERS))
"""All that `tier` and `served_tier` answer."""

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
    """What besides the model decides its price: service tier or speed, and behind an `@` the place; empty: neither."""
    asked = "fast" if body.get("speed") == "fast" else body.get("service_tier")
    priced = asked if isinstance(asked, str) and asked in PRICED_TIERS else ""
    place = US if body.get("inference_geo") == US else body.get(PLACE)
    return f"{priced}@{place}" if place in PLACES else priced


def served_tier(asked: str, told: str | None) -> str:
    """The same of a call that was asked for with `asked`: what its answer tells (`wire.Reading.tier`) outranks that."""
    if told is None:
        return asked
    tier, _, place = told.partition("@")
    tier_asked, _, place_asked = asked.partition("@")
    tier, place = tier or tier_asked, place_asked if place_asked == REGIONAL else place or place_asked
    priced = tier if tier in PRICED_TIERS else ""
    return f"{priced}@{place}" if place in PLACES else priced


def place_of(url: str) -> str:
    """The place that is priced apart and told by the URL alone; empty where there is none."""
    if "/publishers/anthropic/" in url:
        return REGIONAL if "/locations/" in url and "/locations/global/" not in url else ""
    return REGIONAL if _RESIDENT.match(url) else ""


_RESIDENT = re.compile(r"https://[a-z]+\.api\.openai\.com[:/]")
"""OpenAI's endpoints that process in a region (developers.openai.com/api/docs/guides/data-residency, 2026-11)."""


STAND_INS = frozenset({"fallbacks", "models"})
"""Where a request names other models that may answer it: Anthropic's and LiteLLM's `fallbacks` (each a model, or an
object with one and what is asked of it instead), OpenRouter's `models`."""
MOST_STAND_INS = 32
"""So many of them are looked at; Perplexity takes 5 (docs.perplexity.ai/docs/agent-api/model-fallback, 2026-11)."""


def stand_ins(body: Body) -> list[Body]:
    """The same request to each of the other models that may answer it instead, each once.

    Where there are more than `MOST_STAND_INS`, one to a model that is not known stands for the rest.
    """
    plain = {name: value for name, value in body.items() if name not in STAND_INS}
    listed = [body[name] for name in sorted(STAND_INS) if isinstance(body.get(name), list | tuple)]
    others = chain.from_iterable(cast("list[list[Any]]", listed))
    found: dict[object, Body] = {}
    for place, one in enumerate(others):
        changed = {"model": one} if isinstance(one, str) else opened(one) or {}
        if not isinstance(changed.get("model"), str):
            continue
        if len(found) == MOST_STAND_INS:
            found[place] = {key: value for key, value in plain.items() if key != "model"}
            break
        key = one if isinstance(one, str) else place
        found[key] = plain | {name: value for name, value in changed.items() if value is not None}
    return list(found.values())


def took_over(body: Mapping[str, Any], asked: str, served: str) -> str:
    """The model that answered, where it is another than was asked for first and the request names it; else empty."""
    named = {stem(one["model"]) for one in stand_ins(opened(body) or {}) if one.get("model")}
    return served if stem(served) in named and stem(served) != stem(asked) else ""


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
