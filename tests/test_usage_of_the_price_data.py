"""The reader beside the price data's own: what genai-prices finds in the answers of each provider, it finds too."""

from itertools import pairwise
from typing import Any

import pytest
from genai_prices.data import providers

from agent_fuse.calls import Usage
from agent_fuse.usage_reader import read_usage

OURS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_audio_read_tokens": "cache_read_audio_tokens",
    "cache_image_read_tokens": "cache_read_image_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "input_image_tokens": "input_image_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "output_image_tokens": "output_image_tokens",
    "output_reasoning_tokens": "reasoning_tokens",
    "output_citation_tokens": "citation_tokens",
    "audio_seconds": "seconds",
    "web_searches": "web_searches",
}
NOT_READ = {
    "cursor": "bills a subscription",
    "mistral:ocr": "by the page",
    "mistral:ocr_annotated": "by the page",
    "x-ai:realtime": "by the minute of a connection",
}
"""By provider or flavour, and why its usage is none of a call that is judged."""
EXTRACTORS = {
    f"{one.id}:{way.api_flavor}": (one, way)
    for one in providers
    for way in one.extractors or ()
    if one.id not in NOT_READ and f"{one.id}:{way.api_flavor}" not in NOT_READ
}
PART = 8


def steps_of(way: Any, path: Any) -> list[Any]:
    root = [way.root] if isinstance(way.root, str) else list(way.root)
    return [*root, *([path] if isinstance(path, str) else path)]


def put(body: Any, steps: list[Any], figure: int) -> None:
    """Write a figure where the steps lead; a step that is no name is an item of a list, told by a label."""
    at = body
    for step, following in pairwise(steps):
        if isinstance(step, str):
            at = at.setdefault(step, {} if isinstance(following, str) else [])
        else:
            label = {step.field: step.match.equals}
            at.append(label)
            at = label
    at[steps[-1]] = figure


def answer(way: Any) -> dict[str, Any]:
    """One in which every figure that the extractor knows stands, parts being small and wholes large."""
    body: dict[str, Any] = {"model": "m"}
    for one in way.mappings:
        steps = steps_of(way, one.path)
        labels = {step.match.equals for step in steps if not isinstance(step, str)}
        if labels & {"VIDEO", "DOCUMENT"} or any("toolUse" in str(step) for step in steps):
            continue  # those are billed as images here; a tool's results are text
        alone = sum(other.path == one.path for other in way.mappings) == 1
        put(body, steps, {"input_tokens": 1000, "output_tokens": 500}.get(one.dest, PART) if alone else PART)
    return body


@pytest.mark.parametrize("name", EXTRACTORS)
def test_the_reader_finds_what_the_price_data_finds(name: str) -> None:
    """A provider whose answers the price data learns to read fails here until the table of shapes has them."""
    provider, way = EXTRACTORS[name]
    body = answer(way)
    if way.root == "usage" and "completion_tokens" in body["usage"]:  # whether reasoning is in it the total says
        _, usage = provider.extract_usage(body, api_flavor=way.api_flavor)
        body["usage"]["total_tokens"] = vars(usage)["input_tokens"] + vars(usage)["output_tokens"]
    found = vars(provider.extract_usage(body, api_flavor=way.api_flavor)[1])
    ours = read_usage(body.get("response", body)) or Usage()
    cited = found.get("output_citation_tokens", 0)  # in their output, beside ours
    theirs = {**found, "output_tokens": found.get("output_tokens", 0) - cited}
    told = {key: getattr(ours, field) or 0 for key, field in OURS.items()}
    assert told == {key: theirs.get(key, 0) for key in OURS}
