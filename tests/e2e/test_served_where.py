"""Where and how fast a Claude model ran: US-only inference and fast mode are priced apart, and the answer says which."""

from collections.abc import Iterator
from typing import Any, cast

import anthropic
import httpx
import pytest

from agent_fuse import init
from agent_fuse.calls import Entry
from agent_fuse.prices import PriceBook

from .hosts import Asked, Told, host

TOKENS: dict[str, Any] = {"input_tokens": 1000, "output_tokens": 100}
CACHED: dict[str, Any] = {**TOKENS, "cache_read_input_tokens": 2000, "cache_creation_input_tokens": 400}
AT_LIST = 1000 * 5_000 + 100 * 25_000
"""Nano-dollars of TOKENS at claude-opus-4-6."""
USAGE: dict[str, Any] = {}


def claude(asked: Asked) -> Told:
    """Answers with USAGE, streamed where it is asked to."""
    message: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "content": []}
    message |= {"model": asked.body.get("model", "claude-opus-4-6")}
    message |= {"stop_reason": "end_turn", "stop_sequence": None, "usage": USAGE}
    if not asked.body.get("stream"):
        return Told(message)
    done = {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 100}}
    events = [
        {"type": "message_start", "message": {**message, "usage": {**USAGE, "output_tokens": 1}}},
        {"type": "message_delta", **done},
        {"type": "message_stop"},
    ]
    return Told(events=events)


@pytest.fixture
def url() -> Iterator[str]:
    with host(claude) as (at, _):
        yield at


def send(how: str, url: str, asked: dict[str, Any]) -> None:
    """By the SDK, whole, streamed or raw, or by an HTTP library."""
    body: dict[str, Any] = {
        "model": "claude-opus-4-6",
        "max_tokens": 200,
        "messages": [{"role": "user", "content": "hi"}],
        **asked,
    }
    if how == "httpx":
        httpx.post(f"{url}/v1/messages", json=body, headers={"x-api-key": "x", "anthropic-version": "2023-06-01"})
        return
    with anthropic.Anthropic(base_url=url, api_key="x", max_retries=0) as client:
        create = cast("Any", client.messages.with_raw_response if how == "raw" else client.messages).create
        answer = create(stream=how == "streamed", **body)
        if how == "streamed":
            list(answer)


def book(how: str, url: str, tmp_path: Any, asked: dict[str, Any], told: dict[str, Any]) -> Entry:
    USAGE.clear()
    USAGE.update({**TOKENS, **told})
    fuse = init(budget=100, db_path=str(tmp_path / "ledger.db")).fuse
    send(how, url, asked)
    return next(fuse.ledger.journal())


@pytest.mark.parametrize("how", ["whole", "streamed", "raw", "httpx"])
@pytest.mark.parametrize(
    ("asked", "told", "cost"),
    [
        ({"inference_geo": "us"}, {"service_tier": "standard", "inference_geo": "us"}, AT_LIST * 11 // 10),
        ({}, {"service_tier": "standard", "inference_geo": "us"}, AT_LIST * 11 // 10),
        ({"inference_geo": "us"}, {"service_tier": "standard", "inference_geo": "global"}, AT_LIST),
        ({"inference_geo": "us"}, {"service_tier": "standard"}, AT_LIST * 11 // 10),
        ({"inference_geo": "us"}, {}, AT_LIST * 11 // 10),
        ({}, {"inference_geo": "not_available", "service_tier": "standard"}, AT_LIST),
        (
            {"model": "claude-opus-5", "speed": "fast", "service_tier": "auto"},
            {"service_tier": "standard", "speed": "fast", "inference_geo": "us"},
            AT_LIST * 2 * 11 // 10,
        ),
        ({"model": "claude-opus-5", "speed": "fast", "inference_geo": "us"}, {}, AT_LIST * 2 * 11 // 10),
        ({"model": "claude-opus-5", "speed": "fast"}, {"service_tier": "standard", "speed": "standard"}, AT_LIST),
        ({"speed": "fast"}, {"service_tier": "standard", "speed": "fast"}, AT_LIST * 6),
    ],
)
def test_what_the_answer_tells_outranks_what_was_asked(
    url: str, tmp_path: Any, how: str, asked: dict[str, Any], told: dict[str, Any], cost: int
) -> None:
    """Its place and its speed, each for itself; what it does not tell is as it was asked for, or as the workspace is."""
    assert book(how, url, tmp_path, asked, told).cost == cost


def test_cache_writes_and_reads_are_dearer_too(url: str, tmp_path: Any) -> None:
    """All token prices are 1.1 times the list's."""
    plain = 1000 * 5_000 + 100 * 25_000 + 2000 * 500 + 400 * 6_250
    assert book("whole", url, tmp_path, {}, CACHED | {"inference_geo": "us"}).cost == plain * 11 // 10


def test_searches_are_not(url: str, tmp_path: Any) -> None:
    """A search is $0.01 wherever the model runs."""
    told = {"inference_geo": "us", "server_tool_use": {"web_search_requests": 3}}
    entry = book("whole", url, tmp_path, {}, told)
    assert (entry.cost - entry.fee, entry.fee) == (AT_LIST * 11 // 10, 30_000_000)


def test_what_runs_beside_the_message_is_where_it_is(url: str, tmp_path: Any) -> None:
    """A compaction's tokens are told apart from the message's, and cost as much there."""
    parts = [{"type": kind, **TOKENS} for kind in ("compaction", "message")]
    entry = book("whole", url, tmp_path, {}, {"inference_geo": "us", "iterations": parts})
    assert entry.cost == 2 * AT_LIST * 11 // 10


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("region", "tenths"), [("us-east5", 11), ("eu", 11), ("global", 10)])
def test_a_region_of_google_cloud_is_a_tenth_dearer(
    url: str, tmp_path: Any, region: str, tenths: int, stream: bool
) -> None:
    """Whatever Google bills there and not globally is told by the URL alone."""
    USAGE.clear()
    USAGE.update(CACHED)
    fuse = init(budget=100, db_path=str(tmp_path / "ledger.db")).fuse
    asked: Any = {"model": "claude-opus-4-6", "max_tokens": 200, "messages": [{"role": "user", "content": "hi"}]}
    base = f"{url}/v1"
    with anthropic.AnthropicVertex(region=region, project_id="p", access_token="t", base_url=base) as client:
        answer = client.messages.create(**asked, stream=stream)
        if stream:
            list(answer)
    (entry,) = fuse.ledger.journal()
    assert entry.cost == (AT_LIST + 2000 * 500 + 400 * 6_250) * tenths // 10


@pytest.mark.parametrize(
    ("model", "dearer"), [("claude-haiku-4-5@20251001", 1.1), ("claude-opus-4-1@20250805", 1), ("claude-sonnet-5", 1.1)]
)
def test_models_before_4_5_cost_the_same_everywhere(model: str, dearer: float) -> None:
    """They keep the prices they had."""
    book = PriceBook()
    there = book.rates(model, "google", tier="@regional").tiers[0].output
    assert there == book.rates(model, "google").tiers[0].output * dearer
