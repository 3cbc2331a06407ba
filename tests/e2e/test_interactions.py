"""Gemini's Interactions API by its own SDK: refused with nothing sent, booked by the usage that its answers tell."""

import asyncio
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from google import genai

from agent_fuse import SentinelBudgetExceeded, init
from agent_fuse.calls import Status
from alone import leave_nobody

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


class Google(BaseHTTPRequestHandler):
    received = 0

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        Google.received += 1
        whole: dict[str, Any] = {"id": "i1", "object": "interaction", "model": asked.get("model"), "steps": []}
        whole |= {"created": "2026-11-01T00:00:00Z", "updated": "2026-11-01T00:00:00Z", "status": "completed"}
        whole |= {"usage": USAGE}
        body, kind = json.dumps(whole), "application/json"
        if asked.get("background"):
            body = json.dumps({**whole, "usage": None, "status": "in_progress"})
        if asked.get("stream"):
            events = [
                {"event_type": "interaction.created", "interaction": {**whole, "usage": None}},
                {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "hi"}},
                {"event_type": "interaction.completed", "interaction": whole},
            ]
            lines = [f"event: {one['event_type']}\ndata: {json.dumps(one)}\n\n" for one in events]
            body, kind = "".join(lines) + "event: done\ndata: [DONE]\n\n", "text/event-stream"
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def client() -> Iterator[Any]:
    leave_nobody()
    Google.received = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Google) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        options: Any = {"base_url": f"http://127.0.0.1:{server.server_port}"}
        yield genai.Client(api_key="x", http_options=options)
        server.shutdown()


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
def test_an_interaction_is_booked_by_its_usage_and_refused(client: Any, tmp_path: Any, name: str) -> None:
    """Thoughts and what tools brought are told beside the rest, and billed with it."""
    fuse = init(budget="0.01", db_path=str(tmp_path / "ledger.db")).fuse
    CALLS[name](client)
    with pytest.raises(SentinelBudgetExceeded):
        client.interactions.create(model=MODEL, input="hi", generation_config={"max_output_tokens": 1_000})
    refused, entry = fuse.ledger.journal()
    assert (entry.status, entry.cost, entry.model) == (Status.SETTLED, COST, MODEL)
    assert (refused.status, Google.received) == (Status.REFUSED, 1)


def test_one_that_goes_on_is_booked_at_an_estimate(client: Any, tmp_path: Any) -> None:
    """Its answer tells no usage."""
    fuse = init(budget=1, db_path=str(tmp_path / "ledger.db")).fuse
    client.interactions.create(agent="deep-research-pro-preview-12-2025", input="hi", background=True)
    (entry,) = fuse.ledger.journal()
    assert entry.status is Status.ESTIMATED
    assert entry.cost > 0
