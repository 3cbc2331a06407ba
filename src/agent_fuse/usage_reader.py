"""The one reader of usage: wherever and under whatever names an answer tells its tokens, as inclusive buckets.

An answer is a dict or an SDK's object. `SHAPES` is the table of what providers send, each row with its source; what a
row finds is made inclusive by the same few rules (`_inclusive`), since servers that speak one protocol differ in
whether the prompt holds its cached part and the answer its reasoning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from agent_fuse.calls import MAX_TOKENS, Usage

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One way to tell usage: where its figures are, below `root`. Of several paths the first that is there counts."""

    source: str
    """Who tells it so, and where that is written."""
    root: Path = ("usage",)
    needs: tuple[Path, ...] = ()
    """It is this shape when any of these is there as well; empty: when an input or output figure is."""
    input: tuple[Path, ...] = ()
    output: tuple[Path, ...] = ()
    total: tuple[Path, ...] = ()
    read: tuple[Path, ...] = ()
    written: tuple[Path, ...] = ()
    written_1h: tuple[Path, ...] = ()
    reasoning: tuple[Path, ...] = ()
    input_audio: tuple[Path, ...] = ()
    output_audio: tuple[Path, ...] = ()
    input_image: tuple[Path, ...] = ()
    output_image: tuple[Path, ...] = ()
    beside_input: tuple[Path, ...] = ()
    """Told beside the input, and added to it."""
    beside_output: tuple[Path, ...] = ()
    """Told beside the output, and added to it."""
    cached_outside: bool = False
    """The input leaves out what was read from the cache and written to it."""


def _one(*names: str) -> tuple[Path, ...]:
    return (names,)


_CHAT = Shape(
    source="OpenAI chat completions, and all who speak it. `cached_tokens` at the top: Moonshot; "
    "`prompt_cache_hit_tokens`: DeepSeek; `cache_write_tokens`: OpenRouter, and OpenAI from gpt-5.6 on; "
    "`cache_creation_input_tokens`: LiteLLM",
    input=_one("prompt_tokens"),
    output=_one("completion_tokens"),
    total=_one("total_tokens"),
    read=(
        ("prompt_tokens_details", "cached_tokens"),
        ("prompt_cache_hit_tokens",),
        ("cached_tokens",),
        ("cache_read_input_tokens",),
    ),
    written=(("prompt_tokens_details", "cache_write_tokens"), ("cache_creation_input_tokens",)),
    reasoning=(("completion_tokens_details", "reasoning_tokens"), ("reasoning_tokens",)),
    input_audio=_one("prompt_tokens_details", "audio_tokens"),
    output_audio=_one("completion_tokens_details", "audio_tokens"),
    input_image=_one("prompt_tokens_details", "image_tokens"),
    output_image=_one("completion_tokens_details", "image_tokens"),
)
_ANTHROPIC = Shape(
    source="Anthropic messages: the input leaves out cached tokens",
    needs=(("cache_read_input_tokens",), ("cache_creation_input_tokens",), ("cache_creation",)),
    input=_one("input_tokens"),
    output=_one("output_tokens"),
    read=_one("cache_read_input_tokens"),
    written=_one("cache_creation_input_tokens"),
    written_1h=_one("cache_creation", "ephemeral_1h_input_tokens"),
    reasoning=_one("output_tokens_details", "thinking_tokens"),
    cached_outside=True,
)
_RESPONSES = Shape(
    source="OpenAI Responses, images, audio and realtime (`input_token_details` in the singular)",
    input=_one("input_tokens"),
    output=_one("output_tokens"),
    total=_one("total_tokens"),
    read=(("input_tokens_details", "cached_tokens"), ("input_token_details", "cached_tokens")),
    written=_one("input_tokens_details", "cache_write_tokens"),
    reasoning=(("output_tokens_details", "reasoning_tokens"), ("output_tokens_details", "thinking_tokens")),
    input_audio=(("input_tokens_details", "audio_tokens"), ("input_token_details", "audio_tokens")),
    output_audio=(("output_tokens_details", "audio_tokens"), ("output_token_details", "audio_tokens")),
    input_image=(("input_tokens_details", "image_tokens"), ("input_token_details", "image_tokens")),
    output_image=(("output_tokens_details", "image_tokens"), ("output_token_details", "image_tokens")),
)
_LANGCHAIN = Shape(
    source="LangChain's UsageMetadata",
    root=("usage_metadata",),
    input=_one("input_tokens"),
    output=_one("output_tokens"),
    total=_one("total_tokens"),
    read=_one("input_token_details", "cache_read"),
    written=_one("input_token_details", "cache_creation"),
    reasoning=_one("output_token_details", "reasoning"),
    input_audio=_one("input_token_details", "audio"),
    output_audio=_one("output_token_details", "audio"),
)
_GOOGLE_SDK = Shape(
    source="google-genai's GenerateContentResponseUsageMetadata: thoughts are outside candidates",
    root=("usage_metadata",),
    input=_one("prompt_token_count"),
    output=_one("candidates_token_count"),
    total=_one("total_token_count"),
    read=_one("cached_content_token_count"),
    reasoning=_one("thoughts_token_count"),
    beside_input=_one("tool_use_prompt_token_count"),
    beside_output=_one("thoughts_token_count"),
)
_GOOGLE = Shape(
    source="Gemini API, GenerateContentResponse.usageMetadata: thoughts are outside candidates",
    root=("usageMetadata",),
    input=_one("promptTokenCount"),
    output=_one("candidatesTokenCount"),
    total=_one("totalTokenCount"),
    read=_one("cachedContentTokenCount"),
    reasoning=_one("thoughtsTokenCount"),
    beside_input=_one("toolUsePromptTokenCount"),
    beside_output=_one("thoughtsTokenCount"),
)
_BEDROCK = Shape(
    source="Amazon Bedrock Converse, TokenUsage: cached tokens are outside inputTokens, and inside totalTokens",
    input=_one("inputTokens"),
    output=_one("outputTokens"),
    read=_one("cacheReadInputTokens"),
    written=_one("cacheWriteInputTokens"),
    cached_outside=True,
)
_COHERE = Shape(
    source="Cohere v2 chat: billed units, else tokens",
    input=(("billed_units", "input_tokens"), ("tokens", "input_tokens")),
    output=(("billed_units", "output_tokens"), ("tokens", "output_tokens")),
)
_OLLAMA = Shape(
    source="Ollama /api/chat and /api/generate", root=(), input=_one("prompt_eval_count"), output=_one("eval_count")
)

SHAPES: tuple[Shape, ...] = (
    _CHAT,
    _ANTHROPIC,
    _RESPONSES,
    _GOOGLE_SDK,
    _LANGCHAIN,
    _GOOGLE,
    _BEDROCK,
    _COHERE,
    _OLLAMA,
)
"""In the order in which they are tried: the first that finds an input or output figure is the answer's."""

_ELSEWHERE: tuple[Path, ...] = (("x_groq",), ("choices",), ("meta",))
"""Where the `usage` of a chat answer stands when it is not at the top: Groq's streams; Moonshot's, in the last choice;
gateways that hand Cohere's `meta` on."""


def read_usage(body: object) -> Usage | None:
    """The usage that an answer tells, in inclusive buckets; None where it tells none. May raise on a hostile object."""
    found = _by_shapes(body)
    if found is None:
        for path in _ELSEWHERE:
            inner = _at(body, path)
            holders = cast("Sequence[Any]", inner) if isinstance(inner, list | tuple) else (inner,)
            found = next((usage for one in reversed(holders) if (usage := _by_shapes(one)) is not None), None)
            if found is not None:
                break
    return found


def later(known: Usage | None, new: Usage) -> Usage:
    """What a stream has told, with one more telling, figures being cumulative: no figure goes down again."""
    if known is None:
        return new
    return replace(
        new,
        **{
            name: before
            for name in _COUNTS
            if (before := getattr(known, name)) is not None and ((now := getattr(new, name)) is None or now < before)
        },
        parts=new.parts or known.parts,
    )


_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "output_image_tokens",
)


def count(value: object) -> int | None:
    """A token figure if it is one: a whole number from 0 to MAX_TOKENS; else None, unknown."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 <= value <= MAX_TOKENS else None
    if isinstance(value, float) and 0 <= value <= MAX_TOKENS and value.is_integer():
        return int(value)
    return None


def _by_shapes(body: object) -> Usage | None:
    for shape in SHAPES:
        holder = _at(body, shape.root)
        if holder is None or (shape.needs and not any(_at(holder, path) is not None for path in shape.needs)):
            continue
        usage = _read(holder, shape)
        if usage is not None:
            return usage
    return None


def _read(holder: object, shape: Shape) -> Usage | None:
    given, made = _first(holder, shape.input), _first(holder, shape.output)
    if given is None and made is None:
        return None
    read, written, reasoning = (_first(holder, paths) for paths in (shape.read, shape.written, shape.reasoning))
    if shape.beside_input and given is not None:
        given += _first(holder, shape.beside_input) or 0
    if shape.beside_output and made is not None:
        made += _first(holder, shape.beside_output) or 0
    given, made = _inclusive(
        given,
        made,
        total=_first(holder, shape.total),
        cached=(read or 0) + (written or 0),
        reasoning=reasoning,
        outside=shape.cached_outside,
    )
    usage = Usage(
        input_tokens=given,
        output_tokens=made,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=_first(holder, shape.written_1h),
        reasoning_tokens=reasoning,
        input_audio_tokens=_first(holder, shape.input_audio),
        output_audio_tokens=_first(holder, shape.output_audio),
        input_image_tokens=_first(holder, shape.input_image),
        output_image_tokens=_first(holder, shape.output_image),
    )
    iterations = _at(holder, ("iterations",))
    return _with_iterations(usage, cast("Sequence[object]", iterations)) if iterations else usage


def _inclusive(
    given: int | None, made: int | None, *, total: int | None, cached: int, reasoning: int | None, outside: bool
) -> tuple[int | None, int | None]:
    """Input with its cached part, output with its reasoning, by what the figures themselves say.

    Where cached tokens are more than the input they are outside it; where a total says more than its parts the rest is
    cached input left out, if it is just as much, else output that is not shown (reasoning).
    """
    if given is not None and (outside or cached > given):
        given += cached
    if made is not None and reasoning is not None and reasoning > made:
        made += reasoning
    if total is None:
        return given, made
    if given is None:
        return max(total - (made or 0), 0), made
    if made is None:
        return given, max(total - given, 0)
    rest = total - given - made
    if rest <= 0:
        return given, made
    return (given + rest, made) if rest == cached else (given, made + rest)


def _with_iterations(usage: Usage, iterations: Sequence[object]) -> Usage:
    """Add what the top level of Anthropic's usage leaves out: compactions, and advice of another model.

    Sources: the anthropic SDK's BetaUsage.iterations; Anthropic's page on the advisor tool (billed at its own rates).
    """
    parts = list(usage.parts)
    for one in iterations:
        kind = _at(one, ("type",))
        part = _read(one, _ANTHROPIC) if kind in ("compaction", "advisor_message") else None
        if part is None:
            continue
        if kind == "compaction":
            usage = _sum(usage, part)
        else:
            model = _at(one, ("model",))
            parts.append((model if isinstance(model, str) else "", part))
    return replace(usage, parts=tuple(parts))


def _sum(one: Usage, other: Usage) -> Usage:
    def both(name: str) -> int | None:
        first, second = getattr(one, name), getattr(other, name)
        return None if first is None and second is None else (first or 0) + (second or 0)

    summed: Any = {name: both(name) for name in _COUNTS}
    return replace(one, **summed)


def _first(holder: object, paths: tuple[Path, ...]) -> int | None:
    for path in paths:
        found = count(_at(holder, path))
        if found is not None:
            return found
    return None


def _at(holder: Any, path: Path) -> Any:
    for name in path:
        if holder is None:
            return None
        holder = (
            cast("Mapping[str, Any]", holder).get(name) if isinstance(holder, Mapping) else _attribute(holder, name)
        )
    return holder


def _attribute(holder: Any, name: str) -> Any:
    """An attribute; of a pydantic model, whose own look-up of what is not there is slow, without asking it."""
    fields: dict[str, Any] | None = getattr(holder, "__dict__", None)
    if fields is not None and name in fields:
        return fields[name]
    if hasattr(cast("object", holder), "__pydantic_fields__"):
        extra: dict[str, Any] | None = holder.__pydantic_extra__
        return extra.get(name) if extra else None
    return getattr(holder, name, None)
