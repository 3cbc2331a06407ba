"""Which sightings are one call: framework span, client span, request and late span are joined and settled once (pure).

Layers from outside in: framework > client > request > wire. Linking, in this order: an open sighting around it; the
same response id; one-to-one matching by model, usage and time. One-to-one is what keeps the total right even when two
equal calls are matched crosswise.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import Generic, TypeVar

from agent_fuse.calls import Usage
from agent_fuse.seeing.likeness import SLACK, knows, rank, told_again
from agent_fuse.seeing.sighted import Book, Call, Layer, Outcome, Release, Sighting, State

__all__ = ["Book", "Call", "Layer", "Outcome", "Release", "Sighting", "Sightings", "State"]

P = TypeVar("P")

_TRUST = {Layer.REQUEST: 3, Layer.CLIENT: 2, Layer.FRAMEWORK: 1, Layer.WIRE: 0}
"""Whose figure is believed, when several layers told one."""


class Sightings(Generic[P]):
    """The open calls of this process, and those that ended lately. Takes no lock: the fuse does."""

    def __init__(self, *, remember: int = 512, seconds: float = 600.0) -> None:
        self._calls: OrderedDict[int, Call[P]] = OrderedDict()
        self._answers: dict[str, Call[P]] = {}
        """Calls by response id."""
        self._remember = remember
        self._seconds = seconds

    def __len__(self) -> int:
        """Calls remembered, open and ended."""
        return len(self._calls)

    def open(
        self, payload: P, *, layer: Layer, source: str, now: float, model: str = "", around: Iterable[Sighting[P]] = ()
    ) -> Sighting[P]:
        """A layer starts to see a call. It joins the call of the nearest open sighting around it that may be the same.

        `payload` is used when this is a call of its own.
        """
        call = self._join(payload, layer, source, around)
        if call is None:
            call = Call(payload)
            self._calls[id(call)] = call
        sighting = Sighting(call, layer, source, now, model)
        call.sightings.append(sighting)
        call.over = inf
        self._forget(now)
        return sighting

    def close(
        self,
        sighting: Sighting[P],
        *,
        now: float,
        outcome: Outcome = Outcome.DONE,
        unsure: bool = False,
        followed: bool = False,
        usage: Usage | None = None,
        estimate: Usage | None = None,
        model: str = "",
        response_id: str = "",
    ) -> list[Book[P] | Release[P]]:
        """A layer saw the call end, once. Answers what is to be done in the books.

        A second close says nothing, unless the first took the call for broken and this one knows its usage.
        """
        corrects = sighting.outcome is Outcome.BROKEN and sighting.usage is None and usage is not None
        if sighting.ended_at is not None and not corrects:
            return []
        if unsure and followed and len(sighting.call.sightings) == 1:
            outcome = Outcome.FAILED
        sighting.ended_at, sighting.outcome = now, outcome
        sighting.unsure, sighting.followed = unsure, followed
        sighting.usage = usage if usage is not None and usage.known else None
        sighting.estimate, sighting.response_id = estimate, response_id
        sighting.model = model or sighting.model
        decisions: list[Book[P] | Release[P]] = []
        call = sighting.call
        call.over = _last_end(call)
        if (
            call.state is State.OPEN
            and len(call.sightings) == 1
            and outcome is not Outcome.FAILED
            and sighting.layer is not Layer.REQUEST
        ):
            twin = self._match(sighting)
            if twin is not None:
                decisions += self._absorb(twin, call)
                call = twin
        if response_id:
            self._answers[response_id] = call
        return decisions + self._decide(call)

    def drop(self, sighting: Sighting[P], *, now: float) -> None:
        """The call was refused: nothing will come of it. Its sightings are closed."""
        for one in sighting.call.sightings:
            if one.ended_at is None:
                one.ended_at, one.outcome = now, Outcome.FAILED
        sighting.call.state, sighting.call.over = State.RELEASED, now

    def open_calls(self) -> Iterator[Call[P]]:
        """Calls that some layer still sees as open."""
        return (call for call in self._calls.values() if any(one.ended_at is None for one in call.sightings))

    def _join(self, payload: P, layer: Layer, source: str, around: Iterable[Sighting[P]]) -> Call[P] | None:
        outside = iter(around)
        for outer in outside:
            if outer.ended_at is not None or outer.layer < layer:
                continue
            if outer.source == source:
                if layer is Layer.CLIENT and _told_twice(outer, outside):
                    return outer.call
                continue
            call = outer.call
            if call.state is State.RELEASED or (layer is Layer.REQUEST and _timed_out(call)):
                return self._renew(payload, call)
            again = layer is Layer.WIRE and _failed(call, source)
            if call.state is not State.OPEN or (call.has(source) and not again):
                return None
            return call
        return None

    def _renew(self, payload: P, old: Call[P]) -> Call[P]:
        """A request failed and the layer around it tries again: its open sightings go on with a new call."""
        call = Call(payload, [one for one in old.sightings if one.ended_at is None])
        old.sightings = [one for one in old.sightings if one.ended_at is not None]
        for one in call.sightings:
            one.call = call
        self._calls[id(call)] = call
        return call

    def _match(self, seen: Sighting[P]) -> Call[P] | None:
        """The one call that this lone sighting is most likely another view of.

        An outer layer that is still open is not asked: it knows its usage when it ends, and matches then. Among equals
        the one that started first: outer layers that end later may not have begun by then.
        """
        best: Call[P] | None = None
        best_rank: tuple[int, float] = (0, 0.0)
        answered, since = self._answers.get(seen.response_id), seen.started_at - SLACK
        for call in reversed(self._calls.values()):
            if call.over < since and call is not answered:
                continue  # it was over before this one began
            if call is seen.call or call.state is State.RELEASED:
                continue
            if knows(call, seen.source) and not told_again(call, seen):
                continue
            others = (one for one in call.sightings if one.ended_at is not None or one.layer <= seen.layer)
            fit = max((rank(seen, other) for other in others), default=(0, 0.0))
            if fit > best_rank:
                best, best_rank = call, fit
        return best

    def _absorb(self, twin: Call[P], call: Call[P]) -> list[Book[P] | Release[P]]:
        for one in call.sightings:
            one.call = twin
        twin.sightings += call.sightings
        twin.over = _last_end(twin)
        call.sightings = []
        self._calls.pop(id(call), None)
        if call.state is not State.OPEN:
            return []
        call.state = State.RELEASED
        return [Release(call)]

    def _decide(self, call: Call[P]) -> list[Book[P] | Release[P]]:
        ended = [one for one in call.sightings if one.ended_at is not None]
        waiting = max((_TRUST[one.layer] for one in call.sightings if one.ended_at is None), default=-1)
        told = max((one for one in ended if one.usage is not None), key=lambda one: _TRUST[one.layer], default=None)
        if told is not None:
            if waiting > _TRUST[told.layer] or call.state is State.EXACT:
                return []
            call.state = State.EXACT
            return [Book(call, told.usage, exact=True, seen=told)]
        best = max(ended, key=lambda one: _TRUST[one.layer])
        if waiting > _TRUST[best.layer] or call.state is not State.OPEN:
            return []
        if _outcome(best, ended) is Outcome.FAILED:
            call.state = State.RELEASED
            return [Release(call)]
        call.state = State.ESTIMATED
        return [Book(call, best.estimate, exact=False, seen=best)]

    def _forget(self, now: float) -> None:
        """Drop the oldest calls that every layer has ended, beyond what is to be remembered; open ones stay."""
        for _ in range(2):
            if len(self._calls) <= 1:
                return
            key, call = next(iter(self._calls.items()))
            if any(one.ended_at is None for one in call.sightings):
                self._calls.move_to_end(key)
            elif len(self._calls) > self._remember or now - _last_end(call) > self._seconds:
                del self._calls[key]
                for one in call.sightings:
                    self._answers.pop(one.response_id, None)
            else:
                return


def lone(payload: P, *, layer: Layer, source: str, now: float, model: str = "") -> Sighting[P]:
    """A sighting of a call of its own that no other can join: taking part would need a lock that may be taken."""
    sighting = Sighting(Call(payload), layer, source, now, model)
    sighting.call.sightings.append(sighting)
    return sighting


def _timed_out(call: Call[P]) -> bool:
    """Its request may have been charged but never answered, so the layers around it may try again."""
    requests = [one for one in call.sightings if one.layer is Layer.REQUEST]
    return bool(requests) and requests[-1].outcome is Outcome.BROKEN and requests[-1].ended_at is not None


def _outcome(best: Sighting[P], ended: Sequence[Sighting[P]]) -> Outcome:
    """How the call came out by the layer that is believed most, unless what is inside it knows better."""
    inner = [one for one in ended if one.layer < best.layer]
    if best.outcome is Outcome.DONE or not (inner or best.followed):
        return best.outcome
    if any(one.outcome is not Outcome.FAILED for one in inner):
        return Outcome.BROKEN  # its request was served, or may have been
    return Outcome.FAILED if best.unsure else best.outcome


def _told_twice(outer: Sighting[P], outside: Iterable[Sighting[P]]) -> bool:
    """A client's span right inside another of the same scope: it was instrumented twice, and both tell one call.

    Not so where the scope saw the call elsewhere than around here: then the outer span is around several calls.
    """
    if outer.layer is not Layer.CLIENT or outer.call.state is not State.OPEN:
        return False
    chain = {id(outer), *(id(one) for one in outside)}
    return all(id(one) in chain for one in outer.call.sightings if one.source == outer.source)


def _failed(call: Call[P], source: str) -> bool:
    """All that this source saw of the call failed for nothing, so that it may see it tried again."""
    seen = (one for one in call.sightings if one.source == source)
    return all(one.ended_at is not None and one.outcome is Outcome.FAILED for one in seen)


def _last_end(call: Call[P]) -> float:
    return max((inf if one.ended_at is None else one.ended_at for one in call.sightings), default=0.0)
