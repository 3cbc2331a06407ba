"""How well two sightings fit one call: by response id, usage, model and time (pure)."""

import re
from functools import lru_cache
from operator import attrgetter
from typing import TypeVar

from agent_fuse.quoting.names import bare
from agent_fuse.sightings.values import Call, Layer, Sighting

P = TypeVar("P")

_VERSION = re.compile(r"[-@:](?:v?\d[\d.:-]*[bk]?|latest|preview|exp)(?:-(?:preview|exp|\d[\d-]*))*")

_LONGEST_NAME = 200

SHARED = "opentelemetry.util.genai.handler"
"""Scope of the spans of every genai-* instrumentation in their first releases."""

SLACK = 0.005
"""Seconds by which the clocks of two layers may disagree."""

Fit = tuple[int, int, float]
"""What they share (`ID` at best), how near their models are, and how near they began; the greatest fits best."""

ID, USAGE, REQUEST_OF, TIME, NONE = 4, 3, 2, 1, 0
"""The response id; usage and model; usage alone, where a request is sure to be there; model, where usage is unknown."""

_KIND = attrgetter("kind")

NO_FIT: Fit = (NONE, 0, 0.0)

Names = tuple[str, ...]
"""The models that a layer tells: that was asked for, and that answered."""

Figures = tuple[int | None, int | None] | None
"""Input and output tokens; None where no usage was told."""


def likeness(seen: Sighting[P], layer: Layer, names: Names, usage: Figures) -> tuple[int, int]:
    """What a sighting shares with others of this layer that tell these models and this usage, but for id and time."""
    near, mine = nearness(seen.names, names), usage_of(seen)
    if mine is None or usage is None:
        return (TIME, near) if near else (NONE, 0)
    if mine != usage:
        return NONE, 0
    if near:
        return USAGE, near
    # Asked by an alias, answered by a snapshot: a call whose requests are all seen is one of those with its usage.
    return (REQUEST_OF, 0) if seen.followed and layer is Layer.REQUEST else (NONE, 0)


def usage_of(seen: Sighting[P]) -> Figures:
    """Its input and output tokens; None where it tells no usage."""
    return None if seen.usage is None else (seen.usage.input_tokens, seen.usage.output_tokens)


@lru_cache(4096)
def with_name(names: Names, model: str) -> Names:
    """The models that a layer tells, and this one."""
    name = bare(model[:_LONGEST_NAME])
    return names if not name or name in names else (*names, name)


@lru_cache(4096)
def nearness(some: Names, others: Names) -> int:
    """How near the models of two layers are: 2 the same, 1 one is a version of the other, or is not told; 0 neither."""
    if not some or not others:
        return 1
    if not set(some).isdisjoint(others):
        return 2
    return int(any(_is_version(one, other) or _is_version(other, one) for one in some for other in others))


def _is_version(name: str, of: str) -> bool:
    """Whether a model is a snapshot of another: `gpt-4o-2024-08-06` is one of `gpt-4o`, `gpt-4o-mini` is none."""
    return name.startswith(of) and _VERSION.fullmatch(name, len(of)) is not None


@lru_cache(4096)
def kind_of(source: str) -> str:
    """What stands before a colon in the name of a source: it knows by itself which calls are its own."""
    return source.partition(":")[0]


def knows(call: Call[P], kind: str) -> bool:
    """Whether a source of this kind saw the call."""
    return kind in map(_KIND, call.sightings)


def same_time(seen: Sighting[P], other: Sighting[P]) -> bool:
    """The outer layer's time must contain the inner one's; sightings of one layer must overlap."""
    outer, inner = (seen, other) if seen.layer >= other.layer else (other, seen)
    last = seen.started_at if seen.ended_at is None else seen.ended_at
    outer_end = last if outer.ended_at is None else outer.ended_at
    inner_end = last if inner.ended_at is None else inner.ended_at
    if inner.started_at > outer_end + SLACK:
        return False
    if outer.layer == inner.layer:
        return outer.started_at <= inner_end + SLACK
    return outer.started_at - SLACK <= inner.started_at and inner_end <= outer_end + SLACK
