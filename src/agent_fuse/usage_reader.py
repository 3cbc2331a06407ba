"""The one reader of usage: wherever and under whatever names an answer tells its tokens, as inclusive buckets.

An answer is a dict or an SDK's object. `usage_shapes` is the table of what providers send; what a row finds is made
inclusive by the same few rules (`_inclusive`), since servers that speak one protocol differ in whether the prompt holds
its cached part and the answer its reasoning.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from agent_fuse.calls import MAX_TOKENS, Usage
from agent_fuse.usage_shapes import ANTHROPIC, RESPONSES, SHAPES, Path, Shape

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
    return found if found is None else _with_fees(found, body)


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
    "web_searches",
    "file_searches",
    "containers",
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
        heard = _at(holder, ("seconds",)) if shape is RESPONSES else None  # OpenAI's transcriptions by the minute
        if isinstance(heard, int | float) and not isinstance(heard, bool) and 0 <= heard <= MAX_TOKENS:
            return Usage(input_tokens=0, output_tokens=0, seconds=math.ceil(heard))
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
        part = _read(one, ANTHROPIC) if kind in ("compaction", "advisor_message") else None
        if part is None:
            continue
        if kind == "compaction":
            usage = _sum(usage, part)
        else:
            model = _at(one, ("model",))
            parts.append((model if isinstance(model, str) else "", part))
    return replace(usage, parts=tuple(parts))


def _with_fees(usage: Usage, body: object) -> Usage:
    """Count what tools that ran at the provider did, for it is billed beside the tokens.

    Sources: Anthropic's `usage.server_tool_use`; the items of OpenAI's Responses API, `output`.
    """
    searches = count(_at(body, ("usage", "server_tool_use", "web_search_requests")))
    output = _at(body, ("output",))
    if not searches and not isinstance(output, list):
        return usage
    kinds = [(_at(item, ("type",)), item) for item in cast("list[Any]", output if isinstance(output, list) else [])]
    web = (searches or 0) + sum(kind == "web_search_call" and _searches(item) for kind, item in kinds)
    files = sum(kind == "file_search_call" for kind, _ in kinds)
    places = {str(_at(item, ("container_id",))) for kind, item in kinds if kind == "code_interpreter_call"}
    if not (web or files or places):
        return usage
    return replace(usage, web_searches=web or None, file_searches=files or None, containers=len(places) or None)


def _searches(item: object) -> bool:
    """Whether a web search item searched: opening a page and looking in it are not billed (OpenAI's pricing page)."""
    return _at(item, ("action", "type")) in (None, "search")


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
