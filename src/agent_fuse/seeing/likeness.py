"""How well two sightings fit one call: by response id, model, usage and time (pure)."""

from typing import TypeVar

from agent_fuse.seeing.sighted import Call, Sighting

P = TypeVar("P")

_SHARED = "opentelemetry.util.genai.handler"
"""Scope of the spans of every genai-* instrumentation in their first releases."""

SLACK = 0.005
"""Seconds by which the clocks of two layers may disagree."""


def rank(seen: Sighting[P], other: Sighting[P]) -> tuple[int, float]:
    """How well two sightings fit one call: (0, _) not at all; then equal usage, then equal ids; nearer starts first."""
    nearness = -abs(seen.started_at - other.started_at)
    if seen.response_id and other.response_id:
        return (3, nearness) if seen.response_id == other.response_id else (0, 0.0)
    if not _same_model(seen.model, other.model) or not _same_time(seen, other):
        return (0, 0.0)
    if seen.usage is None or other.usage is None:
        return (1, nearness)
    same = (seen.usage.input_tokens, seen.usage.output_tokens) == (other.usage.input_tokens, other.usage.output_tokens)
    return (2, nearness) if same else (0, 0.0)


def knows(call: Call[P], source: str) -> bool:
    """Whether a source of this kind (before a colon) saw the call: it knows by itself which calls are its own."""
    kind = source.partition(":")[0]
    return any(one.source.partition(":")[0] == kind for one in call.sightings)


def told_again(call: Call[P], seen: Sighting[P]) -> bool:
    """A scope that several instrumentations share tells one call twice: the same response, within the same time."""
    return seen.source == _SHARED and any(
        one.source == _SHARED and one.response_id == seen.response_id != "" and _same_time(seen, one)
        for one in call.sightings
    )


def _same_model(one: str, other: str) -> bool:
    return not one or not other or one.startswith(other) or other.startswith(one)


def _same_time(seen: Sighting[P], other: Sighting[P]) -> bool:
    """The outer layer's time must contain the inner one's; sightings of one layer must overlap."""
    outer, inner = (seen, other) if seen.layer >= other.layer else (other, seen)
    last = seen.ended_at or seen.started_at
    outer_end, inner_end = outer.ended_at or last, inner.ended_at or last
    if outer.layer == inner.layer:
        return inner.started_at <= outer_end + SLACK and outer.started_at <= inner_end + SLACK
    return outer.started_at - SLACK <= inner.started_at and inner_end <= outer_end + SLACK
