"""Every client class that the two SDKs export: refused with nothing sent, and booked exactly, streams too."""

import asyncio
import json
import struct
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from zlib import crc32

import anthropic
import openai
import pytest

from agent_fuse import SentinelBudgetExceeded, init
from agent_fuse.calls import Status
from alone import leave_nobody

pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")  # it costs money to its end

MESSAGES: Any = [{"role": "user", "content": "hi"}]
CHAT_COST = 1000 * 2_500 + 100 * 10_000
"""1,000 tokens in and 100 out at the price of gpt-4o, in nano-dollars."""
MESSAGE_COST = 1000 * 3_000 + 100 * 15_000
"""The same at the price of claude-sonnet-4-5."""


def exported(sdk: Any) -> list[type[Any]]:
    """Every client class that the SDK exports, by its own names: a new one is tried the day it is there."""
    base = sdk._base_client.BaseClient
    found = {one for name, one in list(vars(sdk).items()) if not name.startswith("_") and isinstance(one, type)}
    return sorted((one for one in found if issubclass(one, base)), key=lambda one: one.__name__)


CLIENTS = [*exported(openai), *exported(anthropic)]

WHERE: dict[str, dict[str, Any]] = {
    "OpenAI": {"base_url": "/v1", "api_key": "x"},
    "AzureOpenAI": {"azure_endpoint": "", "api_version": "2024-10-21", "api_key": "x"},
    "BedrockOpenAI": {"base_url": "/v1", "api_key": "x"},
    "Anthropic": {"base_url": "", "api_key": "x"},
    "AnthropicAWS": {"base_url": "", "api_key": "x", "workspace_id": "w", "aws_region": "us-east-1"},
    "AnthropicBedrock": {"base_url": "", "api_key": "x", "aws_region": "us-east-1"},
    "AnthropicBedrockMantle": {"base_url": "", "api_key": "x"},
    "AnthropicFoundry": {"base_url": "/anthropic", "api_key": "x"},
    "AnthropicGoogleCloud": {"base_url": "", "skip_auth": True, "project": "p", "location": "us-east5"},
    "AnthropicVertex": {"base_url": "/v1", "region": "us-east5", "project_id": "p", "access_token": "x"},
}
"""How each kind is made to reach a server of ours. A kind that is not here fails the test."""

MODELS = {
    "AnthropicBedrock": "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "AnthropicBedrockMantle": "anthropic.claude-sonnet-4-5",
    "AnthropicVertex": "claude-sonnet-4-5@20250929",
}

CHAT = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
}
MESSAGE = {
    "id": "m1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1000, "output_tokens": 100},
}
CHUNKS: list[dict[str, Any]] = [
    {**CHAT, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "hi"}}], "usage": None},
    {**CHAT, "object": "chat.completion.chunk", "choices": []},
]
EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {**MESSAGE, "content": [], "usage": {"input_tokens": 1000, "output_tokens": 1}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 100}},
    {"type": "message_stop"},
]


def framed(event: dict[str, Any]) -> bytes:
    """An event as Bedrock sends it: lengths, a checksum, headers, `{"bytes": ...}`, a checksum."""
    name, value = b":event-type", b"chunk"
    headers = bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value
    payload = json.dumps({"bytes": b64encode(json.dumps(event).encode()).decode()}).encode()
    prelude = struct.pack(">II", 12 + len(headers) + len(payload) + 4, len(headers))
    whole = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return whole + struct.pack(">I", crc32(whole))


class Server(ThreadingHTTPServer):
    received = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)))
        self.server.received += 1
        chat = "chat/completions" in self.path
        if body.get("stream") or "stream" in self.path.lower():
            kind = "text/event-stream"
            events = [f"event: {one.get('type')}\ndata: {json.dumps(one)}\n\n" for one in (CHUNKS if chat else EVENTS)]
            answer = "".join(events) + ("data: [DONE]\n\n" if chat else "")
        else:
            kind, answer = "application/json", json.dumps(CHAT if chat else MESSAGE)
        data = answer.encode()
        if self.path.endswith("/invoke-with-response-stream"):
            kind, data = "application/vnd.amazon.eventstream", b"".join(map(framed, EVENTS))
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    leave_nobody()
    with Server(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def call(kind: type[Any], server: Server, *, stream: bool) -> None:
    """One call of a new client of this class, its stream read to the end."""
    name = kind.__name__.removeprefix("Async")
    places = ("base_url", "azure_endpoint")
    options = {key: server.url + value if key in places else value for key, value in WHERE[name].items()}
    asked: dict[str, Any] = {"messages": MESSAGES, "max_tokens": 100, **({"stream": True} if stream else {})}
    if kind.__module__.startswith("openai"):
        asked |= {"model": "gpt-4o", **({"stream_options": {"include_usage": True}} if stream else {})}
    else:
        asked["model"] = MODELS.get(name, "claude-sonnet-4-5")
    if kind.__name__ == name:
        with kind(max_retries=0, **options) as client:
            answer = (client.messages if hasattr(client, "messages") else client.chat.completions).create(**asked)
            assert not stream or list(answer)
        return

    async def run() -> None:
        async with kind(max_retries=0, **options) as client:
            create = (client.messages if hasattr(client, "messages") else client.chat.completions).create
            answer = await create(**asked)
            assert not stream or [one async for one in answer]

    asyncio.run(run())


def read_raw(kind: type[Any], server: Server) -> None:
    """The bytes of a stream of Bedrock's, in Amazon's own framing: the SDK needs botocore to take its events out."""
    asked: dict[str, Any] = {
        "model": MODELS["AnthropicBedrock"],
        "messages": MESSAGES,
        "max_tokens": 100,
        "stream": True,
    }
    options = {**WHERE["AnthropicBedrock"], "base_url": server.url, "max_retries": 0}
    if not kind.__name__.startswith("Async"):
        with kind(**options) as client, client.messages.with_streaming_response.create(**asked) as answer:
            assert answer.read()
        return

    async def run() -> None:
        async with kind(**options) as client, client.messages.with_streaming_response.create(**asked) as answer:
            assert await answer.read()

    asyncio.run(run())


def test_the_classes_are_those_of_both_sdks() -> None:
    """Each has its async twin, and there are as many as there were at least."""
    names = {one.__name__ for one in CLIENTS}
    assert len(names) >= 18
    assert {f"Async{name}" for name in names if not name.startswith("Async")} <= names


@pytest.mark.parametrize("kind", CLIENTS, ids=lambda kind: kind.__name__)
def test_refused_and_booked(server: Server, tmp_path: Any, kind: type[Any]) -> None:
    """With nothing left nothing is sent; with room the call is booked at what its answer tells."""
    init(budget=0, session_id="s", db_path=str(tmp_path / "none.db"))
    for stream in (False, True):
        with pytest.raises(SentinelBudgetExceeded):
            call(kind, server, stream=stream)
    assert server.received == 0
    ledger = init(budget=1_000, session_id="s", db_path=str(tmp_path / "ledger.db")).fuse.ledger
    cost = CHAT_COST if kind.__module__.startswith("openai") else MESSAGE_COST
    if kind.__name__.endswith("Vertex"):  # in a region, which is a tenth dearer than wherever
        cost = cost * 11 // 10
    if kind.__name__.endswith("AnthropicBedrock"):
        call(kind, server, stream=False)
        read_raw(kind, server)
    else:
        call(kind, server, stream=False)
        call(kind, server, stream=True)
    assert [(one.cost, one.status) for one in ledger.journal()] == [(cost, Status.SETTLED)] * 2
    assert not ledger.holds()
