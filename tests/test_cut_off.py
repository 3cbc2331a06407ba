"""Cutting off: a stream that outgrows its hold and a limit ends there, and what came is booked."""

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import anthropic
import openai
import pytest

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded, control
from agent_fuse.calls import Status, Usage
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.otel.cut_off import CutOff, _after_event
from agent_fuse.quoting.unit_quotes import DEFAULT_OUTPUT_TOKENS
from agent_fuse.testing import LoopbackProvider, Reply
from agent_fuse.wire import Reading

WORDS = 4_000
TEXT = " ".join(f"word{number}" for number in range(WORDS))
"""Comes in 32 pieces of a word count each."""
PIECE = -(-len(TEXT) // 4 // 31)
"""Tokens of one piece, by size."""
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "stream": True}
MESSAGE = {"model": "claude-sonnet-5", "max_tokens": 100, "messages": CHAT["messages"], "stream": True}
OUT = 10_000
"""Nano-dollars a token of output, of both models."""


@pytest.fixture
def provider():
    # A usage of its own is not cut to max_tokens: this provider does as it likes.
    with LoopbackProvider(Reply(text=TEXT, usage=Usage(input_tokens=8, output_tokens=9_000))) as one:
        yield one


def text_of(chunk):
    kind = getattr(chunk, "type", "")
    if kind == "response.output_text.delta":
        return chunk.delta
    if kind == "content_block_delta":
        return chunk.delta.text
    choices = getattr(chunk, "choices", None)
    return (choices[0].delta.content or "") if choices else ""


WAYS = {
    "chat": ("openai", lambda client: client.chat.completions.create(**CHAT)),
    "chat with usage": (
        "openai",
        lambda client: client.chat.completions.create(**CHAT, stream_options={"include_usage": True}),
    ),
    "responses": ("openai", lambda client: client.responses.create(model="gpt-4o", input="hi", stream=True)),
    "messages": ("anthropic", lambda client: client.messages.create(**MESSAGE)),
}


def read(provider, way, *, is_async):
    """What a stream gave before it was cut off, and the trip."""
    sdk, begin = WAYS[way]
    name = ("Async" if is_async else "") + {"openai": "OpenAI", "anthropic": "Anthropic"}[sdk]
    base = provider.openai_base_url if sdk == "openai" else provider.anthropic_base_url
    client = getattr({"openai": openai, "anthropic": anthropic}[sdk], name)(base_url=base, api_key="x", max_retries=0)
    got = []

    async def gather():
        async for chunk in await begin(client):
            got.append(text_of(chunk))  # noqa: PERF401  what came before a trip is kept
        await client.close()

    try:
        if is_async:
            asyncio.run(gather())
        else:
            for chunk in begin(client):
                got.append(text_of(chunk))  # noqa: PERF401
    except SentinelBudgetExceeded as trip:
        return "".join(got), trip
    return "".join(got), None


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("limit", [Limit(output_tokens=2_000), Limit(usd=0.03)], ids=str)
def test_a_stream_ends_where_it_outgrows_its_hold_and_a_limit(box, provider, way, limit, is_async) -> None:
    one = box(limits=[limit])
    got, trip = read(provider, way, is_async=is_async)
    assert trip is not None
    assert trip.cut_off
    assert "cut off" in str(trip)
    assert trip.limit.startswith(str(limit))
    entry = one.entry()
    assert (entry.status, entry.reason) == (Status.ESTIMATED, "cut off")
    assert entry.output_tokens == -(-len(got) // 4), "what came is booked, and was handed on"
    most = limit.cap if limit.output_tokens else limit.cap // OUT
    assert most - PIECE < entry.output_tokens <= most + PIECE, "no more than one event later than the limit"
    assert len(got) < len(TEXT)


def test_the_next_call_is_refused_by_what_was_booked(box, provider) -> None:
    box(limits=[Limit(output_tokens=2_000)])
    read(provider, "chat", is_async=False)
    with pytest.raises(SentinelBudgetExceeded, match="refused before it was sent"):
        openai.OpenAI(base_url=provider.openai_base_url, api_key="x").chat.completions.create(**CHAT)
    assert provider.count == 1


@pytest.fixture
def asked(monkeypatch):
    """What the ledger was asked to hold, in output tokens."""

    def watch(one):
        found, reserve = [], one.fuse.ledger.reserve

        def look(hold, *, now):
            found.append(hold.amounts.output_tokens)
            return reserve(hold, now=now)

        monkeypatch.setattr(one.fuse.ledger, "reserve", look)
        return found

    return watch


def test_a_stream_with_room_asks_for_a_slice_at_a_time(box, provider, asked) -> None:
    one = box(limits=[Limit(usd=5)])
    holds = asked(one)
    got, trip = read(provider, "chat with usage", is_async=False)
    assert trip is None
    assert got == TEXT
    assert holds[0] == DEFAULT_OUTPUT_TOKENS
    steps = [after - before for before, after in pairwise(holds)]
    assert min(steps) >= DEFAULT_OUTPUT_TOKENS // 4, "no call of the ledger for each event"
    assert one.entry().output_tokens == 9_000, "booked by what it told"


def test_a_stream_within_its_hold_asks_for_nothing(box, provider, asked) -> None:
    one = box(limits=[Limit(usd=5)])
    holds = asked(one)
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x")
    assert len(list(client.chat.completions.create(**CHAT, max_tokens=9_000))) > 30
    assert holds == [9_000]


def test_a_stream_that_keeps_to_its_max_tokens_is_not_ended_by_an_estimate(box, provider) -> None:
    """Its words are five bytes a token, and the limit leaves nothing beyond what it may write."""
    one = box(limits=[Limit(output_tokens=-(-len(TEXT) // 5))])
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x")
    most = -(-len(TEXT) // 5)
    got = "".join(map(text_of, client.chat.completions.create(**CHAT, max_tokens=most)))
    assert got == TEXT
    assert one.entry().reason != "cut off"


def test_a_ledger_that_fails_ends_no_stream(box, provider, monkeypatch) -> None:
    one = box(limits=[Limit(output_tokens=2_000)], max_retries=0)
    stream = openai.OpenAI(base_url=provider.openai_base_url, api_key="x").chat.completions.create(**CHAT)
    first, calls = text_of(next(stream)), []

    def fail(hold, *, now):
        calls.append(hold)
        raise LedgerError("reserve", "here", "no disk")

    monkeypatch.setattr(one.fuse.ledger, "reserve", fail)
    assert first + "".join(map(text_of, stream)) == TEXT
    assert len(calls) > 1, "it was asked again for the next slice"


def test_what_is_stopped_by_hand_ends_at_the_next_slice(box, provider) -> None:
    one = box(limits=[Limit(usd=5)])
    stream = openai.OpenAI(base_url=provider.openai_base_url, api_key="x").chat.completions.create(**CHAT)
    next(stream)
    control.stop("session=test", why="enough")
    with pytest.raises(SentinelBudgetExceeded, match=r"cut off: session 'test' was stopped.*enough"):
        list(stream)
    assert one.entry().reason == "cut off"


def test_langchain_gets_the_form_it_can_carry(box, provider) -> None:
    from langchain_openai import ChatOpenAI

    one = box(limits=[Limit(output_tokens=2_000)])
    chat = ChatOpenAI(base_url=provider.openai_base_url, api_key="x", model="gpt-4o", max_retries=0)
    got = []
    with pytest.raises(agent_fuse.SentinelBudgetExceeded) as caught:
        got.extend(chat.stream("hi"))
    assert isinstance(caught.value, Exception), "its model layer knows nothing else"
    assert got
    assert one.entry().reason == "cut off"


@pytest.mark.parametrize(
    ("told", "pieces", "came"),
    [(None, 30, 30), (None, 0, 0), (500, 30, 500), (20, 30, 30), (0, 30, 30)],
)
def test_what_came_is_what_was_told_or_seen_whichever_is_more(told, pieces, came) -> None:
    """A provider may tell of reasoning that nobody sees, or tell late of what is here already: neither is free."""
    reading = Reading(usage=None if told is None else Usage(input_tokens=8, output_tokens=told), pieces=pieces)
    seen: Any = SimpleNamespace(call=SimpleNamespace(payload=SimpleNamespace(quote=None)))
    nothing: Any = None
    usage = CutOff(nothing, seen, nothing, reading, nothing).what_came()
    assert usage.output_tokens == came
    assert usage.input_tokens == (None if told is None else 8)


@pytest.mark.parametrize(
    ("data", "ends"),
    [
        (b"a\n\nb\n\n", [3, 6]),
        (b"a\r\n\r\nb\n\nc", [5, 8, 9]),
        (b"a\n\nb\r\n\r\n", [3, 8]),
        (b"a\nb", [3]),
    ],
)
def test_events_are_judged_one_by_one(data, ends) -> None:
    """Whichever blank line ends them: many that come at once are cut off after the one that is too many."""
    found, at = [], 0
    while at < len(data):
        at = _after_event(data, at)
        found.append(at)
    assert found == ends


def test_a_stream_that_is_left_is_not_booked_by_the_output_it_told_at_its_start(box, provider) -> None:
    """Anthropic's first event tells the input, and an output of a token: the rest is booked as it was quoted."""
    one = box(limits=[Limit(usd=5)])
    stream = anthropic.Anthropic(base_url=provider.anthropic_base_url, api_key="x").messages.create(**MESSAGE)
    assert next(stream).message.usage.output_tokens < MESSAGE["max_tokens"]
    stream.close()
    entry = one.entry()
    assert entry.status is Status.ESTIMATED
    assert (entry.input_tokens, entry.output_tokens) == (8, MESSAGE["max_tokens"])
