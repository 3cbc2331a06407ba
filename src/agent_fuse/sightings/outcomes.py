"""How a call came out, by what each of its sightings says of its end."""

from collections.abc import Iterable, Iterator
from math import inf
from typing import TypeVar

from agent_fuse.calls import Usage
from agent_fuse.sightings.values import Book, Call, CallState, Layer, Outcome, Release, Sighting

P = TypeVar("P")


def timed_out(call: Call[P]) -> bool:
    """Its request may have been charged but never answered, so the layers around it may try again."""
    for one in reversed(call.sightings):
        if one.layer is Layer.REQUEST:
            return one.outcome is Outcome.BROKEN
    return False


def outcome_of(best: Sighting[P], call: Call[P]) -> Outcome:
    """How the call came out by the layer that is believed most, unless what is inside it knows better."""
    if best.outcome is Outcome.DONE:
        return best.outcome
    inner = [one for one in call.sightings if one.layer < best.layer and one.ended_at is not None]
    if not (inner or best.followed):
        return best.outcome
    if any(one.outcome is not Outcome.FAILED for one in inner):
        return Outcome.BROKEN  # its request was served, or may have been
    return Outcome.FAILED if best.unsure else best.outcome


def told_twice(outer: Sighting[P], outside: Iterable[Sighting[P]]) -> bool:
    """A client's span right inside another of the same scope: it was instrumented twice, and both tell one call.

    Not so where the scope saw the call elsewhere than around here: then the outer span is around several calls.
    """
    if outer.layer is not Layer.CLIENT or outer.call.state is not CallState.OPEN:
        return False
    chain = {id(outer), *(id(one) for one in outside)}
    return all(id(one) in chain for one in outer.call.sightings if one.source == outer.source)


def failed(call: Call[P], source: str) -> bool:
    """All that this source saw of the call failed for nothing, so that it may see it tried again."""
    seen = (one for one in call.sightings if one.source == source)
    return all(one.ended_at is not None and one.outcome is Outcome.FAILED for one in seen)


def last_end(call: Call[P]) -> float:
    """When the last of its sightings ended; infinite while one is open."""
    last = 0.0
    for one in call.sightings:
        if one.ended_at is None:
            return inf
        last = max(last, one.ended_at)
    return last


def close_alone(
    seen: Sighting[P], outcome: Outcome, usage: Usage | None, *, now: float
) -> Iterator[Book[P] | Release[P]]:
    """What is done with a call's money when all that is known is that one layer saw it end."""
    call = seen.call
    seen.ended_at, seen.outcome = now, outcome
    if outcome is Outcome.FAILED:
        if call.state is CallState.OPEN and all(one.ended_at is not None for one in call.sightings):
            call.state = CallState.RELEASED
            yield Release(call)
    elif call.state is CallState.OPEN or (call.state is CallState.ESTIMATED and usage is not None):
        call.state = CallState.ESTIMATED if usage is None else CallState.EXACT
        yield Book(call, usage, usage is not None, seen)
