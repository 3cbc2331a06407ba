"""Views: the calls that one kind of source has not seen, indexed by what one of its sightings may have in common."""

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from agent_fuse.sightings.likeness import ID, NO_FIT, REQUEST_OF, Figures, Fit, Names, knows, likeness, usage_of
from agent_fuse.sightings.tracks import Track
from agent_fuse.sightings.values import Call, CallState, Layer, Sighting

P = TypeVar("P")

_OPEN, _ENDED, _UNTOLD, _ID = "open", "ended", "untold", "id"

MAX_VIEWS = 8
"""Kinds of sources whose views are kept; that of another is made anew when it is asked for."""

Group = dict[tuple[Layer, Names], Track[P]]


class View(Generic[P]):
    """What one kind of source may match: sightings of calls that it has not seen itself."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._groups: dict[Hashable, Group[P]] = {}

    def may_match(self, call: Call[P]) -> bool:
        """Whether a lone sighting of this kind may be another view of the call."""
        return call.state is not CallState.RELEASED and not knows(call, self.kind)

    def add(self, one: Sighting[P]) -> None:
        """Put a sighting in, as it stands."""
        for group in self._groups_of(one):
            tracks = self._groups.setdefault(group, {})
            key = (one.layer, one.names)
            if key not in tracks:
                tracks[key] = Track()
            tracks[key].add(one)

    def remove(self, one: Sighting[P]) -> None:
        """Take a sighting out, before anything of it changes; nothing happens when it is not in."""
        for group in self._groups_of(one) if self._groups else ():
            tracks = self._groups.get(group)
            track = tracks.get((one.layer, one.names)) if tracks is not None else None
            if tracks is None or track is None:
                continue
            track.remove(one)
            if not len(track):
                del tracks[one.layer, one.names]
                if not tracks:
                    del self._groups[group]

    def best(self, seen: Sighting[P]) -> tuple[Fit, Sighting[P] | None]:
        """The sighting that fits best.

        An outer layer that is still open is not asked: it knows its usage when it ends, and matches then.
        """
        best: tuple[Fit, Sighting[P] | None] = (NO_FIT, None)
        if not self._groups:
            return best
        if seen.response_id:
            for track in self._groups.get((_ID, seen.response_id), {}).values():
                other = track.nearest(seen)
                if other is not None:
                    best = max(best, ((ID, 0, -abs(seen.started_at - other.started_at)), other), key=_fit)
            if best[1] is not None:
                return best
        usage = usage_of(seen)
        if usage is not None:
            best = self._best(best, seen, (_ENDED, usage), usage)
            if best[0][0] >= REQUEST_OF:
                return best
        for group in (_UNTOLD,) if usage is not None else (_UNTOLD, _ENDED):
            best = self._best(best, seen, (group, None), None)
        return self._best(best, seen, (_OPEN, None), None)

    def _best(
        self,
        best: tuple[Fit, Sighting[P] | None],
        seen: Sighting[P],
        group: tuple[str, Figures],
        usage: Figures,
    ) -> tuple[Fit, Sighting[P] | None]:
        word, told = group
        for with_id in (False,) if seen.response_id else (False, True):  # another id is another call
            for (layer, names), track in self._groups.get((word, told, with_id), {}).items():
                if word == _OPEN and layer > seen.layer:
                    continue
                level, near = likeness(seen, layer, names, usage)
                if not level or (level, near) < best[0][:2]:
                    continue
                other = track.fitting(seen, layer)
                if other is not None:
                    best = max(best, ((level, near, -abs(seen.started_at - other.started_at)), other), key=_fit)
        return best

    @staticmethod
    def _groups_of(one: Sighting[P]) -> list[Hashable]:
        if one.ended_at is None:
            return [(_OPEN, None, False)]
        usage, with_id = usage_of(one), bool(one.response_id)
        found: list[Hashable] = [(_ID, one.response_id)] if with_id else []
        if usage is None:
            return [*found, (_UNTOLD, None, with_id)]
        return [*found, (_ENDED, usage, with_id), (_ENDED, None, with_id)]


class Views(Generic[P]):
    """The views of the kinds that matched something lately."""

    def __init__(self) -> None:
        self.kept: OrderedDict[str, View[P]] = OrderedDict()

    def of(self, kind: str, calls: Iterable[Call[P]]) -> View[P]:
        """The view of a kind; made of `calls`, all that are remembered, where there is none."""
        view = self.kept.get(kind)
        if view is not None:
            self.kept.move_to_end(kind)
            return view
        view = self.kept[kind] = View(kind)
        for call in calls:
            if view.may_match(call):
                for one in call.sightings:
                    view.add(one)
        if len(self.kept) > MAX_VIEWS:
            self.kept.popitem(last=False)
        return view

    def opened(self, one: Sighting[P]) -> None:
        """A sighting came to a call."""
        for view in self.kept.values():
            if view.kind == one.kind:
                for other in one.call.sightings:  # its kind has seen the call now
                    view.remove(other)
            elif view.may_match(one.call):
                view.add(one)

    def leave(self, sightings: Iterable[Sighting[P]]) -> None:
        """Take sightings out, before anything of them or their calls changes."""
        for view in self.kept.values():
            for one in sightings:
                view.remove(one)

    def enter(self, sightings: Iterable[Sighting[P]]) -> None:
        """Put sightings in, as they and their calls stand now."""
        for view in self.kept.values():
            for one in sightings:
                if view.may_match(one.call):
                    view.add(one)


def _fit(found: tuple[Fit, Sighting[P] | None]) -> Fit:
    return found[0]
