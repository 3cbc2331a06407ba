"""Which sightings are one call: framework span, client span, request and late span are joined and settled once (pure).

Layers from outside in: framework > client > request > wire. Linking, in this order: an open sighting around it; the
same response id; one-to-one matching by usage, model and time. One-to-one is what keeps the total right even when two
equal calls are matched crosswise. What may match is indexed (`views.py`): a close costs the same however many
calls are open.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from math import inf
from operator import attrgetter
from threading import get_ident
from typing import Generic, TypeVar

from agent_fuse.calls import Usage
from agent_fuse.sightings.likeness import ID, SHARED, kind_of, with_name
from agent_fuse.sightings.outcomes import failed, last_end, outcome_of, timed_out, told_twice
from agent_fuse.sightings.tracks import Track
from agent_fuse.sightings.values import Book, Call, CallState, Layer, Outcome, Release, Sighting
from agent_fuse.sightings.views import Views

P = TypeVar("P")

_TRUST = {Layer.REQUEST: 3, Layer.CLIENT: 2, Layer.FRAMEWORK: 1, Layer.WIRE: 0}
"""Whose figure is believed, when several layers told one."""

_FORGOTTEN_AT_ONCE = 4

_SOURCE = attrgetter("source")


class Sightings(Generic[P]):
    """The open calls of this process, and those that ended lately. Takes no lock: the fuse does."""

    def __init__(self, *, remember: int = 512, seconds: float = 600.0) -> None:
        self._calls: dict[Call[P], None] = {}
        """Every call that is remembered."""
        self._ended: OrderedDict[Call[P], None] = OrderedDict()
        """Those that no layer sees as open, the first to end first."""
        self._views: Views[P] = Views()
        self._shared: dict[str, Track[P]] = {}
        """Sightings of the scope that several instrumentations share, by response id."""
        self._numbers = count(1)
        self._remember = remember
        self._seconds = seconds

    def __len__(self) -> int:
        """Calls remembered, open and ended."""
        return len(self._calls)

    @property
    def open_count(self) -> int:
        """Calls that some layer still sees as open."""
        return len(self._calls) - len(self._ended)

    def open_calls(self) -> Iterator[Call[P]]:
        """They themselves."""
        return (call for call in self._calls if call not in self._ended)

    def open(
        self, payload: P, *, layer: Layer, source: str, now: float, model: str = "", around: Iterable[Sighting[P]] = ()
    ) -> Sighting[P]:
        """A layer starts to see a call. It joins the call of the nearest open sighting around it that may be the same.

        `payload` is used when this is a call of its own.
        """
        call = self._join(payload, layer, source, around)
        if call is None:
            call = Call(payload)
            self._calls[call] = None
        names = with_name((), model) if model else ()
        sighting = Sighting(call, layer, source, now, kind_of(source), next(self._numbers), model, names)
        sighting.opened_by = get_ident()
        call.sightings.append(sighting)
        if self._views.kept:
            self._views.opened(sighting)
        if self._ended:
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
        answered: str = "",
        response_id: str = "",
    ) -> list[Book[P] | Release[P]]:
        """A layer saw the call end, once. Answers what is to be done in the books.

        A second close says nothing, unless the first took the call for broken and this one knows its usage.

        Args:
            unsure: BROKEN by an error that tells nothing of a request.
            followed: every request that it makes is seen by a gate.
            model, answered: the model, and the one that answered where that is told apart.
        """
        corrects = sighting.outcome is Outcome.BROKEN and sighting.usage is None and usage is not None
        if sighting.ended_at is not None and not corrects:
            return []
        call = sighting.call
        alone = len(call.sightings) == 1
        if unsure and followed and alone:
            outcome = Outcome.FAILED
        if self._views.kept or sighting.source == SHARED:
            self._unfile((sighting,))
        sighting.ended_at, sighting.outcome = now, outcome
        sighting.unsure, sighting.followed = unsure, followed
        sighting.usage = usage if usage is not None and usage.known else None
        sighting.estimate, sighting.response_id = estimate, response_id
        sighting.model = model or sighting.model
        for name in (model, answered):
            if name:
                sighting.names = with_name(sighting.names, name)
        call.over = now if alone else last_end(call)
        decisions: list[Book[P] | Release[P]] = []
        lone = alone and call.state is CallState.OPEN and sighting.layer is not Layer.REQUEST
        twin = self._match(sighting) if lone and outcome is not Outcome.FAILED else None
        if twin is not None:
            decisions += self._absorb(twin, call)
            call = twin
        # A call that was given back and turns out to have been charged is found again, by all that saw it.
        back = call.sightings if call.state is CallState.RELEASED else (sighting,)
        decisions += self._decide(call)
        self._file(call, back, joined=twin is not None)
        return decisions

    def drop(self, sighting: Sighting[P], *, now: float) -> None:
        """The call was refused: nothing will come of it. Its sightings are closed."""
        call = sighting.call
        self._unfile(call.sightings)
        for one in call.sightings:
            if one.ended_at is None:
                one.ended_at, one.outcome = now, Outcome.FAILED
        call.state, call.over = CallState.RELEASED, now
        self._over(call)

    def mend(self) -> list[Sighting[P]]:
        """Make whole what an interruption may have left half done. Answers what this thread was opening.

        What is kept twice is made anew from what is kept once: sightings know their calls, and when they ended.
        """
        self._views, self._shared = Views(), {}
        opening: list[Sighting[P]] = []
        for call in list(self._calls):
            call.sightings = [one for one in call.sightings if one.call is call]
            call.over = last_end(call)
            self._ended.pop(call, None)
            if not call.sightings:
                del self._calls[call]
                continue
            opening += (one for one in call.sightings if one.opened_by == get_ident() and one.ended_at is None)
            if call.state is not CallState.RELEASED:
                for one in call.sightings:
                    self._share(one)
        over = [call for call in self._calls if call.over < inf]
        self._ended = OrderedDict.fromkeys(sorted(over, key=attrgetter("over")))
        return opening

    def reopen(self, sighting: Sighting[P]) -> None:
        """Take back that it ended, and what followed: it was interrupted, and is to be closed again."""
        call = sighting.call
        self._unfile(call.sightings)
        sighting.ended_at, sighting.outcome, sighting.usage = None, Outcome.DONE, None
        call.state, call.over = CallState.OPEN, inf
        self._ended.pop(call, None)

    def _join(self, payload: P, layer: Layer, source: str, around: Iterable[Sighting[P]]) -> Call[P] | None:
        outside, own = iter(around), None
        for outer in outside:
            if outer.ended_at is not None or outer.layer < layer or outer.call not in self._calls:
                continue  # over, inside rather than around, or another fuse's to book
            if outer.source == source:
                if layer is Layer.CLIENT and told_twice(outer, outside):
                    return outer.call
                own = outer
                continue
            call = outer.call
            if call.state is CallState.RELEASED or (layer is Layer.REQUEST and timed_out(call)):
                return self._renew(payload, call)
            if own is not None and own.call is call and own.number < outer.number and call.state is CallState.OPEN:
                return self._part(payload, own)
            again = layer is Layer.WIRE and failed(call, source)
            if call.state is not CallState.OPEN or (source in map(_SOURCE, call.sightings) and not again):
                return None
            return call
        return None

    def _renew(self, payload: P, old: Call[P]) -> Call[P]:
        """A request failed and the layer around it tries again: its open sightings go on with a new call."""
        self._views.leave(old.sightings)
        call = Call(payload, [one for one in old.sightings if one.ended_at is None])
        old.sightings = [one for one in old.sightings if one.ended_at is not None]
        for one in call.sightings:
            one.call = call
        self._calls[call] = None
        old.over = last_end(old)
        self._over(old)
        self._views.enter((*old.sightings, *call.sightings))
        return call

    def _part(self, payload: P, around: Sighting[P]) -> Call[P]:
        """A span around a call was taken for the call (a retry that is named as its model): it is told from it.

        What began inside it, and the money that was held for that, is the call of what is inside.
        """
        old = around.call
        self._views.leave(old.sightings)
        call = Call(old.payload, [one for one in old.sightings if one.number > around.number])
        self._calls[call] = None
        for one in call.sightings:
            one.call = call
        old.sightings = [one for one in old.sightings if one.call is old]
        old.payload = payload
        self._views.enter((*old.sightings, *call.sightings))
        return call

    def _match(self, seen: Sighting[P]) -> Call[P] | None:
        """The one call that this lone sighting is most likely another view of."""
        best, other = self._views.of(seen.kind, self._calls).best(seen)
        track = self._shared.get(seen.response_id) if seen.source == SHARED else None
        again = track.fitting(seen, seen.layer) if track is not None else None
        if again is not None and (ID, 0, -abs(seen.started_at - again.started_at)) > best:
            other = again
        return other.call if other is not None and other.call is not seen.call else None

    def _file(self, call: Call[P], sightings: Sequence[Sighting[P]], *, joined: bool) -> None:
        """Sightings ended: keep them where others are found that may match."""
        if call not in self._calls:
            return  # forgotten, or never known
        if call.state is CallState.RELEASED:
            self._unfile(call.sightings)
        else:
            if joined:
                self._views.opened(sightings[0])
            elif self._views.kept:
                self._views.enter(sightings)
            for one in sightings:
                if one.source == SHARED:
                    self._share(one)
        if call.over < inf:
            self._over(call)

    def _share(self, one: Sighting[P]) -> None:
        if one.source == SHARED and one.response_id and one.ended_at is not None:
            self._shared.setdefault(one.response_id, Track()).add(one)

    def _unfile(self, sightings: Sequence[Sighting[P]]) -> None:
        """Sightings are about to change, or to go: nothing finds them any more."""
        if self._views.kept:
            self._views.leave(sightings)
        for one in sightings:
            track = self._shared.get(one.response_id) if one.source == SHARED else None
            if track is not None:
                track.remove(one)
                if not len(track):
                    del self._shared[one.response_id]

    def _over(self, call: Call[P]) -> None:
        """No layer sees it as open any more."""
        if call in self._calls:
            self._ended[call] = None
            self._ended.move_to_end(call)

    def _absorb(self, twin: Call[P], call: Call[P]) -> list[Book[P] | Release[P]]:
        for one in call.sightings:
            one.call = twin
        twin.sightings += call.sightings
        twin.over = last_end(twin)
        call.sightings = []
        self._calls.pop(call, None)
        self._ended.pop(call, None)
        if call.state is not CallState.OPEN:
            return []
        call.state = CallState.RELEASED
        return [Release(call)]

    def _decide(self, call: Call[P]) -> list[Book[P] | Release[P]]:
        waiting, best, told = -1, None, None
        for one in call.sightings:
            trust = _TRUST[one.layer]
            if one.ended_at is None:
                waiting = max(waiting, trust)
                continue
            if best is None or trust > _TRUST[best.layer]:
                best = one
            if one.usage is not None and (told is None or trust > _TRUST[told.layer]):
                told = one
        if told is not None:
            if waiting > _TRUST[told.layer] or call.state is CallState.EXACT:
                return []
            call.state = CallState.EXACT
            return [Book(call, told.usage, exact=True, seen=told)]
        if best is None or waiting > _TRUST[best.layer] or call.state is not CallState.OPEN:
            return []
        if outcome_of(best, call) is Outcome.FAILED:
            call.state = CallState.RELEASED
            return [Release(call)]
        call.state = CallState.ESTIMATED
        return [Book(call, best.estimate, exact=False, seen=best)]

    def _forget(self, now: float) -> None:
        """Drop the calls that ended first, beyond what is to be remembered; open ones stay.

        As many more are kept as were open before: each of those may be another view of one that ended.
        """
        for _ in range(_FORGOTTEN_AT_ONCE):
            oldest = next(iter(self._ended), None)
            still_open = len(self._calls) - len(self._ended)
            many = len(self._ended) > self._remember + still_open - 1
            if oldest is None or not (many or now - oldest.over > self._seconds):
                return
            del self._ended[oldest], self._calls[oldest]
            self._unfile(oldest.sightings)


def lone(payload: P, *, layer: Layer, source: str, now: float, model: str = "") -> Sighting[P]:
    """A sighting of a call of its own that no other can join: taking part would need a lock that may be taken."""
    names = with_name((), model) if model else ()
    sighting = Sighting(Call(payload), layer, source, now, kind_of(source), 0, model, names)
    sighting.call.sightings.append(sighting)
    return sighting
