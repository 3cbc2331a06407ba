"""The wire gate on every HTTP library that it stands in: refused before a byte is sent, booked by what came."""

import asyncio
import contextlib
import gzip
import http.client
import io
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
import requests
import urllib3

from agent_fuse import SentinelBudgetExceeded
from agent_fuse.calls import Status, Usage
from agent_fuse.otel import wire_install
from agent_fuse.testing import Reply

from .conftest import Rig
from .roads import BODY, MODEL, ROADS, TEXT, Road

pytestmark = pytest.mark.parametrize("wired", ["none"], indirect=True)

WHOLE, STREAM = f"/v1beta/models/{MODEL}:generateContent", f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"
USED = Usage(input_tokens=1000, output_tokens=100)
EXACT = (Status.SETTLED, 1000, 100)


@pytest.fixture(params=ROADS)
def road(request: pytest.FixtureRequest) -> Road:
    return ROADS[request.param]


@pytest.fixture
def ready(rig: Rig) -> Rig:
    rig.use(budget="5")
    rig.provider.default = Reply(usage=USED)
    return rig


def booked(rig: Rig) -> list[tuple[Status, int | None, int | None]]:
    assert rig.books.open_holds() == []
    return [(one.status, one.input_tokens, one.output_tokens) for one in rig.books.entries()]


@pytest.mark.parametrize("path", [WHOLE, STREAM])
@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_is_booked_to_the_token(ready: Rig, road: Road, path: str, packed: bool) -> None:
    """Whole or streamed, plain or compressed on its way here; and its user gets all of it."""
    if packed:
        ready.provider.reply(Reply(usage=USED, headers={"content-encoding": "gzip"}))
    got = road(ready.provider.url + path, TEXT, {"content-type": "application/json"})
    assert got.status == 200
    assert b"usageMetadata" in (gzip.decompress(got.body) if got.body.startswith(b"\x1f") else got.body)
    assert booked(ready) == [EXACT]


@pytest.mark.parametrize("kind", ["bytes", "text", "packed", "file", "parts"])
def test_a_refused_request_is_not_sent(ready: Rig, road: Road, kind: str) -> None:
    """Whatever its body is; the quote is what the body says."""
    ready.use(budget="0.00025")  # 100 tokens of output are $0.00025, and the prompt is not free
    body: Any = {
        "bytes": TEXT,
        "text": TEXT.decode(),
        "packed": gzip.compress(TEXT),
        "file": io.BytesIO(TEXT),
        "parts": iter([TEXT[:9], TEXT[9:]]),
    }[kind]
    with pytest.raises(SentinelBudgetExceeded, match=MODEL):
        road(ready.provider.url + WHOLE, body, {"content-encoding": "gzip"} if kind == "packed" else {})
    assert ready.provider.requests == []
    assert ready.books.open_holds() == []


@pytest.mark.parametrize("kind", ["text", "file", "parts"])
def test_a_body_arrives_as_it_was_given(ready: Rig, road: Road, kind: str) -> None:
    """Though it was read before."""
    body: Any = {"text": TEXT.decode(), "file": io.BytesIO(TEXT), "parts": iter([TEXT[:9], TEXT[9:]])}[kind]
    assert road(ready.provider.url + WHOLE, body, {}).status == 200
    assert [one.body for one in ready.provider.requests] == [BODY]
    assert booked(ready) == [EXACT]


@pytest.mark.parametrize("status", [400, 429, 503])
def test_an_error_costs_nothing(ready: Rig, road: Road, status: int) -> None:
    """The hold is given back, and nothing is booked."""
    ready.provider.default = Reply(status=status)
    assert road(ready.provider.url + WHOLE, TEXT, {}).status == status
    assert booked(ready) == []


def test_other_requests_pass(ready: Rig, road: Road) -> None:
    """Untouched: free ones, other paths, and a model's path with a body that is none."""
    ready.use(budget="0.000000001")
    for path, body in (
        (f"/v1beta/models/{MODEL}:countTokens", TEXT),
        ("/shop/orders", TEXT),
        ("/api/chat", b'{"room": "lobby"}'),
        ("/api/chat", b"hello"),
    ):
        road(ready.provider.url + path, body, {})
    assert len(ready.provider.requests) == 4
    assert booked(ready) == []


@pytest.mark.parametrize("path", [WHOLE, STREAM])
def test_a_connection_that_dies_in_the_answer_is_booked(ready: Rig, road: Road, path: str) -> None:
    """It was paid for: at its quote, marked as an estimate."""
    ready.provider.default = Reply(usage=USED, cut_after_chunks=2, chunk_delay_s=0.001)
    with contextlib.suppress(
        requests.RequestException, urllib3.exceptions.HTTPError, aiohttp.ClientError, http.client.IncompleteRead
    ):  # `read1` tells nothing of it
        road(ready.provider.url + path, TEXT, {})
    assert [one.status for one in ready.books.entries()] == [Status.ESTIMATED] * ready.provider.count
    assert ready.books.open_holds() == []


def test_a_refused_connection_costs_nothing(ready: Rig, road: Road) -> None:
    """Nobody listened, however often it was tried."""
    ready.provider.stop()
    try:
        with pytest.raises((OSError, urllib3.exceptions.HTTPError)):
            road(ready.provider.url + WHOLE, TEXT, {})
    finally:
        ready.provider.start()
    assert booked(ready) == []


def _retrying(**options: Any) -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=urllib3.Retry(3, allowed_methods=None, **options)) as pools:
        yield pools


def test_a_retry_inside_urllib3_is_the_same_call(ready: Rig) -> None:
    """Answered with errors twice, then as it should be: one call."""
    ready.provider.reply(Reply(status=503))
    ready.provider.reply(Reply(status=429))
    (pools,) = _retrying(status_forcelist=[429, 503])
    assert pools.request("POST", ready.provider.url + WHOLE, body=TEXT).status == 200
    assert ready.provider.count == 3
    assert booked(ready) == [EXACT]


def test_a_retry_after_an_answer_that_was_paid_for_is_a_call_of_its_own(ready: Rig) -> None:
    """The first answer never came: it is booked at its quote, and the second is judged as any call."""
    ready.provider.reply(Reply(usage=USED, delay_s=30))
    (pools,) = _retrying()
    url = ready.provider.url + WHOLE
    assert pools.request("POST", url, body=TEXT, timeout=urllib3.Timeout(read=0.3)).status == 200
    assert sorted(one[0] for one in booked(ready)) == [Status.ESTIMATED, Status.SETTLED]


def test_a_retry_is_refused_where_the_first_used_the_budget_up(ready: Rig) -> None:
    """No second request leaves."""
    ready.use(budget="0.0003")
    ready.provider.reply(Reply(usage=USED, delay_s=30))
    (pools,) = _retrying()
    with pytest.raises(SentinelBudgetExceeded):
        pools.request("POST", ready.provider.url + WHOLE, body=TEXT, timeout=urllib3.Timeout(read=0.3))
    assert ready.provider.count == 1


def test_a_stream_that_is_left_is_booked(ready: Rig) -> None:
    """Its user went after the first bytes."""
    with requests.post(ready.provider.url + STREAM, data=TEXT, stream=True, timeout=20) as answer:
        next(answer.iter_content(1))
    assert [one[0] for one in booked(ready)] == [Status.ESTIMATED]


CHAT: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": "Hi"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}


def test_a_stream_is_booked_at_its_last_word(ready: Rig) -> None:
    """Whoever reads `[DONE]`, reads no further and closes nothing has his call booked then, and once."""

    async def ask() -> list[tuple[Status, int | None, int | None]]:
        session = aiohttp.ClientSession()
        answer = await session.post(f"{ready.provider.url}/v1/chat/completions", json=CHAT)
        async for line in answer.content:
            if line.strip() == b"data: [DONE]":
                break
        found = booked(ready)
        await session.close()
        return found

    assert asyncio.run(ask()) == [EXACT]
    assert booked(ready) == [EXACT]


def test_it_is_off_where_it_was_turned_off(ready: Rig, road: Road) -> None:
    """By its option."""
    ready.use(budget="0.000000001", wire_gate=False)
    assert road(ready.provider.url + WHOLE, TEXT, {}).status == 200
    assert booked(ready) == []


def test_a_library_that_moved_is_told_and_left(ready: Rig, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """What the gate relies on is tried out where it is installed."""
    monkeypatch.setattr(wire_install, "problems", {})
    for library, kind in (("urllib3", urllib3.HTTPResponse), ("http.client", http.client.HTTPResponse)):
        monkeypatch.setattr(kind, "read", lambda self, amt=None: b"else")
        wire_install.install()
        assert "tell other things" in wire_install.problems[library]
    assert "the other gates stand" in caplog.text
