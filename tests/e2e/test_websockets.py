"""Websocket connections of the openai SDK: held as they open, booked answer by answer, refused where nothing is left."""

import asyncio
import inspect
import json
from collections.abc import Iterator
from threading import Thread
from typing import Any

import openai
import pytest
from websockets.sync.server import ServerConnection, serve

from agent_fuse import SentinelBudgetExceeded, init
from agent_fuse.calls import Status
from alone import leave_nobody

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the beta costs money to its end

USAGE = {
    "total_tokens": 1500,
    "input_tokens": 1000,
    "output_tokens": 500,
    "input_token_details": {
        "text_tokens": 100,
        "audio_tokens": 900,
        "cached_tokens": 500,
        "cached_tokens_details": {"text_tokens": 50, "audio_tokens": 450},
    },
    "output_token_details": {"text_tokens": 100, "audio_tokens": 400},
}
COST = 50 * 4_000 + 450 * 32_000 + 500 * 400 + 100 * 16_000 + 400 * 64_000
"""USAGE at the price of gpt-realtime, in nano-dollars: text and audio that were not cached, cached, text and audio out."""

RESPONSE_USAGE = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}


class Server:
    """Counts connections and what was asked; answers each `response.create`, and whatever it is told to say first."""

    def __init__(self) -> None:
        self.connections = 0
        self.asked = 0
        self.unasked = False
        self._server = serve(self._talk, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.socket.getsockname()[1]}/v1"
        self.options: Any = {"base_url": self.url, "websocket_base_url": self.url.replace("http", "ws"), "api_key": "x"}
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()

    def _talk(self, socket: ServerConnection) -> None:
        self.connections += 1
        path = socket.request.path if socket.request is not None else ""
        if self.unasked:
            socket.send(json.dumps(self._done(path)))
        for data in socket:
            if json.loads(data).get("type") == "response.create":
                self.asked += 1
                socket.send(json.dumps(self._done(path)))

    def _done(self, path: str) -> dict[str, Any]:
        if "/responses" in path:
            answer = {"id": "resp_1", "object": "response", "model": "gpt-4o", "status": "completed", "output": []}
            return {"type": "response.completed", "sequence_number": 1, "response": {**answer, "usage": RESPONSE_USAGE}}
        answer = {"id": "resp_1", "object": "realtime.response", "status": "completed", "output": [], "usage": USAGE}
        return {"type": "response.done", "event_id": "e", "response": answer}


@pytest.fixture
def server() -> Iterator[Server]:
    leave_nobody()
    one = Server()
    yield one
    one.close()


def books(tmp_path: Any, budget: float) -> Any:
    return init(budget=budget, session_id="s", db_path=str(tmp_path / "ledger.db")).fuse.ledger


def talk(server: Server, way: str, answers: int, *, asks: bool = True) -> None:
    """Open a connection, ask for answers and take them."""
    if way.startswith("async"):
        asyncio.run(talk_async(server, way, answers, asks=asks))
        return
    with openai.OpenAI(**server.options) as client:
        api: Any = client.beta.realtime if way == "beta" else client.realtime
        # Unwrapped: what Traceloop's instrumentation puts around the beta's `connect` can be entered in async code only.
        with inspect.unwrap(type(api).connect)(api, model="gpt-realtime") as connection:
            for _ in range(answers):
                if asks:
                    connection.response.create()
                assert connection.recv().type == "response.done"


async def talk_async(server: Server, way: str, answers: int, *, asks: bool) -> None:
    async with openai.AsyncOpenAI(**server.options) as client:
        api: Any = client.beta.realtime if way == "async beta" else client.realtime
        async with api.connect(model="gpt-realtime") as connection:
            for _ in range(answers):
                if asks:
                    await connection.response.create()
                assert (await connection.recv()).type == "response.done"


WAYS = ["sync", "beta", "async", "async beta"]


@pytest.mark.parametrize("way", WAYS)
def test_each_answer_is_booked(server: Server, tmp_path: Any, way: str) -> None:
    """Exactly, by what its last event tells; nothing is held once the connection is closed."""
    ledger = books(tmp_path, 1_000)
    talk(server, way, 2)
    assert [(one.cost, one.status, one.model) for one in ledger.journal()] == [
        (COST, Status.SETTLED, "gpt-realtime")
    ] * 2
    assert not ledger.holds()


@pytest.mark.parametrize("way", WAYS)
def test_with_nothing_left_none_is_opened(server: Server, tmp_path: Any, way: str) -> None:
    """No connection reaches the provider."""
    books(tmp_path, 0)
    with pytest.raises(SentinelBudgetExceeded):
        talk(server, way, 1)
    assert server.connections == 0


@pytest.mark.parametrize("way", WAYS)
def test_the_answer_that_is_too_many_is_not_asked_for(server: Server, tmp_path: Any, way: str) -> None:
    """A connection that has used the budget up stays open, and its next answer is refused before it is sent."""
    ledger = books(tmp_path, 0.05)
    with pytest.raises(SentinelBudgetExceeded):
        talk(server, way, 9)
    assert server.connections == 1
    settled = [one for one in ledger.journal() if one.status is Status.SETTLED]
    assert len(settled) == server.asked == 1
    assert not ledger.holds()


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_that_asks_nothing_costs_nothing(server: Server, tmp_path: Any, way: str) -> None:
    """Its hold is given back; so is that of one that could not be opened."""
    ledger = books(tmp_path, 1_000)
    talk(server, way, 0)
    server.close()
    with pytest.raises((OSError, openai.OpenAIError)):
        talk(server, way, 1)
    assert not ledger.holds()
    assert not list(ledger.journal())


def test_what_is_said_unasked_is_booked(server: Server, tmp_path: Any) -> None:
    """A voice detector at the provider asks for answers itself."""
    server.unasked = True
    ledger = books(tmp_path, 1_000)
    talk(server, "sync", 1, asks=False)
    assert [one.cost for one in ledger.journal()] == [COST]
    assert not ledger.holds()


def test_responses_over_a_websocket(server: Server, tmp_path: Any) -> None:
    """The Responses API has a connection of the same kind."""
    ledger = books(tmp_path, 0.005)
    with openai.OpenAI(**server.options) as client, client.responses.connect() as connection:
        connection.response.create(model="gpt-4o", input="hi", max_output_tokens=100)
        assert connection.recv().type == "response.completed"
        with pytest.raises(SentinelBudgetExceeded):
            connection.response.create(model="gpt-4o", input="hi", max_output_tokens=500)
    assert {one.cost for one in ledger.journal() if one.status is Status.SETTLED} == {1000 * 2_500 + 100 * 10_000}
    assert not ledger.holds()
