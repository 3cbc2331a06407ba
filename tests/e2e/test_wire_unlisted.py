"""A POST to a model host at a path that no protocol knows follows `unknown_endpoint`, whatever library sends it."""

import asyncio
import functools
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import aiohttp
import boto3
import cohere
import httpx
import pytest
import requests
import urllib3
from google import genai
from google.genai import types
from mistralai.client import Mistral

from agent_fuse import SentinelBudgetExceeded
from agent_fuse.calls import Status
from agent_fuse.otel import blind
from agent_fuse.otel.unknown_endpoints import is_gated

from .conftest import Rig

pytestmark = [
    pytest.mark.parametrize("wired", ["none"], indirect=True),
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),  # google-genai's
]


class Server(ThreadingHTTPServer):
    """Answers every POST with `answer`, under whatever host's name, and keeps the paths."""

    daemon_threads = True
    answer: bytes = b"{}"

    def __init__(self) -> None:
        self.paths: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def at(self, host: str) -> str:
        return f"http://{host}:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.paths.append(self.path)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with Server() as one:
        Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
        yield one
        one.shutdown()


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Every host's name leads to it."""
    find = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *rest, **more: find("127.0.0.1", *rest, **more))
    running.paths.clear()
    running.answer = b"{}"
    return running


@functools.cache
def aws(server: Server, service: str) -> Any:
    endpoint = server.at(f"{service}.us-east-1.amazonaws.com")
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    return boto3.client(service, endpoint_url=endpoint, **keys)


@functools.cache
def gemini(server: Server) -> genai.Client:
    base = server.at("generativelanguage.googleapis.com")
    return genai.Client(api_key="x", http_options=types.HttpOptions(base_url=base))


def mistral(server: Server) -> Mistral:
    return Mistral(api_key="x", server_url=server.at("api.mistral.ai"))


async def by_aiohttp(base: str, path: str) -> None:
    async with (
        aiohttp.ClientSession(base, headers={"connection": "close"}) as session,
        session.post(path, json={"version": "x", "input": {}}) as answer,
    ):
        await answer.read()


async def by_async_httpx(url: str) -> None:
    async with httpx.AsyncClient() as client:
        await client.post(url, json={"query": "x"})


GUARDED = {"guardrailIdentifier": "g", "guardrailVersion": "1", "source": "INPUT", "content": [{"text": {"text": "x"}}]}
SOURCES: Any = [{"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": "x"}}}]
RERANKED: Any = {
    "queries": [{"type": "TEXT", "textQuery": {"text": "x"}}],
    "sources": SOURCES,
    "rerankingConfiguration": {
        "type": "BEDROCK_RERANKING_MODEL",
        "bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": "arn:aws:bedrock:us-east-1::x/y"}},
    },
}

CALLS: dict[str, Callable[[Server], object]] = {
    "bedrock rerank": lambda s: aws(s, "bedrock-agent-runtime").rerank(**RERANKED),
    "bedrock agent": lambda s: list(
        aws(s, "bedrock-agent-runtime").invoke_agent(
            agentId="AGENT12345", agentAliasId="ALIAS12345", sessionId="s1", inputText="x"
        )["completion"]
    ),
    "bedrock guardrail": lambda s: aws(s, "bedrock-runtime").apply_guardrail(**GUARDED),
    "gemini cache": lambda s: gemini(s).caches.create(model="gemini-2.5-flash", config={"contents": "x"}),
    "mistral conversation": lambda s: mistral(s).beta.conversations.start(model="mistral-small-latest", inputs="x"),
    "cohere embed job": lambda s: cohere.Client(api_key="x", base_url=s.at("api.cohere.com")).embed_jobs.create(
        model="embed-v4.0", dataset_id="d", input_type="search_document"
    ),
    "imagen of another name": lambda s: requests.post(
        s.at("us-central1-aiplatform.googleapis.com")
        + "/v1/projects/p/locations/l/publishers/google/models/imagen-4-preview:predict",
        json={"instances": [{"prompt": "x"}]},
        timeout=5,
    ),
    "replicate": lambda s: asyncio.run(by_aiohttp(s.at("api.replicate.com"), "/v1/models/meta/llama/predictions")),
    "perplexity search": lambda s: asyncio.run(by_async_httpx(s.at("api.perplexity.ai") + "/search")),
    "openai run": lambda s: httpx.post(s.at("api.openai.com") + "/v1/threads/runs", json={"assistant_id": "a"}),
    "dashscope": lambda s: urllib3.request(
        "POST",
        s.at("dashscope-intl.aliyuncs.com") + "/api/v1/services/aigc/text-generation/generation",
        json={"model": "qwen-plus", "input": {"prompt": "x"}},
        headers={"connection": "close"},
    ),
}


def quietly(call: Callable[[], object]) -> None:
    """The answer is empty, which SDKs make what they can of."""
    try:
        call()
    except Exception:  # that it was sent is looked at, not what is made of the answer
        return


@pytest.mark.parametrize("name", CALLS)
def test_refused_with_nothing_sent(rig: Rig, server: Server, name: str) -> None:
    """With the budget used up no byte leaves, and nothing stays held."""
    rig.use(budget="0.000000001")
    with pytest.raises(SentinelBudgetExceeded):
        CALLS[name](server)
    assert server.paths == []
    assert rig.books.open_holds() == []


@pytest.mark.parametrize("name", CALLS)
def test_with_room_it_is_booked_at_an_estimate(rig: Rig, server: Server, name: str) -> None:
    """One request, one call."""
    rig.use(budget="100")
    quietly(lambda: CALLS[name](server))
    assert len(server.paths) == 1
    (entry,) = rig.books.entries()
    assert entry.status is Status.ESTIMATED
    assert rig.books.open_holds() == []


@pytest.mark.parametrize("name", [one for one in CALLS if one != "openai run"])
def test_such_are_blocked_or_let_go_where_the_user_says_so(rig: Rig, server: Server, name: str) -> None:
    """'block' lets nothing out, 'free' books nothing; either says so once."""
    rig.use(budget="100", unknown_endpoint="block")
    with pytest.raises(SentinelBudgetExceeded, match="unknown_endpoint='block'"):
        CALLS[name](server)
    assert server.paths == []
    assert [one for one in blind.known_blind() if "which AgentFuse does not know, is blocked" in one]
    rig.use(budget="100", unknown_endpoint="free", session_id="other")
    quietly(lambda: CALLS[name](server))
    assert len(server.paths) == 1
    assert [one.status for one in rig.books.entries()] == [Status.REFUSED]
    assert rig.books.open_holds() == []


def test_ids_in_a_path_are_told_of_once(rig: Rig, server: Server) -> None:
    """A warning a path, not one for each of what it names."""
    rig.use(budget="100")
    for number in range(5):
        httpx.post(server.at("api.mistral.ai") + f"/v1/conversations/conv_{number}", json={"inputs": "x"})
    (told,) = blind.known_blind()
    assert "api.mistral.ai" in told
    assert "/v1/conversations/* " in told.replace(",", " ")


def test_a_log_in_that_stands_in_a_url_is_told_nowhere(rig: Rig) -> None:
    """The warning names the host and the path alone."""
    rig.use(budget="100")
    assert is_gated("estimate", "https://ann:s3cret@api.replicate.com/v1/trainings?token=s3cret")
    (told,) = blind.known_blind()
    assert "https://api.replicate.com/v1/trainings," in told
    assert "s3cret" not in told
    assert "ann" not in told


def test_what_an_answer_tells_is_booked(rig: Rig, server: Server) -> None:
    """Mistral's conversations tell their usage as chats do."""
    rig.use(budget="100")
    server.answer = b'{"usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}}'
    url = server.at("api.mistral.ai") + "/v1/conversations"
    httpx.post(url, json={"model": "mistral-small-latest", "inputs": "x"})
    (entry,) = rig.books.entries()
    assert (entry.status, entry.input_tokens, entry.output_tokens) == (Status.SETTLED, 1000, 100)


PARTS = [{"content": [{"type": "text", "text": "word " * 4_000}]}]


@pytest.mark.parametrize(
    ("host", "path", "inputs"),
    [
        ("api.voyageai.com", "/v1/multimodalembeddings", PARTS),
        ("api.perplexity.ai", "/v1/contextualizedembeddings", [["word " * 4_000]]),
    ],
)
def test_embeddings_of_parts_are_booked_by_their_total(
    rig: Rig, server: Server, host: str, path: str, inputs: object
) -> None:
    """Their answers tell a total alone, which is input; what is embedded is quoted by its text."""
    body = {"model": "voyage-3.5", "inputs": inputs}
    rig.use(budget="0.0001")
    with pytest.raises(SentinelBudgetExceeded):
        httpx.post(server.at(host) + path, json=body)
    rig.use(budget="100", session_id="other")
    server.answer = b'{"usage": {"total_tokens": 4321}}'
    httpx.post(server.at(host) + path, json=body)
    entry = rig.books.entries()[-1]
    assert (entry.status, entry.input_tokens, entry.output_tokens or 0) == (Status.SETTLED, 4321, 0)
    assert len(server.paths) == 1


class Unread(httpx.BaseTransport):
    """Answers whoever has not read the body before it is sent."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with pytest.raises(httpx.RequestNotRead):
            _ = request.content
        return httpx.Response(200, json={})


def test_a_body_that_costs_nothing_is_not_read(rig: Rig) -> None:
    """A file that is uploaded to a model host streams through: it is not looked at first."""
    rig.use(budget="0.000000001")
    with httpx.Client(transport=Unread()) as client:
        assert client.post("https://api.mistral.ai/v1/files", content=iter([b"x"])).status_code == 200
    assert rig.books.entries() == []


def test_a_chat_that_is_answered_later_is_quoted_by_what_it_asks(rig: Rig, server: Server) -> None:
    """Perplexity's stands one level down in the body."""
    asked = {"request": {"model": "sonar", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1_000}}
    rig.use(budget="0.001")
    with pytest.raises(SentinelBudgetExceeded, match="sonar"):
        httpx.post(server.at("api.perplexity.ai") + "/async/chat/completions", json=asked)
    assert server.paths == []


def test_a_foreign_host_is_not_said_to_be_coheres(rig: Rig, server: Server) -> None:
    """Many speak a rerank under its path: the provider is the host's, or nobody's."""
    rig.use(budget="100")
    server.answer = b'{"usage": {"total_tokens": 50}}'
    body = {"model": "jina-reranker-v3", "query": "x", "documents": ["y"]}
    httpx.post(server.at("rerank.invalid") + "/v1/rerank", json=body)
    httpx.post(server.at("api.voyageai.com") + "/v1/rerank", json=body)
    httpx.post(server.at("api.cohere.com") + "/v1/rerank", json=body)
    assert sorted(one.provider for one in rig.books.entries()) == ["", "cohere", "voyageai"]


def test_a_server_of_ones_own_that_is_invoked_is_not_bedrock(rig: Rig, server: Server) -> None:
    """Agents are often served at `/invoke`: without a model in the path it is none of Amazon's."""
    rig.use(budget="0.000000001")
    assert httpx.post(server.at("agents.invalid") + "/invoke", json={"message": "hi"}).status_code == 200
    with pytest.raises(SentinelBudgetExceeded):
        httpx.post(server.at("gateway.invalid") + "/model/amazon.nova-lite-v1:0/invoke", json={"messages": []})
