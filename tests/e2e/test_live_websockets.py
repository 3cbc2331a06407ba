"""Websockets of the openai SDK beside Realtime's answers: Live sessions, translations, transcripts, the beta's Responses."""

import asyncio
import base64
import importlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import openai
import pytest
from websockets.sync.server import ServerConnection, serve

from agent_fuse import SentinelBudgetExceeded, init
from agent_fuse.calls import Status
from agent_fuse.otel.websocket_talk import KINDS
from agent_fuse.otel.websockets import MODULES
from alone import leave_nobody

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # the SDK opens connections in websockets' older way

MINUTE = 50_000_001
"""Nano-dollars of a minute of gpt-live-1: $3 an hour, which is no whole number of pico-dollars a second."""
RESPONSE = {"id": "resp_1", "object": "response", "model": "gpt-4o", "status": "completed", "output": []}
USED = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
ANSWER = 1000 * 2_500 + 100 * 10_000
SECOND = base64.b64encode(bytes(48_000)).decode()


class Server:
    """Answers each event by what `answers` says, and keeps what it was sent."""

    def __init__(self) -> None:
        self.connections = 0
        self.sent: list[dict[str, Any]] = []
        self.answers: Callable[[dict[str, Any]], list[dict[str, Any]]] = lambda event: []
        self._server = serve(self._talk, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{self._server.socket.getsockname()[1]}/v1"
        self.options: Any = {"base_url": url, "websocket_base_url": url.replace("http", "ws"), "api_key": "x"}
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.sent]

    def _talk(self, socket: ServerConnection) -> None:
        self.connections += 1
        for data in socket:
            event = json.loads(data)
            self.sent.append(event)
            for told in self.answers(event):
                socket.send(json.dumps(told))


@pytest.fixture
def server() -> Iterator[Server]:
    leave_nobody()
    one = Server()
    yield one
    one.close()


def books(tmp_path: Any, budget: float) -> Any:
    return init(budget=budget, session_id="s", db_path=str(tmp_path / "ledger.db")).fuse.ledger


def settled(ledger: Any) -> list[tuple[str, str, int]]:
    return [(one.model, one.operation, one.cost) for one in ledger.journal() if one.status is Status.SETTLED]


def test_every_connection_of_the_sdk_is_gated() -> None:
    """One that is new in the SDK fails here until it stands in the table."""
    folder = Path(str(importlib.import_module("openai").__file__)).parent
    found = {
        (".".join(["openai", *source.relative_to(folder).with_suffix("").parts]), prefix)
        for source in (folder / "resources").rglob("*.py")
        for prefix in re.findall(r"^class (?!Async)(\w+)ConnectionManager\b", source.read_text(), re.MULTILINE)
    }
    assert found == set(MODULES)
    assert {prefix for _, prefix in found} == set(KINDS)


CONNECTS: dict[str, Callable[[Any], Any]] = {
    "live": lambda client: client.live.connect(),
    "fork": lambda client: client.live.forks.connect(session_id="s"),
    "sideband": lambda client: client.live.sideband.connect(session_id="s"),
    "translation": lambda client: client.realtime.translations.connect(model="gpt-realtime-translate"),
    "beta responses": lambda client: client.beta.responses.connect(),
}


@pytest.mark.parametrize("way", CONNECTS)
@pytest.mark.parametrize("is_async", [False, True])
def test_with_nothing_left_none_is_opened(server: Server, tmp_path: Any, way: str, is_async: bool) -> None:
    """No connection reaches the provider."""
    books(tmp_path, 0)

    async def connect_async() -> None:
        async with openai.AsyncOpenAI(**server.options) as client, CONNECTS[way](client):
            pass

    def connect() -> None:
        with openai.OpenAI(**server.options) as client, CONNECTS[way](client):
            pass

    with pytest.raises(SentinelBudgetExceeded):
        asyncio.run(connect_async()) if is_async else connect()
    assert server.connections == 0


def live(event: dict[str, Any]) -> list[dict[str, Any]]:
    """A Live session, each of whose commentaries takes so many seconds as it is long."""
    if event["type"] == "session.start":
        return [{"type": "session.started", "session": {"model": "gpt-live-1"}}]
    if event["type"] == "session.close":
        return [{"type": "session.closed", "session": {"model": "gpt-live-1"}, "usage": {"seconds": 90}}]
    if event["type"] == "session.commentary.append":
        return [{"type": "session.usage.updated", "usage": {"seconds": float(event["text"])}}]
    return []


def commentary(seconds: float) -> dict[str, Any]:
    return {"type": "session.commentary.append", "text": str(seconds)}


@pytest.mark.parametrize("is_async", [False, True])
def test_a_live_session_is_booked_by_its_seconds(server: Server, tmp_path: Any, is_async: bool) -> None:
    """As it tells them, a minute and more at once, the rest as it is closed; nothing is held after it."""
    ledger, server.answers = books(tmp_path, 1_000), live

    async def talk() -> None:
        async with openai.AsyncOpenAI(**server.options) as client, client.live.connect() as connection:
            await connection.send({"type": "session.start", "session": {"model": "gpt-live-1"}})
            await connection.recv()
            for event in (commentary(12.5), commentary(72), {"type": "session.close"}):
                await connection.send(event)  # type: ignore[arg-type]
                await connection.recv()

    if is_async:
        asyncio.run(talk())
    else:
        with openai.OpenAI(**server.options) as client, client.live.connect() as connection:
            connection.send({"type": "session.start", "session": {"model": "gpt-live-1"}})
            connection.recv()
            for event in (commentary(12.5), commentary(72), {"type": "session.close"}):
                connection.send(event)  # type: ignore[arg-type]
                connection.recv()
    assert [model for model, _, _ in settled(ledger)] == ["gpt-live-1"] * 2
    assert sum(cost for _, _, cost in settled(ledger)) == pytest.approx(90 * 3_000_000_000 / 3600, abs=4)
    assert not ledger.holds()


@pytest.mark.parametrize("raw", [False, True])
def test_the_minute_that_is_too_many_is_refused(server: Server, tmp_path: Any, raw: bool) -> None:
    """A session that has used the budget up is told no more, as an event or as text."""
    ledger, server.answers = books(tmp_path, 0.06), live
    with openai.OpenAI(**server.options) as client, client.live.connect() as connection:
        connection.send({"type": "session.start", "session": {"model": "gpt-live-1"}})
        connection.recv()
        connection.send(commentary(60))  # type: ignore[arg-type]
        connection.recv()
        last: Any = json.dumps(commentary(90)) if raw else commentary(90)
        with pytest.raises(SentinelBudgetExceeded):
            (connection.send_raw if raw else connection.send)(last)
    assert server.kinds() == ["session.start", "session.commentary.append"]
    assert [cost for _, _, cost in settled(ledger)] == [MINUTE]
    assert not ledger.holds()


def test_a_live_session_that_tells_nothing_is_booked_by_estimate(server: Server, tmp_path: Any) -> None:
    """It ran, so it cost something: what was held."""
    ledger, server.answers = books(tmp_path, 1_000), live
    with openai.OpenAI(**server.options) as client, client.live.connect() as connection:
        connection.send({"type": "session.start", "session": {"model": "gpt-live-1"}})
        connection.recv()
    assert [(one.status, one.cost) for one in ledger.journal()] == [(Status.ESTIMATED, MINUTE)]


def test_what_a_session_delegates_is_booked_beside_it(server: Server, tmp_path: Any) -> None:
    """By the answer's own model and tier, heard by the session or beside it."""
    done = {"type": "response.completed", "response": {**RESPONSE, "usage": USED}}
    decision = {"id": "d1", "model": "gpt-4o", "usage": USED}
    events = [
        {"type": "response.event", "event": {"type": "response.created", "response": RESPONSE}},
        {"type": "response.event", "event": done},
        {"type": "decision.event", "event": {"type": "decision.completed", "decision": decision}},
    ]
    server.answers = lambda event: events
    ledger = books(tmp_path, 1_000)
    with openai.OpenAI(**server.options) as client, client.live.sideband.connect(session_id="s") as connection:
        connection.send({"type": "response.create"})
        for _ in events:
            connection.recv()
    assert settled(ledger) == [("gpt-4o", "chat", ANSWER)] * 2
    assert not ledger.holds()


@pytest.mark.parametrize("seconds", [0, 3, 61])
def test_a_translation_is_booked_by_the_seconds_that_it_is_sent(server: Server, tmp_path: Any, seconds: int) -> None:
    """It tells no usage, and is billed by the length of the audio: $0.034 a minute."""
    ledger = books(tmp_path, 1_000)
    with openai.OpenAI(**server.options) as client, CONNECTS["translation"](client) as connection:
        speak(connection, seconds)
    each = settled(ledger)
    assert len(each) == (seconds > 0) + (seconds > 60)
    assert sum(cost for _, _, cost in each) == pytest.approx(seconds * 34_000_000 / 60, abs=2)
    assert not ledger.holds()


def speak(connection: Any, seconds: int) -> None:
    for _ in range(seconds):
        connection.send({"type": "session.input_audio_buffer.append", "audio": SECOND})


def test_a_translation_stops_where_the_budget_does(server: Server, tmp_path: Any) -> None:
    """The audio after it is not sent."""
    books(tmp_path, 0.04)
    client = openai.OpenAI(**server.options)
    with client, CONNECTS["translation"](client) as connection, pytest.raises(SentinelBudgetExceeded):
        speak(connection, 100)
    assert len(server.sent) <= 60


@pytest.mark.parametrize(
    ("session", "usage", "model", "cost"),
    [
        (
            {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}},
            {"type": "tokens", "input_tokens": 14, "input_token_details": {"audio_tokens": 10}, "output_tokens": 45},
            "gpt-4o-transcribe",
            4 * 2_500 + 10 * 6_000 + 45 * 10_000,
        ),
        (
            {"input_audio_transcription": {"model": "whisper-1"}},
            {"type": "duration", "seconds": 8.4},
            "whisper-1",
            9 * 100_000,
        ),
    ],
)
def test_a_transcript_of_what_is_heard_is_booked(
    server: Server, tmp_path: Any, session: Any, usage: Any, model: str, cost: int
) -> None:
    """By the model that the session names for it, in tokens or seconds."""
    done = {"type": "conversation.item.input_audio_transcription.completed", "transcript": "hi", "usage": usage}
    server.answers = lambda event: [{"type": "session.updated", "session": session}, done]
    ledger = books(tmp_path, 1_000)
    with openai.OpenAI(**server.options) as client, client.realtime.connect(model="gpt-realtime") as connection:
        connection.send({"type": "input_audio_buffer.commit"})
        for _ in range(2):
            connection.recv()
    assert settled(ledger) == [(model, "transcription", cost)]
    assert not ledger.holds()


@pytest.mark.parametrize(("tier", "times"), [("flex", 1), ("default", 2), ("priority", 4)])
def test_the_tier_that_served_an_answer_counts(server: Server, tmp_path: Any, tier: str, times: int) -> None:
    """Asked for at flex; the answer tells what it came to."""
    answer = {**RESPONSE, "model": "gpt-5-mini", "service_tier": tier, "usage": USED}
    server.answers = lambda event: [{"type": "response.completed", "sequence_number": 1, "response": answer}]
    ledger = books(tmp_path, 1_000)
    with openai.OpenAI(**server.options) as client, client.responses.connect() as connection:
        connection.response.create(model="gpt-5-mini", input="hi", service_tier="flex")
        connection.recv()
    flex = 1000 * 125 + 100 * 1_000
    expected = flex * times if tier != "priority" else 1000 * 450 + 100 * 3_600
    assert [cost for _, _, cost in settled(ledger)] == [expected]
