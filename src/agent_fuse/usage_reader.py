"""The one reader of usage: wherever and under whatever names an answer tells its tokens, as inclusive buckets.

An answer is a dict or an SDK's object. `usage_shapes` is the table of what providers send, `usage_plans` finds in it
what an answer tells; that is made inclusive by the same few rules (`_inclusive`), since servers that speak one protocol
differ in whether the prompt holds its cached part and the answer its reasoning.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, cast

from agent_fuse.calls import FIGURES, MAX_TOKENS, Usage, count, fields_of, usage_of
from agent_fuse.usage_plans import Figures, Layout, Node, Plan
from agent_fuse.usage_shapes import ANTHROPIC, SHAPES, Shape


def layouts(shapes: Iterable[Shape]) -> tuple[Layout, ...]:
    """The table, made ready to be read by: neighbours below one root are laid out at once."""
    return tuple(Layout(*below) for _, below in groupby(shapes, key=lambda shape: shape.root))


_LAYOUTS = layouts(SHAPES)
_PART = Layout(replace(ANTHROPIC, needs=(), searches=(), parts=()))
"""One of Anthropic's `iterations`."""

_ELSEWHERE = ("x_groq", "choices", "meta", "result")
"""Where the `usage` of a chat answer stands when it is not at the top: Groq's streams; Moonshot's, in the last choice;
gateways that hand Cohere's `meta` on; Cloudflare's."""


def read_usage(body: object, field: Callable[[str], Any] | None = None) -> Usage | None:
    """The usage that an answer tells, in inclusive buckets; None where it tells none. May raise on a hostile object.

    `field` looks up what it holds (`fields_of`), where that is at hand.
    """
    field = field or fields_of(body)
    found = _by_shapes(body, field)
    if found is None:
        for name in _ELSEWHERE:
            inner = field(name)
            holders = reversed(cast("Sequence[Any]", inner)) if isinstance(inner, list | tuple) else (inner,)
            each = ((usage, told) for one in holders if (usage := _by_shapes(one, told := fields_of(one))) is not None)
            found, field = next(each, (None, field))
            if found is not None:
                break
    if found is None:
        return None
    if found.output_tokens in (0, 1) and _is_declined(field):
        return _NOTHING
    if isinstance(field("output"), list) or field("usage_breakdown") is not None:
        from agent_fuse.usage_tools import with_tools  # noqa: PLC0415 - chats have none

        return with_tools(found, field, read_usage)
    return found


def _is_declined(field: Callable[[str], Any]) -> bool:
    """Whether a Claude model refused before it wrote anything, which costs nothing; in a stream the last event says so.

    Its one token of output, where it tells one, is no text (Amazon Bedrock's page on fallback credit shows such).
    Source: Anthropic's page on refusals ("You are not billed for a request refused before any output is generated").
    """
    reason = field("stop_reason") or fields_of(field("delta"))("stop_reason")
    return reason == "refusal" and not field("content")


def later(known: Usage | None, new: Usage) -> Usage:
    """What a stream has told, with one more telling, figures being cumulative: no figure goes down again.

    Those of another model that took over do not go on from the first one's, and what was declined costs nothing.
    """
    if known is None or new is _NOTHING:
        return new
    return replace(
        new,
        **{
            name: before
            for name in _COUNTS
            if (before := getattr(known, name)) is not None
            and ((now := getattr(new, name)) is None or (now < before and not new.served_by))
        },
        parts=new.parts or known.parts,
        served_by=new.served_by or known.served_by,
    )


_COUNTS = tuple(name for name in FIGURES if name not in {"characters", "seconds", "told_cost"})
_TOKENS = tuple(name for name in _COUNTS if name.endswith("_tokens"))


def _by_shapes(body: object, field: Callable[[str], Any]) -> Usage | None:
    for layout in _LAYOUTS:
        holder = field(layout.root) if layout.root else body
        if holder is None:
            continue
        figures: Figures = {}
        _lay(holder, layout.names, figures)
        plan = layout.plans.get(tuple(figures)) or layout.plan(figures)
        if plan is not None:
            usage = _read(figures, plan)
            return _with_parts(usage, fields_of(holder)("iterations")) if plan.parts else usage
    return None


def _lay(holder: object, names: dict[str, Node], found: Figures) -> None:
    """Put every figure of an answer, or of a part of it, that stands under one of these names into `found`."""
    kind = type(holder)
    if kind is dict:
        told = cast("dict[str, Any]", holder)
    elif hasattr(kind, "__pydantic_fields__") and not cast("Any", holder).__pydantic_extra__:
        told = holder.__dict__
    else:
        told = dict(zip(names, map(fields_of(holder), names), strict=True))
    for name, value in told.items():
        if value is None or (node := names.get(name)) is None:
            continue
        if type(value) is int and 0 <= value <= MAX_TOKENS:
            found[node.path] = value
            continue
        figure = _figure(value, node) if node.figure else None
        if figure is not None:
            found[node.path] = figure
        elif node.sign:
            found[node.sign] = 0
        if node.inner is not None:
            listed = isinstance(value, list | tuple)
            _lay(_by_label(cast("Sequence[Any]", value), node.inner) if listed else value, node.inner, found)


_LABELS = {"VIDEO": "IMAGE", "DOCUMENT": "IMAGE"}
"""What Google bills as images (genai-prices' prices of its models, 2026-11)."""


def _by_label(told: "Sequence[Any]", names: Iterable[str]) -> dict[str, int]:
    """The figures of a list by their labels; one that is not told is none where another is."""
    sums = dict.fromkeys(names, 0) if told else {}
    for field in map(fields_of, told):
        label = next((one for name in _LABEL if isinstance(one := field(name), str)), "")
        figure = next((one for name in _FIGURES if (one := count(field(name))) is not None), 0)
        if (name := label if label in sums else _LABELS.get(label.upper(), label.upper())) in sums:
            sums[name] += figure
    return sums


_LABEL = ("modality", "ttl", "type")
_FIGURES = ("tokenCount", "token_count", "inputTokens", "tokens", "count")


def _figure(value: object, node: Node) -> int | None:
    if node.rounded and isinstance(value, float) and 0 <= value <= MAX_TOKENS:
        return math.ceil(value)
    return count(value)


def _read(figures: Figures, plan: Plan) -> Usage:
    told = figures.get
    given, made = told(plan.input), told(plan.output)
    if given is None and made is None:
        alone = {"seconds": told(plan.seconds), "pages": told(plan.pages), "web_searches": told(plan.searches) or None}
        return usage_of({"input_tokens": 0, "output_tokens": 0, **alone})
    if plan.beside_input and given is not None:
        given += figures[plan.beside_input]
    if plan.beside_output and made is not None:
        made += figures[plan.beside_output]
    written = told(plan.written, 0) or sum(map(figures.__getitem__, plan.written_parts))
    given, made = _inclusive(
        given,
        made,
        total=None if plan.seconds and given is not None and made is not None else told(plan.total),
        cached=told(plan.read, 0) + written,
        reasoning=told(plan.reasoning),
        outside=plan.cached_outside,
    )
    buckets: dict[str, int | None] = {"input_tokens": given, "output_tokens": made}
    for bucket, path in plan.direct:
        buckets[bucket] = figures[path]
    if written:
        buckets["cache_write_tokens"] = written
    if plan.searches:
        buckets["web_searches"] = figures[plan.searches] or None
    if plan.seconds:
        buckets["seconds"] = figures[plan.seconds]
    return usage_of(buckets)


def _inclusive(
    given: int | None, made: int | None, *, total: int | None, cached: int, reasoning: int | None, outside: bool
) -> tuple[int | None, int | None]:
    """Input with its cached part, output with its reasoning, by what the figures themselves say.

    Where cached tokens are more than the input they are outside it; where a total says more than its parts the rest is
    cached input left out, if it is just as much (and reasoning is not), else output that is not shown (reasoning).
    """
    if given is not None and (outside or cached > given):
        given += cached
    if made is not None and reasoning is not None and reasoning > made:
        made += reasoning
    if total is None:
        return given, made
    if given is None:
        return max(total - (made or 0), cached), made
    if made is None:
        return given, max(total - given, reasoning or 0)
    rest = total - given - made
    if rest <= 0:
        return given, made
    return (given + rest, made) if rest == cached != reasoning else (given, made + rest)


def _with_parts(usage: Usage, iterations: object) -> Usage:
    """Add what the top level of Anthropic's usage leaves out: compactions, and advice of another model.

    Where one model declined and another served (`fallbacks`), it is the attempts that are billed, each at its model's
    rates, save those declined before they wrote anything.

    Sources: the anthropic SDK's BetaUsage.iterations; Anthropic's pages on the advisor tool (billed at its own rates)
    and on refusals ("You are not billed for a request refused before any output is generated"), 2026-06.
    """
    listed: list[tuple[object, str, Usage]] = []
    for one in cast("Sequence[object]", iterations) if isinstance(iterations, list | tuple) else ():
        field, figures = fields_of(one), Figures()
        kind, model = field("type"), field("model")
        if kind in _KINDS:
            _lay(one, _PART.names, figures)
        if (plan := _PART.plan(figures)) is not None:
            listed.append((kind, model if isinstance(model, str) else "", _read(figures, plan)))
    served_by = next((model for kind, model, _ in listed if kind == _SERVED), None)
    if served_by is not None:
        usage = replace(usage, **cast("dict[str, Any]", dict.fromkeys(_TOKENS)))
    parts = list(usage.parts)
    for kind, model, used in listed:
        if kind == "advisor_message" or (served_by and kind == "message" and model not in ("", served_by)):
            declined = kind == "message" and not used.output_tokens
            parts.append((model, _NOTHING if declined else used))
        elif kind == "compaction" or served_by is not None:
            usage = together(usage, used)
    return replace(usage, parts=tuple(parts), served_by=served_by or "")


_SERVED = "fallback_message"
_KINDS = frozenset({"compaction", "advisor_message", "message", _SERVED})
_NOTHING = Usage(input_tokens=0, output_tokens=0)


def together(one: Usage, other: Usage) -> Usage:
    """What two answers of one model used, figure by figure."""

    def both(name: str) -> int | None:
        first, second = getattr(one, name), getattr(other, name)
        return None if first is None and second is None else (first or 0) + (second or 0)

    summed: Any = {name: both(name) for name in _COUNTS}
    return replace(one, **summed)
