"""The reader of usage: every shape that providers are known to send, and what must hold of any of them."""

import itertools
import json
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from agent_fuse.calls import Usage, count
from agent_fuse.containers import gigabytes
from agent_fuse.prices import PriceBook
from agent_fuse.usage_plans import Layout
from agent_fuse.usage_reader import later, layouts, read_usage
from agent_fuse.usage_shapes import SHAPES, Shape
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
    "Perplexity's deep research": (
        chat(100, 1000, total_tokens=1100, citation_tokens=5000, reasoning_tokens=300, num_search_queries=20),
        Usage(input_tokens=100, output_tokens=1300, reasoning_tokens=300, citation_tokens=5000, web_searches=20),
    ),
    "LiteLLM: written for an hour": (
        chat(
            6100,
            10,
            total_tokens=6110,
            cache_creation_input_tokens=1000,
            cache_read_input_tokens=5000,
            prompt_tokens_details={"cache_creation_token_details": {"ephemeral_1h_input_tokens": 600}},
        ),
        Usage(
            input_tokens=6100,
            output_tokens=10,
            cache_read_tokens=5000,
            cache_write_tokens=1000,
            cache_write_1h_tokens=600,
        ),
    ),
    "Mistral: a recording beside the tokens, whose own are in the total": (
        chat(4, 635, total_tokens=3264, prompt_audio_seconds=203),
        Usage(input_tokens=4, output_tokens=635, seconds=203),
    ),
    "Anthropic, what was written told by its parts alone": (
        {
            "usage": {
                "input_tokens": 100,
                "output_tokens": 10,
                "cache_creation": {"ephemeral_5m_input_tokens": 4000, "ephemeral_1h_input_tokens": 6000},
            }
        },
        Usage(input_tokens=10100, output_tokens=10, cache_write_tokens=10000, cache_write_1h_tokens=6000),
    ),
    "Anthropic by OpenAI's protocol, what was written told by its parts alone": (
        chat(10100, 10, cache_creation={"ephemeral_5m_input_tokens": 4000, "ephemeral_1h_input_tokens": 6000}),
        Usage(input_tokens=10100, output_tokens=10, cache_write_tokens=10000, cache_write_1h_tokens=6000),
    ),
    "Converse, what was written told by its parts alone": (
        {"usage": {"inputTokens": 100, "outputTokens": 10, "cacheDetails": [{"ttl": "5m", "inputTokens": 3000}]}},
        Usage(input_tokens=3100, output_tokens=10, cache_write_tokens=3000, cache_write_1h_tokens=0),
    ),
    "a recording, told in full": (
        {"task": "transcribe", "duration": 61.3, "text": "hi", "segments": []},
        Usage(input_tokens=0, output_tokens=0, seconds=62),
    ),
    "Voyage AI": (
        {"object": "list", "data": [], "usage": {"total_tokens": 10}},
        Usage(input_tokens=10),
    ),
    "Cloudflare": ({"result": {"response": "hi", **chat(8, 3)}}, Usage(input_tokens=8, output_tokens=3)),
    "Cohere rerank": (
        {"results": [], "meta": {"billed_units": {"search_units": 3}}},
        Usage(input_tokens=0, output_tokens=0, web_searches=3),
    ),
    "Converse, written for an hour": (
        {
            "usage": {
                "inputTokens": 100,
                "outputTokens": 10,
                "cacheWriteInputTokens": 9000,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 6000}, {"ttl": "5m", "inputTokens": 3000}],
            }
        },
        Usage(input_tokens=9100, output_tokens=10, cache_write_tokens=9000, cache_write_1h_tokens=6000),
    ),
    "Gemini, by modality": (
        {
            "usageMetadata": {
                "promptTokenCount": 1200,
                "candidatesTokenCount": 1310,
                "cachedContentTokenCount": 700,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 100},
                    {"modality": "AUDIO", "tokenCount": 900},
                    {"modality": "IMAGE", "tokenCount": 150},
                    {"modality": "VIDEO", "tokenCount": 50},
                ],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 700}],
                "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
            }
        },
        Usage(
            input_tokens=1200,
            output_tokens=1310,
            cache_read_tokens=700,
            cache_read_audio_tokens=700,
            cache_read_image_tokens=0,
            input_audio_tokens=900,
            input_image_tokens=200,
            output_audio_tokens=0,
            output_image_tokens=1290,
        ),
    ),
    "google-genai, by modality": (
        {
            "usage_metadata": {
                "prompt_token_count": 1100,
                "candidates_token_count": 20,
                "prompt_tokens_details": [{"modality": "AUDIO", "token_count": 1000}],
            }
        },
        Usage(input_tokens=1100, output_tokens=20, input_audio_tokens=1000, input_image_tokens=0),
    ),
    "images, of whose input some was cached": (
        {
            "usage": {
                "input_tokens": 1000,
                "output_tokens": 100,
                "total_tokens": 1100,
                "input_tokens_details": {
                    "image_tokens": 800,
                    "cached_tokens": 500,
                    "cached_tokens_details": {"text_tokens": 100, "image_tokens": 400},
                },
            }
        },
        Usage(
            input_tokens=1000,
            output_tokens=100,
            cache_read_tokens=500,
            cache_read_image_tokens=400,
            input_image_tokens=800,
        ),
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
    "Mistral, pages": (
        {"pages": [{}, {}], "usage_info": {"pages_processed": 2, "doc_size_bytes": 9}},
        Usage(input_tokens=0, output_tokens=0, pages=2),
    ),
    "Gemini, an interaction": (
        {
            "usage": {
                "total_input_tokens": 10,
                "total_output_tokens": 4,
                "total_thought_tokens": 30,
                "total_tool_use_tokens": 6,
                "total_tokens": 50,
            }
        },
        Usage(input_tokens=16, output_tokens=34, reasoning_tokens=30),
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
    "Bedrock, the last chunk of a stream": (
        {
            "amazon-bedrock-invocationMetrics": {
                "inputTokenCount": 10,
                "outputTokenCount": 4,
                "cacheReadInputTokenCount": 100,
            }
        },
        Usage(input_tokens=110, output_tokens=4, cache_read_tokens=100),
    ),
    "Bedrock, Meta's models": (
        {"generation": "hi", "prompt_token_count": 10, "generation_token_count": 4},
        Usage(input_tokens=10, output_tokens=4),
    ),
    "Bedrock, Titan's embeddings": ({"embedding": [0.5], "inputTextTokenCount": 10}, Usage(input_tokens=10)),
    "Bedrock Converse": (
        {"usage": {"inputTokens": 10, "outputTokens": 4, "totalTokens": 114, "cacheReadInputTokens": 100}},
        Usage(input_tokens=110, output_tokens=4, cache_read_tokens=100),
    ),
    "parts that are no list": (chat(5, 6, iterations=3), Usage(input_tokens=5, output_tokens=6)),
    "Cohere": (
        {"usage": {"billed_units": {"input_tokens": 5, "output_tokens": 6}, "tokens": {"input_tokens": 70}}},
        Usage(input_tokens=5, output_tokens=6),
    ),
    "Cohere v1": ({"meta": {"billed_units": {"input_tokens": 5}}}, Usage(input_tokens=5)),
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
            patch.setattr("agent_fuse.usage_reader._LAYOUTS", layouts(rest))
            if all(read_usage(body) == expected for body, expected in KNOWN.values()):
                unused.append(shape.source)
    assert not unused


def walked(body: Any) -> Usage | None:
    """The same answer read by walking the table, row by row and path by path: slow, and plain to see."""
    for shape in SHAPES:
        holder = at(body, (shape.root,)) if shape.root else body

        def first(row: str, shape: Shape = shape, holder: Any = holder) -> int | None:
            figures = (count(at(holder, path)) for path in getattr(shape, row))
            return next((figure for figure in figures if figure is not None), None)

        if shape.needs and all(at(holder, path) is None for path in shape.needs):
            continue
        given, made, total = first("input"), first("output"), first("total")
        if given is None and made is None:
            if shape.searches_alone and first("searches") is not None:
                return Usage(input_tokens=0, output_tokens=0, web_searches=first("searches") or None)
            if (pages := first("pages")) is not None:
                return Usage(input_tokens=0, output_tokens=0, pages=pages)
            continue
        read, written, reasoning = first("read"), first("written"), first("reasoning")
        parts = (first("written_5m") or 0) + (first("written_1h") or 0)
        written = written or parts or written
        beside = given is not None and made is not None and first("seconds") is not None
        total = None if beside else total
        if given is not None:
            given += first("beside_input") or 0
        if made is not None:
            made += first("beside_output") or 0
        cached = (read or 0) + (written or 0)
        if given is not None and (shape.cached_outside or cached > given):
            given += cached
        if made is not None and reasoning is not None and reasoning > made:
            made += reasoning
        if total is not None:
            if given is None or made is None:
                given = max(total - (made or 0), cached) if given is None else given
                made = max(total - given, reasoning or 0) if made is None else made
            elif total > given + made:
                hidden = total - given - made
                outside = hidden == cached and hidden != reasoning
                given, made = (given + hidden, made) if outside else (given, made + hidden)
        return Usage(
            input_tokens=given,
            output_tokens=made,
            cache_read_tokens=read,
            cache_read_audio_tokens=first("read_audio"),
            cache_read_image_tokens=first("read_image"),
            cache_write_tokens=written,
            cache_write_1h_tokens=first("written_1h"),
            reasoning_tokens=reasoning,
            input_audio_tokens=first("input_audio"),
            output_audio_tokens=first("output_audio"),
            input_image_tokens=first("input_image"),
            output_image_tokens=first("output_image"),
            citation_tokens=first("citations"),
            seconds=first("seconds"),
            web_searches=first("searches") or None,
        )
    return None


def at(holder: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        holder = holder.get(name) if isinstance(holder, dict) else None
    return holder


ROWS = tuple(one.name for one in fields(Shape) if one.name not in ("source", "root", "parts", "seconds"))
PATHS = {
    shape.source: [path for row in ROWS if isinstance(paths := getattr(shape, row), tuple) for path in paths]
    for shape in SHAPES
}
STRANGE: list[Any] = [None, True, -1, 10**11, 2.0, 0.5, "7", [], {}]


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    """An answer of one shape with any of its figures there, strange ones among them, in any order; or of two at once."""
    body: dict[str, Any] = {}
    for shape in draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=2)):
        root = body.setdefault(shape.root, {}) if shape.root else body
        for path in draw(st.lists(st.sampled_from(PATHS[shape.source]), unique=True)):
            place = root
            for name in path[:-1]:
                place = place.setdefault(name, {})
                if not isinstance(place, dict):
                    break
            else:
                place[path[-1]] = draw(st.integers(0, 2000) | st.sampled_from(STRANGE))
    return body


class Answer(BaseModel):
    """An SDK's object, which keeps what it does not know."""

    model_config = {"extra": "allow"}
    usage: Any = None
    prompt_tokens: Any = None
    input_tokens: Any = None


def as_model(value: Any) -> Any:
    return Answer(**{key: as_model(inner) for key, inner in value.items()}) if isinstance(value, dict) else value


@given(answers())
def test_what_is_read_at_once_is_what_the_table_says(body: dict[str, Any]) -> None:
    """Whatever figures an answer of a shape tells, as dict or object, the plan for them reads what a walk would."""
    expected = walked(body)
    assert read_usage(body) == expected
    assert read_usage(as_object(body)) == expected
    assert read_usage(as_model(body)) == expected


def test_plans_are_kept_and_are_not_kept_without_end() -> None:
    """Answers that tell the same figures share a plan; a server that sends ever new ones cannot fill the memory."""
    layout = Layout(*(shape for shape in SHAPES if shape.root == "usage"))
    names = [".".join(path) for path in PATHS[SHAPES[0].source]]
    orders = itertools.islice(itertools.permutations(names), 2000)
    first = [layout.plan(dict.fromkeys(order, 1)) for order in orders]
    assert None not in first
    assert len(layout.plans) < 500
    told = dict.fromkeys(names, 1)
    assert layout.plan(told) is layout.plan(told)


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


@given(answers())
def test_in_every_shape_parts_fit_their_wholes(body: dict[str, Any]) -> None:
    """Whatever figures, strange ones among them, of whichever shape: no two buckets overlap, none passes its whole."""
    usage = read_usage(body)
    if usage is None:
        return
    if usage.input_tokens is not None:
        assert (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0) <= usage.input_tokens
    if usage.output_tokens is not None:
        assert (usage.reasoning_tokens or 0) <= usage.output_tokens


@pytest.mark.parametrize("shape", [one for one in SHAPES if one.total], ids=lambda one: one.source[:30])
@given(into=tokens, out=tokens, more=tokens)
def test_what_a_total_says_beyond_its_parts_is_output(shape: Shape, into: int, out: int, more: int) -> None:
    """In every shape that tells a total: nothing of it is lost, and what has no name is not input."""
    body: dict[str, Any] = {}
    root = body.setdefault(shape.root, {}) if shape.root else body
    for (*inner, name), value in ((shape.input[0], into), (shape.output[0], out), (shape.total[0], into + out + more)):
        place = root
        for one in inner:
            place = place.setdefault(one, {})
        place[name] = value
    for *inner, name in shape.needs[:1]:
        place = root
        for one in inner:
            place = place.setdefault(one, {})
        place.setdefault(name, 0)
    usage = read_usage(body)
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (into, out + more)


def test_every_shape_names_its_source() -> None:
    """Who tells it so, each once: a row that nobody can check is a guess."""
    sources = [one.source for one in SHAPES]
    assert len(set(sources)) == len(sources)
    assert [one for one in sources if len(one.split()) < 2] == []


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


def code(container):
    return {"type": "code_interpreter_call", "container_id": container}


def shell(container):
    return {"type": "shell_call", "environment": {"type": "container_reference", "container_id": container}}


def interpreter(memory):
    return {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": memory}}


@pytest.mark.parametrize(
    ("output", "tools", "containers"),
    [
        ([code("c1"), code("c1")], [interpreter("16g")], 16),
        ([code("c1"), code("c2")], [interpreter("4g")], 8),
        ([code("c1")], [interpreter(None)], 1),
        ([code("c1")], [{"type": "code_interpreter", "container": "c1"}], 1),
        ([code("c1")], None, 1),
        ([shell("c1")], [{"type": "shell", "environment": {"type": "container_auto", "memory_limit": "64g"}}], 64),
        ([shell("c1"), code("c1")], [interpreter("4g")], 4),
        ([{"type": "shell_call", "environment": {"type": "local"}}], [{"type": "shell"}], None),
        ([{"type": "message"}], [interpreter("64g")], None),
    ],
)
def test_containers_are_counted_by_their_memory(output, tools, containers):
    """Each container once, as many as its gigabytes, which the tools that the answer repeats tell."""
    body = {"usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}, "output": output, "tools": tools}
    assert read_usage(body).containers == containers


def test_a_container_that_a_request_made_is_known_by_its_id():
    """The request that made it told its memory, and the answer its id; a later one names it by that."""
    ran = {"type": "code_interpreter_call", "container_id": "cntr_a"}
    by_id = {"type": "code_interpreter", "container": "cntr_a"}
    assert gigabytes(by_id, unseen=64) == 64
    auto = {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g"}}
    read_usage({"output": [ran], "tools": [auto], "usage": {"input_tokens": 1, "output_tokens": 1}})
    assert gigabytes(by_id, unseen=64) == 4
    assert (
        read_usage({"output": [ran], "tools": [by_id], "usage": {"input_tokens": 1, "output_tokens": 1}}).containers
        == 4
    )


@pytest.mark.parametrize(
    ("tools", "searches"),
    [
        ([{"type": "web_search"}], (2, None)),
        ([{"type": "web_search_preview"}], (None, 2)),
        ([{"type": "function"}, {"type": "web_search_preview_2025_03_11"}], (None, 2)),
        (None, (2, None)),
    ],
)
def test_searches_of_the_preview_tool_are_told_apart(tools, searches):
    """The tools that the answer repeats tell which it was; opening a page found is no search."""
    output = [{"type": "web_search_call"}, {"type": "web_search_call", "action": {"type": "search"}}]
    output.append({"type": "web_search_call", "action": {"type": "open_page"}})
    body = {"usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}, "output": output, "tools": tools}
    usage = read_usage(body)
    assert (usage.web_searches, usage.preview_searches) == searches


@pytest.mark.parametrize(
    ("tools", "model"),
    [
        ([{"type": "function"}, {"type": "image_generation", "model": "gpt-image-2"}], "gpt-image-2"),
        ([{"type": "image_generation"}], "gpt-image-1"),
        (None, "gpt-image-1"),
    ],
)
def test_images_drawn_for_a_response_are_another_models(tools, model):
    """Its own usage leaves them out; where none was drawn there is nothing to add."""
    drawn = {"input_tokens": 100, "output_tokens": 1056, "total_tokens": 1156}
    body = {"usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}, "output": [], "tools": tools}
    usage = read_usage({**body, "tool_usage": {"image_gen": drawn, "web_search": {"num_requests": 0}}})
    assert (usage.input_tokens, usage.output_tokens) == (1, 1)
    assert [(name, part.input_tokens, part.output_tokens) for name, part in usage.parts] == [(model, 100, 1056)]
    for nothing in (dict.fromkeys(drawn, 0), {}, None, 3):
        assert read_usage({**body, "tool_usage": {"image_gen": nothing}}).parts == ()


@pytest.mark.parametrize(("requests", "told"), [(2, 2), (0, None)])
def test_searches_are_as_many_as_the_answer_says_are_billed(requests, told):
    """One search item may ask several times, or for nothing."""
    output = [{"type": "web_search_call", "action": {"type": "search", "queries": ["a", "b"]}}]
    body = {"usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}, "output": output}
    usage = read_usage({**body, "tool_usage": {"web_search": {"num_requests": requests}}})
    assert usage.web_searches == told


def test_what_xai_ran_is_what_it_counts():
    """Its searches of the web and of X cost the same; the items beside them are not counted again."""
    details = {"web_search_calls": 2, "x_search_calls": 1, "code_interpreter_calls": 4, "file_search_calls": 0}
    usage = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14, "server_side_tool_usage_details": details}
    found = read_usage({"usage": usage, "output": [{"type": "web_search_call"}]})
    assert (found.web_searches, found.containers, found.file_searches) == (3, 4, None)


MODELS = [{"model": "a", "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}}]
MODELS.append({"model": "b", "usage": {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23}})


@pytest.mark.parametrize("under", ["", "x_groq"])
def test_a_system_of_models_is_billed_by_each(under):
    """Groq's Compound tells what each of its models used, whole or in the last chunk of a stream."""
    told = {**chat(30, 5, total_tokens=35), "usage_breakdown": {"models": MODELS}}
    found = read_usage({under: told} if under else told)
    assert (found.served_by, found.input_tokens, found.output_tokens) == ("a", 10, 2)
    assert found.parts == (("b", Usage(input_tokens=20, output_tokens=3)),)


@pytest.mark.parametrize("models", [None, [], 3, [{"model": "a"}], [{"usage": {}}]])
def test_a_breakdown_that_tells_nothing_leaves_what_is_told(models):
    """What cannot be read is not free."""
    found = read_usage({**chat(30, 5), "usage_breakdown": {"models": models}})
    assert (found.input_tokens, found.output_tokens, found.parts) == (30, 5, ())


DECLINED = {"stop_reason": "refusal", "content": [], "usage": {"input_tokens": 900, "output_tokens": 0}}


@pytest.mark.parametrize(
    ("changed", "billed"),
    [
        ({}, 0),
        ({"usage": {"input_tokens": 900, "output_tokens": 1}}, 0),
        ({"usage": {"input_tokens": 900, "output_tokens": 40}}, 900),
        ({"content": [{"type": "text", "text": "I"}], "usage": {"input_tokens": 900, "output_tokens": 1}}, 900),
        ({"stop_reason": "end_turn"}, 900),
    ],
)
def test_what_claude_declines_before_it_writes_is_free(changed, billed):
    """What it declines later is billed up to there."""
    assert read_usage({**DECLINED, **changed}).input_tokens == billed


@pytest.mark.parametrize(("written", "billed"), [(0, 0), (40, 900)])
def test_in_a_stream_its_last_event_says_so(written, billed):
    """The first one has told the input already."""
    reading = Reading()
    start = {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 900, "output_tokens": 0}}}
    end = {"type": "message_delta", "delta": {"stop_reason": "refusal"}, "usage": {"output_tokens": written}}
    lines = [f"data: {json.dumps(one)}\n\n" for one in (start, end, {"type": "message_stop"})]
    StreamReader(reading, count_text=False).feed("".join(lines).encode())
    assert (reading.usage.input_tokens, reading.final) == (billed, True)
