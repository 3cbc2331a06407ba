"""Tracks: sightings that are alike but for their time, in its order, so that the nearest is found without a scan."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from math import inf
from typing import Any, Generic, TypeVar

from agent_fuse.sightings.likeness import SLACK, same_time
from agent_fuse.sightings.values import Layer, Sighting

P = TypeVar("P")


class Track(Generic[P]):
    """Sightings of one layer by their start and, once they have ended, by their end."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[tuple[float, int, Sighting[P]]] = []
        self._ends: list[tuple[float, int, Sighting[P]]] = []

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, one: Sighting[P]) -> None:
        """Put it in; its times must stay as they are while it is here."""
        insort(self._starts, (one.started_at, one.number, one))
        if one.ended_at is not None:
            insort(self._ends, (one.ended_at, one.number, one))

    def remove(self, one: Sighting[P]) -> None:
        """Take it out, if it is in."""
        _remove(self._starts, one.started_at, one)
        if one.ended_at is not None:
            _remove(self._ends, one.ended_at, one)

    def nearest(self, seen: Sighting[P]) -> Sighting[P] | None:
        """The one that began nearest, whenever that was."""
        return next(self._outward(seen.started_at, -inf, inf), None)

    def fitting(self, seen: Sighting[P], layer: Layer) -> Sighting[P] | None:
        """The one that began nearest of those whose time fits; all are of this layer, and all open or all ended."""
        start, end = seen.started_at, seen.started_at if seen.ended_at is None else seen.ended_at
        if layer < seen.layer:  # it must lie within
            return self._first(seen, start - SLACK, end + SLACK)
        latest = end + SLACK if layer == seen.layer else start + SLACK
        if not self._ends:
            return self._first(seen, -inf, latest)
        # It must end after this one began, or with it. Of few that do, all are looked at; of many, one is near.
        earliest = (start if layer == seen.layer else end) - SLACK
        at = bisect_left(self._ends, (earliest,))
        if (len(self._ends) - at) ** 2 > len(self._ends):
            return self._first(seen, -inf, latest)
        late = [one for _, _, one in self._ends[at:] if same_time(seen, one)]
        return min(late, key=lambda one: abs(one.started_at - start), default=None)

    def _first(self, seen: Sighting[P], earliest: float, latest: float) -> Sighting[P] | None:
        return next((one for one in self._outward(seen.started_at, earliest, latest) if same_time(seen, one)), None)

    def _outward(self, start: float, earliest: float, latest: float) -> Iterator[Sighting[P]]:
        """Those that began between the two, the nearest to `start` first."""
        starts = self._starts
        right = bisect_left(starts, (start,))
        left = right - 1
        while True:
            before = starts[left][0] if left >= 0 else -inf
            after = starts[right][0] if right < len(starts) else inf
            before, after = before if before >= earliest else -inf, after if after <= latest else inf
            if before == -inf and after == inf:
                return
            if after - start <= start - before:
                yield starts[right][2]
                right += 1
            else:
                yield starts[left][2]
                left -= 1


def _remove(line: list[Any], at: float, one: Sighting[Any]) -> None:
    index = bisect_left(line, (at, one.number))
    if index < len(line) and line[index][2] is one:
        del line[index]
