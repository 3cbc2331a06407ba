"""One model declines, another answers (Anthropic's `fallbacks`): every attempt that wrote is billed at its own rates."""

from collections.abc import Iterator
from typing import Any, cast

import anthropic
import httpx
import pytest

from agent_fuse import init
from alone import leave_nobody

from .hosts import Asked, Told, host

ASKED, SERVED = "claude-fable-5", "claude-opus-4-8"
BETA = "server-side-fallback-2026-07-01"


def attempt(kind: str, model: str, into: int, out: int, read: int = 0) -> dict[str, Any]:
    cached = {"cache_read_input_tokens": read, "cache_creation_input_tokens": 0}
    return {"type": kind, "model": model, "input_tokens": into, "output_tokens": out, **cached}


ANSWERS = attempt("fallback_message", SERVED, 200, 500, 100_000)
OPUS = 200 * 5_000 + 100_000 * 500 + 500 * 25_000
"""Nano-dollars of that."""
FABLE = 300 * 10_000 + 120_000 * 1_000 + 299 * 50_000
CASES: dict[str, tuple[list[dict[str, Any]], int]] = {
    "declined before it wrote": ([attempt("message", ASKED, 300, 0, 120_000), ANSWERS], OPUS),
    "declined while it wrote": ([attempt("message", ASKED, 300, 299, 120_000), ANSWERS], FABLE + OPUS),
    "never asked": ([ANSWERS], OPUS),
    "tools in between": (
        [attempt("message", ASKED, 300, 299, 120_000), attempt("message", SERVED, 1000, 10), ANSWERS],
        FABLE + 1000 * 5_000 + 10 * 25_000 + OPUS,
    ),
    "compacted": ([attempt("compaction", SERVED, 1000, 10), ANSWERS], 1000 * 5_000 + 10 * 25_000 + OPUS),
    "nobody took over": ([attempt("message", ASKED, 300, 299, 120_000)], FABLE),
}


ATTEMPTS: list[dict[str, Any]] = []


def claude(asked: Asked) -> Told:
    """Answers with ATTEMPTS; its top level tells the last of them."""
    first, last = ATTEMPTS[0], ATTEMPTS[-1]
    usage = {**last, "iterations": ATTEMPTS}
    message: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "content": []}
    message |= {"stop_reason": "end_turn", "stop_sequence": None, "model": last["model"], "usage": usage}
    if not asked.body.get("stream"):
        return Told(message)
    start = {**message, "model": first["model"], "usage": {**first, "output_tokens": 1}}
    events = [
        {"type": "message_start", "message": start},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
        {"type": "message_stop"},
    ]
    return Told(events=events)


@pytest.fixture
def url() -> Iterator[str]:
    leave_nobody()
    with host(claude) as (at, _):
        yield at


def send(how: str, url: str) -> None:
    body: dict[str, Any] = {"model": ASKED, "max_tokens": 600, "fallbacks": [{"model": SERVED}]}
    body["messages"] = [{"role": "user", "content": "hi"}]
    if how == "httpx":
        httpx.post(f"{url}/v1/messages", json=body, headers={"x-api-key": "x", "anthropic-version": "2023-06-01"})
        return
    with anthropic.Anthropic(base_url=url, api_key="x", max_retries=0) as client:
        messages = client.beta.messages
        create = cast("Any", messages.with_raw_response if how == "raw" else messages).create
        answer = create(stream=how == "streamed", betas=[BETA], **body)
        if how == "streamed":
            list(answer)


@pytest.mark.parametrize("how", ["whole", "streamed", "raw", "httpx"])
@pytest.mark.parametrize("name", CASES)
def test_each_attempt_is_billed_by_its_model(url: str, tmp_path: Any, how: str, name: str) -> None:
    """What declined before it wrote is free; the answer's figures are those of the model that gave it."""
    ATTEMPTS[:], cost = CASES[name]
    fuse = init(budget=100, db_path=str(tmp_path / "ledger.db")).fuse
    send(how, url)
    (entry,) = fuse.ledger.journal()
    assert entry.cost == cost
    assert entry.output_tokens == sum(one["output_tokens"] for one in ATTEMPTS if one["model"] == ATTEMPTS[-1]["model"])
