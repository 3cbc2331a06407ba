"""The HTTP layer of the loopback provider, byte by byte."""

import json
import socket
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_fuse.testing.http1 import Malformed, Outgoing, Reader

PLAIN = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Two:  spaced \r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"
BARE = b"GET /d HTTP/1.1\r\n\r\n"


@given(st.lists(st.integers(0, len(PLAIN + CHUNKED + BARE)), max_size=12))
def test_any_splitting_of_the_bytes_gives_the_same_requests(cuts):
    """Pipelined requests come out whole and in order, however the bytes arrive."""
    data, reader, got = PLAIN + CHUNKED + BARE, Reader(), []
    edges = [0, *sorted(cuts), len(data)]
    for start, end in pairwise(edges):
        reader.feed(data[start:end])
        while (request := reader.take()) is not None:
            got.append(request)
    assert [(one.method, one.target, one.body) for one in got] == [
        ("POST", "/a?b=c", b"hello"),
        ("POST", "/c", b"abc0123456789"),
        ("GET", "/d", b""),
    ]
    assert got[0].headers == {"host": "x", "x-two": "spaced", "content-length": "5"}


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"x" * 70_000,
    ],
)
def test_what_is_not_http_is_refused(provider, data):
    """Broken requests are Malformed to the reader, and get a 400 and a closed connection from the server."""
    reader = Reader()
    reader.feed(data)
    with pytest.raises(Malformed):
        reader.take()
    with socket.create_connection(("127.0.0.1", int(provider.url.rpartition(":")[2]))) as raw:
        raw.sendall(data)
        with raw.makefile("rb") as stream:
            assert stream.readline() == b"HTTP/1.1 400 Bad Request\r\n"
    assert provider.requests == []


def test_expect_continue_and_pipelining(provider):
    """A client that waits for `100 Continue` gets it before the reply; a pipelined request is answered after it."""
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n" % len(body)
    port = int(provider.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as raw, raw.makefile("rb") as stream:
        raw.sendall(head + b"Expect: 100-continue\r\n\r\n")
        assert stream.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert stream.readline() == b"\r\n"
        raw.sendall(body + b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n")
        rest = stream.read()
    assert rest.count(b"HTTP/1.1 200 OK") == 2
    assert rest.index(b"chat.completion") < rest.index(b'"object":"list"')
    assert b"100 Continue" not in rest


def test_anthropic_streams_ping(provider):
    """The wire carries Anthropic's ping, which the SDK hides."""
    body = json.dumps(
        {"model": "c", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    ).encode()
    with socket.create_connection(("127.0.0.1", int(provider.url.rpartition(":")[2]))) as raw:
        raw.sendall(
            b"POST /v1/messages HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        with raw.makefile("rb") as stream:
            rest = stream.read()
    assert b'event: ping\ndata: {"type":"ping"}\n\n' in rest
    assert b"text/event-stream" in rest
    assert rest.endswith(b"0\r\n\r\n")


def test_empty_chunked_reply_still_ends():
    """A chunked reply without parts is a proper empty body."""
    assert Outgoing(chunked=True).now().endswith(b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n")
