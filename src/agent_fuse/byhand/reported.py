"""Usage as providers and frameworks report it: on response objects or dicts, whatever their field names."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from agent_fuse.calls import Usage
from agent_fuse.wire import Reading, count, read_body

log = logging.getLogger("agent_fuse")

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """Where one API puts its figures, below the response."""

    input: tuple[Path, ...]
    """Added up: some report cached tokens beside the input tokens."""
    output: tuple[Path, ...]
    read: Path = ()
    written: Path = ()
    reasoning: Path = ()


# Besides OpenAI's and Anthropic's own shapes, which `wire` reads. Field names: LangChain's UsageMetadata; Google's
# GenerateContentResponse.usageMetadata (thoughts are outside candidates) on the wire and in its SDK; Bedrock's Converse
# TokenUsage (cached tokens are outside inputTokens); Ollama's /api/chat; Cohere v2.
_SHAPES = (
    _Shape(
        input=(("usage_metadata", "input_tokens"),),
        output=(("usage_metadata", "output_tokens"),),
        read=("usage_metadata", "input_token_details", "cache_read"),
        written=("usage_metadata", "input_token_details", "cache_creation"),
        reasoning=("usage_metadata", "output_token_details", "reasoning"),
    ),
    _Shape(
        input=(("usage_metadata", "prompt_token_count"), ("usage_metadata", "tool_use_prompt_token_count")),
        output=(("usage_metadata", "candidates_token_count"), ("usage_metadata", "thoughts_token_count")),
        read=("usage_metadata", "cached_content_token_count"),
        reasoning=("usage_metadata", "thoughts_token_count"),
    ),
    _Shape(
        input=(("usageMetadata", "promptTokenCount"), ("usageMetadata", "toolUsePromptTokenCount")),
        output=(("usageMetadata", "candidatesTokenCount"), ("usageMetadata", "thoughtsTokenCount")),
        read=("usageMetadata", "cachedContentTokenCount"),
        reasoning=("usageMetadata", "thoughtsTokenCount"),
    ),
    _Shape(
        input=(("usage", "inputTokens"), ("usage", "cacheReadInputTokens"), ("usage", "cacheWriteInputTokens")),
        output=(("usage", "outputTokens"),),
        read=("usage", "cacheReadInputTokens"),
        written=("usage", "cacheWriteInputTokens"),
    ),
    _Shape(input=(("usage", "billed_units", "input_tokens"),), output=(("usage", "billed_units", "output_tokens"),)),
    _Shape(input=(("prompt_eval_count",),), output=(("eval_count",),)),
)


@dataclass(slots=True)
class Told:
    """What responses have told of one call so far. Never raises an Exception for what a response is."""

    usage: Usage | None = None
    """The last word on what it used."""
    pieces: Usage | None = None
    """What the pieces of a stream have told, which may go on."""
    response_id: str = ""
    model: str = ""

    def take(self, response: object) -> bool:
        """Take what a whole response tells; whether it told its usage."""
        reading = self._read(response)
        self.usage = reading.usage or self.usage
        return reading.usage is not None

    def take_piece(self, piece: object) -> None:
        """Take what a piece of a streamed response tells, figures being cumulative."""
        self.pieces = _later(self.pieces, self._read(piece).usage)

    def _read(self, response: object) -> Reading:
        reading = reading_of(response)
        self.response_id = reading.response_id or self.response_id
        self.model = reading.model or self.model
        return reading


def reading_of(response: object) -> Reading:
    """What a response tells: usage, id, model. Nothing where it tells nothing; never raises an Exception.

    Read are OpenAI and Anthropic responses, LangChain messages, Gemini, Bedrock Converse, Cohere and Ollama answers, as
    objects or as dicts, and a `Usage` of your own.
    """
    reading = Reading()
    try:
        if isinstance(response, Usage):
            reading.usage = response
            return reading
        read_body(response, reading)
        if reading.usage is None:
            reading.usage = next((usage for shape in _SHAPES if (usage := _read(response, shape)) is not None), None)
    except Exception:
        log.exception("a response could not be read for its usage; its call is booked by its quote")
    return reading


def _later(known: Usage | None, new: Usage | None) -> Usage | None:
    if known is None or new is None:
        return new or known
    if new.input_tokens is None or new.input_tokens < (known.input_tokens or 0):
        return replace(known, output_tokens=known.output_tokens if new.output_tokens is None else new.output_tokens)
    return new


def _read(response: object, shape: _Shape) -> Usage | None:
    usage = Usage(
        input_tokens=_sum(response, shape.input),
        output_tokens=_sum(response, shape.output),
        cache_read_tokens=_at(response, shape.read),
        cache_write_tokens=_at(response, shape.written),
        reasoning_tokens=_at(response, shape.reasoning),
    )
    return usage if usage.known else None


def _sum(response: object, paths: tuple[Path, ...]) -> int | None:
    first = _at(response, paths[0])
    return None if first is None else first + sum(_at(response, path) or 0 for path in paths[1:])


def _at(holder: Any, path: Path) -> int | None:
    if not path:
        return None
    for name in path:
        if holder is None:
            return None
        holder = (
            cast("Mapping[str, Any]", holder).get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
        )
    return count(holder)
