"""The reader of usage: every shape that providers are known to send, and what must hold of any of them."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_fuse.calls import Usage
from agent_fuse.prices import PriceBook
from agent_fuse.usage_reader import later, read_usage
from agent_fuse.usage_shapes import SHAPES
from agent_fuse.wire import Reading, StreamReader


def chat(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": prompt, "completion_tokens": completion, **more}}


KNOWN: dict[str, tuple[dict[str, Any], Usage]] = {
    "OpenAI chat": (
        chat(100, 20, total_tokens=120, completion_tokens_details={"reasoning_tokens": 7}),
        Usage(input_tokens=100, output_tokens=20, reasoning_tokens=7),
    ),
    "xAI: reasoning beside the answer, in the total": (
        chat(32, 9, total_tokens=351, completion_tokens_details={"reasoning_tokens": 310}),
        Usage(input_tokens=32, output_tokens=319, reasoning_tokens=310),
    ),
    "Gemini by OpenAI's protocol: thinking in the total only": (
        chat(100, 20, total_tokens=420),
        Usage(input_tokens=100, output_tokens=320),
    ),
    "reasoning beside the answer, no total": (
        chat(32, 9, completion_tokens_details={"reasoning_tokens": 310}),
        Usage(input_tokens=32, output_tokens=319, reasoning_tokens=310),
    ),
    "DeepSeek": (
        chat(100, 20, total_tokens=120, prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=36),
        Usage(input_tokens=100, output_tokens=20, cache_read_tokens=64),
    ),
    "Moonshot, cached at the top": (
        chat(100, 20, total_tokens=120, cached_tokens=50),
        Usage(input_tokens=100, output_tokens=20, cache_read_tokens=50),
    ),
    "Moonshot, in the choice of a stream": (
        {"choices": [{"delta": {}, **chat(8, 3, total_tokens=11)}]},
        Usage(input_tokens=8, output_tokens=3),
    ),
    "Groq, in a stream": ({"x_groq": chat(8, 3, total_tokens=11)}, Usage(input_tokens=8, output_tokens=3)),
    "a gateway whose prompt leaves cached tokens out": (
        chat(100, 20, total_tokens=1120, prompt_tokens_details={"cached_tokens": 1000}),
        Usage(input_tokens=1100, output_tokens=20, cache_read_tokens=1000),
    ),
    "cached outside the prompt, told by the figures alone": (
        chat(10, 20, prompt_tokens_details={"cached_tokens": 1000}),
        Usage(input_tokens=1010, output_tokens=20, cache_read_tokens=1000),
    ),
    "cache written unasked": (
        chat(2000, 20, total_tokens=2020, prompt_tokens_details={"cache_write_tokens": 1500}),
        Usage(input_tokens=2000, output_tokens=20, cache_write_tokens=1500),
    ),
    "embeddings": (
        {"usage": {"prompt_tokens": 8, "total_tokens": 8}},
        Usage(input_tokens=8, output_tokens=0),
    ),
    "Responses": (
        {
            "usage": {
                "input_tokens": 10,
                "input_tokens_details": {"cached_tokens": 4},
                "output_tokens": 5,
                "output_tokens_details": {"reasoning_tokens": 2},
                "total_tokens": 15,
            }
        },
        Usage(input_tokens=10, output_tokens=5, cache_read_tokens=4, reasoning_tokens=2),
    ),
    "images": (
        {
            "usage": {
                "input_tokens": 60,
                "input_tokens_details": {"text_tokens": 10, "image_tokens": 50},
                "output_tokens": 4160,
                "output_tokens_details": {"text_tokens": 0, "image_tokens": 4160},
                "total_tokens": 4220,
            }
        },
        Usage(input_tokens=60, output_tokens=4160, input_image_tokens=50, output_image_tokens=4160),
    ),
    "transcription": (
        {
            "usage": {
                "type": "tokens",
                "input_tokens": 14,
                "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
                "output_tokens": 45,
                "total_tokens": 59,
            }
        },
        Usage(input_tokens=14, output_tokens=45, input_audio_tokens=14),
    ),
    "Anthropic": (
        {"usage": {"input_tokens": 100, "output_tokens": 50, "cache_read_input_tokens": 30}},
        Usage(input_tokens=130, output_tokens=50, cache_read_tokens=30),
    ),
    "Anthropic, plain": ({"usage": {"input_tokens": 9, "output_tokens": 5}}, Usage(input_tokens=9, output_tokens=5)),
    "Anthropic, a compaction": (
        {
            "usage": {
                "input_tokens": 181,
                "output_tokens": 8,
                "cache_read_input_tokens": 0,
                "iterations": [
                    {"type": "compaction", "input_tokens": 100, "output_tokens": 83, "cache_read_input_tokens": 5000},
                    {"type": "message", "input_tokens": 181, "output_tokens": 8, "cache_read_input_tokens": 0},
                ],
            }
        },
        Usage(input_tokens=5281, output_tokens=91, cache_read_tokens=5000),
    ),
    "Anthropic, advice of another model": (
        {
            "usage": {
                "input_tokens": 181,
                "output_tokens": 8,
                "iterations": [
                    {"type": "message", "input_tokens": 181, "output_tokens": 8},
                    {"type": "advisor_message", "model": "claude-opus-4-6", "input_tokens": 900, "output_tokens": 70},
                ],
            }
        },
        Usage(
            input_tokens=181,
            output_tokens=8,
            parts=(("claude-opus-4-6", Usage(input_tokens=900, output_tokens=70)),),
        ),
    ),
    "LangChain": (
        {"usage_metadata": {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14, "input_token_details": {}}},
        Usage(input_tokens=9, output_tokens=5),
    ),
    "Gemini": (
        {
            "usageMetadata": {
                "promptTokenCount": 10,
                "candidatesTokenCount": 4,
                "thoughtsTokenCount": 30,
                "toolUsePromptTokenCount": 6,
                "totalTokenCount": 50,
            }
        },
        Usage(input_tokens=16, output_tokens=34, reasoning_tokens=30),
    ),
    "Gemini by its SDK": (
        {"usage_metadata": {"prompt_token_count": 10, "candidates_token_count": 4, "thoughts_token_count": 30}},
        Usage(input_tokens=10, output_tokens=34, reasoning_tokens=30),
    ),
    "Bedrock Converse": (
        {"usage": {"inputTokens": 10, "outputTokens": 4, "totalTokens": 114, "cacheReadInputTokens": 100}},
        Usage(input_tokens=110, output_tokens=4, cache_read_tokens=100),
    ),
    "Cohere": (
        {"usage": {"billed_units": {"input_tokens": 5, "output_tokens": 6}, "tokens": {"input_tokens": 70}}},
        Usage(input_tokens=5, output_tokens=6),
    ),
    "Ollama": ({"prompt_eval_count": 5, "eval_count": 6}, Usage(input_tokens=5, output_tokens=6)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_shape_is_read_exactly(name: str) -> None:
    """What a provider is known to send becomes inclusive buckets, from dicts and from objects alike."""
    body, expected = KNOWN[name]
    assert read_usage(body) == expected
    assert read_usage(as_object(body)) == expected


def as_object(value: Any) -> Any:
    if isinstance(value, dict):
        return SimpleNamespace(**{key: as_object(inner) for key, inner in value.items()})
    return [as_object(one) for one in value] if isinstance(value, list) else value


def test_every_row_of_the_table_is_tried_above() -> None:
    """No shape stands in the table that no case is read by."""
    unused = []
    for shape in SHAPES:
        rest = tuple(one for one in SHAPES if one is not shape)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("agent_fuse.usage_reader.SHAPES", rest)
            if all(read_usage(body) == expected for body, expected in KNOWN.values()):
                unused.append(shape.source)
    assert not unused


tokens = st.integers(0, 10**6)


@given(tokens, tokens, st.none() | tokens, st.none() | tokens, st.none() | tokens, st.none() | tokens)
def test_parts_fit_their_wholes_and_totals_are_kept(
    prompt: int, completion: int, total: int | None, cached: int | None, written: int | None, reasoning: int | None
) -> None:
    """Whatever a server says: no part is more than its whole, and no token of the total is lost."""
    usage = read_usage(
        chat(
            prompt,
            completion,
            total_tokens=total,
            prompt_tokens_details={"cached_tokens": cached, "cache_write_tokens": written},
            completion_tokens_details={"reasoning_tokens": reasoning},
        )
    )
    assert usage is not None
    assert usage.input_tokens is not None
    assert usage.output_tokens is not None
    assert (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0) <= usage.input_tokens
    assert (usage.reasoning_tokens or 0) <= usage.output_tokens
    assert usage.input_tokens >= prompt
    assert usage.output_tokens >= completion
    assert usage.total_tokens >= max(total or 0, prompt + completion)


@given(st.lists(st.tuples(tokens, tokens), min_size=1, max_size=6))
def test_cumulative_figures_never_go_down(tellings: list[tuple[int, int]]) -> None:
    """Usage on every chunk, on the last, or twice: the highest figures count, and zeros after them take nothing back."""
    known: Usage | None = None
    for into, out in tellings:
        known = later(known, Usage(input_tokens=into, output_tokens=out))
    assert known is not None
    assert known.input_tokens == max(into for into, _ in tellings)
    assert known.output_tokens == max(out for _, out in tellings)


def test_an_answer_tells_its_tier() -> None:
    """OpenAI tells it beside the usage, Anthropic inside; where nothing is said nothing is known."""
    for data, tier in (
        (b'data: {"id":"c","service_tier":"flex","choices":[]}\n', "flex"),
        (b'data: {"type":"message_start","message":{"id":"m","usage":{"service_tier":"priority"}}}\n', "priority"),
        (b'data: {"id":"c","choices":[]}\n', None),
    ):
        reading = Reading()
        StreamReader(reading, count_text=False).feed(data)
        assert reading.tier == tier


def test_images_are_priced_apart_where_they_are_told_apart() -> None:
    """A model that writes and draws: text at its rate, images at theirs; untold, all at the dearer one."""
    rates = PriceBook().rates("gpt-image-1.5", "openai")
    told = Usage(input_tokens=1000, output_tokens=500, input_image_tokens=400, output_image_tokens=300)
    assert rates.cost(told) == 600 * 5_000 + 400 * 8_000 + 200 * 10_000 + 300 * 32_000
    assert rates.cost(Usage(input_tokens=1000, output_tokens=500)) == 1000 * 5_000 + 500 * 32_000


def test_audio_is_priced_where_the_data_has_text_rates_only() -> None:
    """The supplement stands in for what the price data lacks."""
    usage = Usage(input_tokens=1000, output_tokens=500, input_audio_tokens=900, output_audio_tokens=400)
    cost = PriceBook().rates("gpt-4o-audio-preview", "openai").cost(usage)
    assert cost == 100 * 2_500 + 900 * 40_000 + 100 * 10_000 + 400 * 80_000
