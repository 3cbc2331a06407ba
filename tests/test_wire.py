"""The wire: which requests are priced, and usage read out of bodies and streams as the two APIs write them."""

import json
from typing import Any

import pytest
from genai_prices import Usage as PricedUsage
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st

from agent_fuse.calls import Usage
from agent_fuse.prices import PriceBook
from agent_fuse.usage_reader import read_usage
from agent_fuse.wire import Reading, StreamReader, operation_of, read_body


@pytest.mark.parametrize(
    ("method", "url", "operation"),
    [
        ("post", "/chat/completions", "chat"),
        ("POST", "https://x.invalid/openai/deployments/gpt/chat/completions?api-version=1", "chat"),
        ("post", "/responses", "responses"),
        ("post", "/embeddings", "embeddings"),
        ("post", "/completions", "text_completion"),
        ("post", "/v1/messages?beta=true", "messages"),
        ("get", "/responses", None),
        ("post", "/responses/resp_1/cancel", None),
        ("post", "/v1/messages/count_tokens", None),
        ("post", "/v1/messages/batches", "message_batch"),
        ("post", "/threads/t1/messages", None),
        ("post", "/rerank", None),
        ("post", "/moderations", None),
        ("post", "/files", None),
        ("get", "/models", None),
    ],
)
def test_only_what_is_priced_is_a_call(method: str, url: str, operation: str | None) -> None:
    """Listing, files, moderation, count_tokens, a thread's messages and what is unknown on the wire pass freely."""
    assert operation_of(method, url) == operation


ANTHROPIC: dict[str, Any] = {
    "input_tokens": 100,
    "output_tokens": 50,
    "cache_read_input_tokens": 30,
    "cache_creation_input_tokens": 20,
    "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 15},
    "output_tokens_details": {"thinking_tokens": 12},
}


def test_anthropic_usage_is_made_inclusive() -> None:
    """Anthropic tells cached tokens beside the input; here they are part of it."""
    assert read_usage({"usage": ANTHROPIC}) == Usage(
        input_tokens=150,
        output_tokens=50,
        cache_read_tokens=30,
        cache_write_tokens=20,
        cache_write_1h_tokens=15,
        reasoning_tokens=12,
    )


def test_an_hour_of_cache_is_billed_as_the_price_list_does() -> None:
    """Tokens written to the one-hour cache cost more than those kept for five minutes."""
    usage = read_usage({"usage": ANTHROPIC})
    assert usage is not None
    told = PricedUsage(
        input_tokens=150, output_tokens=50, cache_read_tokens=30, cache_write_tokens=20, cache_write_1h_tokens=15
    )
    price = calc_price(told, "claude-opus-4-6", provider_id="anthropic").total_price
    assert PriceBook().rates("claude-opus-4-6", "anthropic").cost(usage) == int(price * 10**9)


def test_openai_chat_and_responses_usage() -> None:
    """Both of OpenAI's namings; their cached and reasoning tokens are parts of the wholes already."""
    chat = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert read_usage({"usage": chat}) == Usage(
        input_tokens=10,
        output_tokens=5,
        cache_read_tokens=4,
        reasoning_tokens=2,
        input_audio_tokens=1,
    )
    responses = {
        "input_tokens": 10,
        "output_tokens": 5,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens_details": {"reasoning_tokens": 2},
    }
    assert read_usage({"usage": responses}) == Usage(
        input_tokens=10, output_tokens=5, cache_read_tokens=4, reasoning_tokens=2
    )


def events(*items: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(item).encode() + b"\n\n" for item in items)


CHAT = (
    events(
        {
            "id": "c1",
            "object": "chat.completion.chunk",
            "model": "gpt-4o",
            "choices": [{"delta": {"content": "Hello"}}],
        },
        {
            "id": "c1",
            "object": "chat.completion.chunk",
            "choices": [{"delta": {"content": " you"}, "finish_reason": "stop"}],
        },
        {
            "id": "c1",
            "object": "chat.completion.chunk",
            "choices": [],
            "usage": {"prompt_tokens": 9, "completion_tokens": 2},
        },
    )
    + b"data: [DONE]\n\n"
)


@given(st.lists(st.integers(1, 40), max_size=40))
def test_a_stream_is_read_however_it_is_cut(sizes: list[int]) -> None:
    """Chunk borders anywhere, inside a line or a character, change nothing."""
    reading = Reading()
    reader = StreamReader(reading, count_text=True)
    rest = CHAT
    for size in sizes:
        reader.feed(rest[:size])
        rest = rest[size:]
    reader.feed(rest)
    reader.close()
    assert reading.usage == Usage(input_tokens=9, output_tokens=2)
    assert (reading.response_id, reading.complete, reading.final) == ("c1", True, True)
    assert reading.written == len("Hello you")


@given(st.binary(max_size=300))
def test_garbage_never_raises(data: bytes) -> None:
    """A stream that is no stream tells nothing, quietly."""
    for prefix in (b"", b"data: ", b"{"):
        reader = StreamReader(Reading(), count_text=True)
        reader.feed(prefix + data)
        reader.close()


@pytest.mark.parametrize("kind", [[], {}, 5, None])
def test_an_event_of_no_kind_at_all_is_read_all_the_same(kind: object) -> None:
    """Whatever stands where its kind is told: its usage counts, and nothing raises."""
    reading = Reading()
    StreamReader(reading, count_text=True).feed(
        b"data: " + json.dumps({"type": kind, "usage": {"prompt_tokens": 9, "completion_tokens": 2}}).encode() + b"\n"
    )
    assert reading.usage == Usage(input_tokens=9, output_tokens=2)


@pytest.mark.parametrize(
    ("told", "tier"),
    [
        ({"service_tier": "priority", "speed": "standard"}, "priority"),
        ({"service_tier": "standard", "speed": "fast", "inference_geo": "us"}, "fast@us"),
        ({"inference_geo": "us"}, "@us"),
        ({"speed": "fast"}, "fast"),
        ({}, None),
    ],
)
def test_how_and_where_it_was_served(told: dict[str, str], tier: str | None) -> None:
    """`standard` takes back nothing that is told beside it; an answer read whole and an event tell the same."""
    event = {"type": "message_delta", "usage": {"input_tokens": 1, "output_tokens": 1, **told}}
    whole, streamed = Reading(), Reading()
    read_body(event, whole)
    StreamReader(streamed, count_text=False).feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    assert (whole.tier, streamed.tier) == (tier, tier)


def test_a_whole_json_body_read_in_pieces() -> None:
    """With streaming responses a JSON document comes in pieces, and may be spread over lines."""
    reading = Reading()
    reader = StreamReader(reading, count_text=False)
    body = json.dumps(
        {"id": "c2", "model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}, indent=2
    ).encode()
    for start in range(0, len(body), 7):
        reader.feed(body[start : start + 7])
    reader.close()
    assert reading.usage == Usage(input_tokens=3, output_tokens=4)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["usage", "prompt_tokens", "input_tokens", "output_tokens", "input_tokens_details"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_hostile_usage_is_unknown_or_sane(body: Any) -> None:
    """Figures of wrong type, negative or absurd are unknown."""
    usage = read_usage(body)
    if usage is not None:
        for figure in (usage.input_tokens, usage.output_tokens):
            assert figure is None or 0 <= figure <= 3 * 10**10


@pytest.mark.parametrize(
    "kind", ["image_generation.completed", "image_edit.completed", "transcript.text.done", "speech.audio.done"]
)
def test_a_stream_of_images_or_sound_that_is_left_after_its_last_event_is_whole(kind: str) -> None:
    """Its usage is in that event: whoever reads no further is not billed by estimate."""
    reading = Reading()
    event = {"type": kind, "usage": {"input_tokens": 14, "output_tokens": 45, "total_tokens": 59}}
    StreamReader(reading, count_text=False).feed(f"event: {kind}\ndata: {json.dumps(event)}\n\n".encode())
    assert (reading.final, reading.complete, reading.usage) == (True, True, Usage(input_tokens=14, output_tokens=45))


def test_a_stream_of_several_images_is_what_each_of_them_took() -> None:
    """Each is told with an event of its own; after which nothing more comes is told by the stream's end."""
    reading = Reading(several=True)
    reader = StreamReader(reading, count_text=False)
    for written in (272, 300):
        usage = {"input_tokens": 100, "output_tokens": written, "total_tokens": 100 + written}
        event = {"type": "image_generation.completed", "usage": usage}
        reader.feed(f"data: {json.dumps(event)}\n\n".encode())
        assert (reading.final, reading.complete) == (True, False)
    assert reading.usage == Usage(input_tokens=200, output_tokens=572)
