"""The wire gate in Python's own `http.client`: connections that are kept, tunnelled, left and dropped."""

import contextlib
import http.client
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from agent_fuse import SentinelBudgetExceeded
from agent_fuse.calls import Status, Usage
from agent_fuse.testing import Reply

from .conftest import Rig
from .hosts import Told, host
from .roads import MODEL, TEXT

pytestmark = pytest.mark.parametrize("wired", ["none"], indirect=True)

WHOLE, STREAM = f"/v1beta/models/{MODEL}:generateContent", f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
ASKED = json.dumps({**CHAT, "stream_options": {"include_usage": True}})


@pytest.fixture
def ready(rig: Rig) -> Rig:
    rig.use(budget="5")
    rig.provider.default = Reply(usage=Usage(input_tokens=1000, output_tokens=100))
    return rig


@pytest.fixture
def connection(ready: Rig) -> Iterator[http.client.HTTPConnection]:
    with contextlib.closing(http.client.HTTPConnection(_place(ready), timeout=5)) as one:
        yield one


def _place(rig: Rig) -> str:
    return rig.provider.url.removeprefix("http://")


def booked(rig: Rig) -> list[Status]:
    assert rig.books.open_holds() == []
    return [one.status for one in rig.books.entries()]


def test_each_request_of_a_kept_connection_is_a_call(ready: Rig, connection: Any) -> None:
    """And what else it asks for is none."""
    for method, path in (("POST", WHOLE), ("GET", "/health"), ("POST", "/shop/orders"), ("POST", WHOLE)):
        connection.request(method, path, TEXT)
        connection.getresponse().read()
    assert booked(ready) == [Status.SETTLED] * 2


def test_a_stream_is_booked_at_its_last_word(ready: Rig, connection: Any) -> None:
    """Its reader stops there, and closes nothing."""
    connection.request("POST", "/v1/chat/completions", ASKED)
    answer = connection.getresponse()
    assert any(line.strip() == b"data: [DONE]" for line in answer)
    assert booked(ready) == [Status.SETTLED]


def test_a_stream_that_is_left_is_booked_at_an_estimate(ready: Rig, connection: Any) -> None:
    """Closed after its first bytes, or gone with its connection."""
    connection.request("POST", STREAM, TEXT)
    with connection.getresponse() as answer:
        assert answer.read(1)
    assert booked(ready) == [Status.ESTIMATED]
    with contextlib.closing(http.client.HTTPConnection(_place(ready), timeout=5)) as other:
        other.request("POST", STREAM, TEXT)
        other.getresponse().read(1)
    assert booked(ready) == [Status.ESTIMATED] * 2


def test_a_stream_that_dies_is_no_whole_one(ready: Rig) -> None:
    """Read by parts nothing is raised, and the usage that its last event told is not the bill."""
    ready.use(budget="5")
    told = {"promptTokenCount": 1000, "candidatesTokenCount": 1}
    event = {"type": "message", "candidates": [{"content": {"parts": [{"text": "Hi"}]}}], "usageMetadata": told}
    with (
        host(lambda _: Told(events=[event], lost=99)) as (url, _),
        contextlib.closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)) as other,
    ):
        other.request("POST", STREAM, TEXT)
        answer = other.getresponse()
        assert b"".join(iter(lambda: answer.read(9), b""))
    assert booked(ready) == [Status.ESTIMATED]


def test_an_answer_that_nobody_asks_for_is_booked_at_the_quote(ready: Rig) -> None:
    """The request went out; its connection is dropped."""
    other = http.client.HTTPConnection(_place(ready), timeout=5)
    other.request("POST", WHOLE, TEXT)
    other.close()
    assert len(ready.books.open_holds()) == 1
    del other
    assert booked(ready) == [Status.ESTIMATED]


def test_an_answer_that_does_not_come_is_booked_at_the_quote(ready: Rig) -> None:
    """The caller waited for it in vain."""
    ready.provider.default = Reply(delay_s=30)
    with contextlib.closing(http.client.HTTPConnection(_place(ready), timeout=0.2)) as other:
        other.request("POST", WHOLE, TEXT)
        with pytest.raises(TimeoutError):
            other.getresponse()
    assert booked(ready) == [Status.ESTIMATED]


def test_a_request_that_cannot_be_sent_costs_nothing(ready: Rig, connection: Any) -> None:
    """The answer to the one before it was not asked for yet; that one is booked by what it tells."""
    connection.request("POST", WHOLE, TEXT)
    with pytest.raises(http.client.CannotSendRequest):
        connection.request("POST", WHOLE, TEXT)
    connection.getresponse().read()
    assert booked(ready) == [Status.SETTLED]
    assert ready.provider.count == 1


@pytest.mark.parametrize("tunnel", [True, False])
def test_what_is_behind_a_proxy_counts(ready: Rig, tunnel: bool) -> None:
    """Through a tunnel, or by its whole URL: refused before the proxy hears of it."""
    ready.use(budget="0.000000001")
    with contextlib.closing(http.client.HTTPConnection(_place(ready), timeout=5)) as proxy:
        if tunnel:
            proxy.set_tunnel("api.mistral.ai", 443)
        path = "/v1/conversations"
        with pytest.raises(SentinelBudgetExceeded):
            proxy.request("POST", path if tunnel else f"http://api.mistral.ai{path}", '{"inputs": "Hi"}')
    assert ready.provider.requests == []
    (refused,) = ready.books.entries()
    assert (refused.status, refused.provider) == (Status.REFUSED, "mistral")


def test_an_opener_of_its_own_is_no_way_around(ready: Rig) -> None:
    """With no handler but those it needs."""
    ready.use(budget="0.000000001")
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.HTTPHandler())
    with pytest.raises(SentinelBudgetExceeded):
        opener.open(urllib.request.Request(ready.provider.url + WHOLE, TEXT, method="POST"), timeout=5)
    assert ready.provider.requests == []
