"""What was served, not what was asked: the answer's model and tier decide what a call is booked at."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import openai
import pytest

from agent_fuse import init
from agent_fuse.calls import Entry

ANSWER: dict[str, Any] = {}


class Gateway(BaseHTTPRequestHandler):
    """Answers every request with ANSWER."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def client() -> Iterator[openai.OpenAI]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="x", max_retries=0) as client:
            yield client
        server.shutdown()


def answer(model: str, **more: Any) -> None:
    ANSWER.clear()
    ANSWER.update(
        id="c1",
        object="chat.completion",
        created=1,
        model=model,
        choices=[{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
        usage={"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
        **more,
    )


def book(client: openai.OpenAI, tmp_path: Any, model: str, **asked: Any) -> Entry:
    fuse = init(budget=100, db_path=str(tmp_path / "ledger.db")).fuse
    client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}], **asked)
    return next(fuse.ledger.journal())


@pytest.mark.parametrize(
    ("asked", "served", "cost"),
    [("flex", "default", 450_000), ("flex", "flex", 225_000), ("auto", "priority", 810_000)],
)
def test_the_tier_that_served_is_billed(client: Any, tmp_path: Any, asked: Any, served: str, cost: int) -> None:
    """Asked for at half the price and served at the whole one, a call is booked at the whole one."""
    answer("gpt-5-mini", service_tier=served)
    assert book(client, tmp_path, "gpt-5-mini", service_tier=asked).cost == cost


def test_the_model_that_answered_prices_an_alias(client: Any, tmp_path: Any) -> None:
    """A gateway's alias is billed as the model that answered, and quoted so the next time."""
    answer("gpt-4o-mini-2024-07-18")
    fuse = init(budget=100, db_path=str(tmp_path / "ledger.db")).fuse
    client.chat.completions.create(model="cheap-default", messages=[{"role": "user", "content": "hi"}])
    assert next(fuse.ledger.journal()).cost == 1000 * 150 + 100 * 600
    again = fuse.accounting.quoter.for_estimate("cheap-default", 1000, 100, provider="openai")
    assert again.cost == 1000 * 150 + 100 * 600


def test_a_known_model_is_billed_as_it_was_asked(client: Any, tmp_path: Any) -> None:
    """A gateway that answers with another name for a model that has a price changes nothing."""
    answer("gpt-4o-mini")
    assert book(client, tmp_path, "gpt-4o").cost == 1000 * 2_500 + 100 * 10_000
