"""Streams that were not asked for their usage: AgentFuse asks for it, books it, and shows nothing of it to the caller."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_fuse.calls import Status, Usage
from agent_fuse.otel import instrumentor
from agent_fuse.otel.stream_usage import without_usage
from agent_fuse.testing import LoopbackProvider, Reply
from boxes import Box

TOLD = Usage(input_tokens=1000, output_tokens=500)
COST = 1000 * 2_500 + 500 * 10_000
"""At gpt-4o's price, in nano-dollars."""
ASK: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
TRICKY = 'say ,"usage":null, then "usage": null\n\ndata: {"choices":[],"usage":{"total_tokens":1}}\n\n'
"""What a model may write that looks like what is taken out."""


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as one:
        one.default = Reply(text="word " * 40, usage=TOLD)
        yield one


@pytest.fixture
def guarded(box: Any) -> Iterator[Any]:
    was_on = instrumentor.wanted()
    instrumentor.install()
    yield lambda **options: box(db_path="memory://", budget=100, request_gate=True, **options)
    if not was_on:
        instrumentor.uninstall()


def booked(rig: Box) -> list[tuple[Status, int]]:
    return [(one.status, one.cost) for one in rig.entries()]


def sent(provider: LoopbackProvider) -> Any:
    return provider.requests[-1].body.get("stream_options")


# What is booked, and what was asked -----------------------------------------------------------------------------------


def test_a_stream_is_booked_exactly_and_its_caller_sees_no_usage(guarded: Any, provider: LoopbackProvider) -> None:
    """By default on this machine: no chunk more, no field more, and what the provider counted."""
    rig = guarded()
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="x") as client:
        chunks = list(client.chat.completions.create(**ASK, stream=True))
        legacy = list(client.completions.create(model="gpt-3.5-turbo-instruct", prompt="a", stream=True))
    assert all(one.choices and "usage" not in one.model_fields_set for one in (*chunks, *legacy))
    assert "".join(one.choices[0].delta.content or "" for one in chunks).split() == ["word"] * 40
    assert [one.status for one in rig.entries()] == [Status.SETTLED] * 2
    assert COST in [one.cost for one in rig.entries()]


def test_an_async_stream_too(guarded: Any, provider: LoopbackProvider) -> None:
    """By the async client, with an option of the caller's own kept."""
    rig = guarded()

    async def run() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x") as client:
            options: Any = {"include_obfuscation": False}
            stream = await client.chat.completions.create(**ASK, stream=True, stream_options=options)
            return [chunk async for chunk in stream]

    assert all(one.choices for one in asyncio.run(run()))
    assert sent(provider) == {"include_obfuscation": False, "include_usage": True}
    assert booked(rig) == [(Status.SETTLED, COST)]


def test_who_asks_sees_it(guarded: Any, provider: LoopbackProvider) -> None:
    """A caller who asks for usage gets its chunk, and whole answers are not touched."""
    rig = guarded()
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="x") as client:
        usage: Any = {"include_usage": True}
        *_, last = client.chat.completions.create(**ASK, stream=True, stream_options=usage)
        assert last.usage is not None
        assert last.usage.prompt_tokens == 1000
        client.chat.completions.create(**ASK)
    assert sent(provider) is None
    assert booked(rig) == [(Status.SETTLED, COST)] * 2


def test_observe_mode_asks_too(guarded: Any, provider: LoopbackProvider) -> None:
    """What real work costs is what limits are chosen by: it is exact there as well, and its caller sees nothing."""
    rig = guarded(mode="observe")
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="x") as client:
        chunks = list(client.chat.completions.create(**ASK, stream=True))
    assert all(one.choices and one.usage is None for one in chunks)
    assert booked(rig) == [(Status.SETTLED, COST)]


def test_it_is_not_asked_for_where_it_is_not_wanted(guarded: Any, provider: LoopbackProvider) -> None:
    """Counted by what came."""
    rig = guarded(stream_usage=False)
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="x") as client:
        list(client.chat.completions.create(**ASK, stream=True))
    assert sent(provider) is None
    assert [one.status for one in rig.entries()] == [Status.ESTIMATED]


# Where, by default ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "given", "asked"),
    [
        (None, {}, True),
        ("https://eu.api.openai.com/v1", {}, True),
        ("http://[::1]:8000/v1", {}, True),
        ("https://gateway.example/v1", {}, False),
        ("https://api.openai.com.example/v1", {}, False),
        ("https://myapi.openai.com/v1", {}, False),
        ("https://gateway.example/v1", {"stream_usage": True}, True),
        (None, {"stream_usage": False}, False),
    ],
)
def test_it_is_asked_for_where_it_is_understood(guarded: Any, url: str | None, given: Any, asked: bool) -> None:
    """At OpenAI and on this machine; elsewhere where the user says so. The caller reads the same bytes anywhere."""
    rig = guarded(**given)
    got: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        options = json.loads(request.content).get("stream_options") or {}
        got.append(bool(options.get("include_usage")))
        body = stream_of(["one ", TRICKY], usage=got[-1])
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Pieces(body, 7))

    http = httpx.Client(transport=httpx.MockTransport(answer))
    with openai.OpenAI(base_url=url, api_key="x", http_client=http) as client:
        with client.chat.completions.with_streaming_response.create(**ASK, stream=True) as response:
            read = b"".join(response.iter_bytes())
        said = "".join(one.choices[0].delta.content or "" for one in client.chat.completions.create(**ASK, stream=True))
    assert got == [asked, asked]
    assert read == stream_of(["one ", TRICKY], usage=False)
    assert said == "one " + TRICKY
    assert {one.status for one in rig.entries()} == {Status.SETTLED if asked else Status.ESTIMATED}


def test_a_body_that_a_hook_has_read_is_shown_without_it(guarded: Any) -> None:
    """A hook of the user's own client reads the answer before the SDK does."""
    rig = guarded()
    body = stream_of(["one ", "two"], usage=True)

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Pieces(body, 50))

    hooks: Any = {"response": [lambda response: response.read()]}
    http = httpx.Client(transport=httpx.MockTransport(answer), event_hooks=hooks)
    with openai.OpenAI(api_key="x", http_client=http) as client:
        chunks = list(client.chat.completions.create(**ASK, stream=True))
    assert len(chunks) == 2
    assert all(one.choices and "usage" not in one.model_fields_set for one in chunks)
    assert len(rig.entries()) == 1


# Byte for byte --------------------------------------------------------------------------------------------------------


class Pieces(httpx.SyncByteStream):
    """A body that comes in pieces of so many bytes."""

    def __init__(self, body: bytes, size: int) -> None:
        self._pieces = [body[at : at + size] for at in range(0, len(body), size)]

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces


def stream_of(
    texts: list[str], *, usage: bool, gap: str = "\n\n", separators: tuple[str, str] = (",", ":"), first: bool = False
) -> bytes:
    """The events of a streamed chat, as OpenAI sends them with and without `include_usage`."""
    events = [": a comment"]
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    nothing: dict[str, Any] = {"usage": None} if usage else {}
    for text in texts:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        chunk = {**nothing, **base, "choices": [choice]} if first else {**base, "choices": [choice], **nothing}
        events.append("data: " + json.dumps(chunk, separators=separators, ensure_ascii=False))
    if usage:
        told = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
        events.append("data: " + json.dumps({**base, "choices": [], "usage": told}, separators=separators))
    events.append("data: [DONE]")
    return (gap.join(events) + gap).encode()


@given(
    texts=st.lists(st.text(max_size=20) | st.just(TRICKY), max_size=4),
    cuts=st.lists(st.integers(0, 2_000), max_size=12),
    gap=st.sampled_from(["\n\n", "\r\n\r\n"]),
    separators=st.sampled_from([(",", ":"), (", ", ": ")]),
    first=st.booleans(),
)
def test_the_caller_reads_the_bytes_that_would_have_come(
    texts: list[str], cuts: list[int], gap: str, separators: tuple[str, str], first: bool
) -> None:
    """Wherever the body is cut into pieces, whatever the model says, and however the server writes its JSON."""
    shape: Any = {"gap": gap, "separators": separators, "first": first}
    body, at, read, behind = stream_of(texts, usage=True, **shape), 0, b"", b""
    for cut in [*sorted(cut for cut in cuts if cut < len(body)), len(body)]:
        shown, behind = without_usage(behind + body[at:cut])
        at, read = cut, read + shown
    assert read + behind == stream_of(texts, usage=False, **shape)


@pytest.mark.parametrize("body", [b"", b"no events", b'data: {"usage": nul', b'{"choices":[],"usage":{}}', b"\n\n\n"])
def test_what_is_no_stream_of_a_chat_passes_as_it_is(body: bytes) -> None:
    """An error page, a cut-off event, a whole answer."""
    assert b"".join(without_usage(body)) == body


def test_an_event_without_an_end_is_not_kept_back() -> None:
    """What goes on for a million bytes tells no usage: it is not looked at again with every piece."""
    assert without_usage(b"data: " + b"x" * 1_000_000) == (b"data: " + b"x" * 1_000_000, b"")
    assert without_usage(b"data: " + b"x" * 1_000) == (b"", b"data: " + b"x" * 1_000)


def test_a_whole_answer_to_a_stream_is_not_held_back(guarded: Any) -> None:
    """A server that knows no streams: its caller reads what comes as it comes."""
    guarded()
    body = json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": []}).encode()

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "application/json"}, stream=Pieces(body, 10))

    http = httpx.Client(transport=httpx.MockTransport(answer))
    with (
        openai.OpenAI(api_key="x", http_client=http) as client,
        client.chat.completions.with_streaming_response.create(**ASK, stream=True) as response,
    ):
        read = list(response.iter_bytes())
    assert read == [body[at : at + 10] for at in range(0, len(body), 10)]
