"""Gemini's Interactions API by its own SDK: refused with nothing sent, booked by the usage that its answers tell."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google import genai

from agent_fuse import SentinelBudgetExceeded, init
from agent_fuse.calls import Status
from alone import leave_nobody

from .hosts import Asked, Told, host

MODEL = "gemini-3.5-flash"
USAGE = {
    "total_input_tokens": 100,
    "total_output_tokens": 20,
    "total_thought_tokens": 300,
    "total_tool_use_tokens": 50,
    "total_cached_tokens": 0,
    "total_tokens": 470,
}
COST = 150 * 1_500 + 320 * 9_000
"""Nano-dollars of that."""


def google(asked: Asked) -> Told:
    whole: dict[str, Any] = {"id": "i1", "object": "interaction", "model": asked.body.get("model"), "steps": []}
    whole |= {"created": "2026-11-01T00:00:00Z", "updated": "2026-11-01T00:00:00Z", "status": "completed"}
    whole |= {"usage": USAGE}
    if asked.body.get("background"):
        return Told({**whole, "usage": None, "status": "in_progress"})
    if not asked.body.get("stream"):
        return Told(whole)
    events = [
        {"event_type": "interaction.created", "interaction": {**whole, "usage": None}},
        {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "hi"}},
        {"event_type": "interaction.completed", "interaction": whole},
    ]
    return Told(events=events, named_by="event_type", last="event: done\ndata: [DONE]\n\n")


@pytest.fixture
def served() -> Iterator[tuple[str, list[Asked]]]:
    leave_nobody()
    with host(google) as one:
        yield one


@pytest.fixture
def client(served: tuple[str, list[Asked]]) -> Any:
    options: Any = {"base_url": served[0]}
    return genai.Client(api_key="x", http_options=options)


async def _awaited(client: Any) -> None:
    await client.aio.interactions.create(model=MODEL, input="hi")


async def _streamed(client: Any) -> None:
    async for _ in await client.aio.interactions.create(model=MODEL, input="hi", stream=True):
        pass


CALLS: dict[str, Callable[[Any], object]] = {
    "whole": lambda client: client.interactions.create(model=MODEL, input="hi"),
    "streamed": lambda client: list(client.interactions.create(model=MODEL, input="hi", stream=True)),
    "awaited": lambda client: asyncio.run(_awaited(client)),
    "awaited, streamed": lambda client: asyncio.run(_streamed(client)),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_interaction_is_booked_by_its_usage_and_refused(client: Any, served: Any, tmp_path: Any, name: str) -> None:
    """Thoughts and what tools brought are told beside the rest, and billed with it."""
    fuse = init(budget="0.01", db_path=str(tmp_path / "ledger.db")).fuse
    CALLS[name](client)
    with pytest.raises(SentinelBudgetExceeded):
        client.interactions.create(model=MODEL, input="hi", generation_config={"max_output_tokens": 1_000})
    refused, entry = fuse.ledger.journal()
    assert (entry.status, entry.cost, entry.model) == (Status.SETTLED, COST, MODEL)
    assert (refused.status, len(served[1])) == (Status.REFUSED, 1)


def test_one_that_goes_on_is_booked_at_an_estimate(client: Any, tmp_path: Any) -> None:
    """Its answer tells no usage."""
    fuse = init(budget=1, db_path=str(tmp_path / "ledger.db")).fuse
    client.interactions.create(agent="deep-research-pro-preview-12-2025", input="hi", background=True)
    (entry,) = fuse.ledger.journal()
    assert entry.status is Status.ESTIMATED
    assert entry.cost > 0
