"""What matching means, by brute force: every remembered call is looked at. `Checked` compares it with the index."""

import re
from typing import Any

from agent_fuse.sightings import Call, CallState, Layer, Sighting, Sightings

SLACK = 0.005
SHARED = "opentelemetry.util.genai.handler"
VERSION = re.compile(r"[-@:](?:v?\d[\d.:-]*[bk]?|latest|preview|exp)(?:-(?:preview|exp|\d[\d-]*))*")


def kind(source: str) -> str:
    return source.split(":", maxsplit=1)[0]


def near(some: tuple[str, ...], others: tuple[str, ...]) -> int:
    """2: a model in common; 1: one is a version of the other, or none is told; 0: two models."""
    if not some or not others:
        return 1
    if set(some) & set(others):
        return 2
    pairs = [(one, other) for one in some for other in others]
    pairs += [(other, one) for one, other in pairs]
    return int(any(long.startswith(short) and VERSION.fullmatch(long[len(short) :]) for long, short in pairs))


def in_time(seen: Sighting[Any], other: Sighting[Any]) -> bool:
    now = seen.started_at if seen.ended_at is None else seen.ended_at
    spans = [(one.started_at, now if one.ended_at is None else one.ended_at) for one in (seen, other)]
    (start, end), (other_start, other_end) = spans
    if seen.layer == other.layer:
        return other_start <= end + SLACK and start <= other_end + SLACK
    if seen.layer < other.layer:
        (start, end), (other_start, other_end) = (other_start, other_end), (start, end)
    return start - SLACK <= other_start <= end + SLACK and other_end <= end + SLACK


def fit(seen: Sighting[Any], other: Sighting[Any]) -> tuple[int, int, float]:
    """What they have in common, how near their models are, how near they began; (0, …) when they are two calls."""
    began = -abs(seen.started_at - other.started_at)
    if seen.response_id and other.response_id:
        return (4 if seen.response_id == other.response_id else 0), 0, began
    if not in_time(seen, other):
        return 0, 0, began
    names = near(seen.names, other.names)
    if seen.usage is None or other.usage is None:
        return (1 if names else 0), names, began
    figures = [(one.usage.input_tokens, one.usage.output_tokens) for one in (seen, other) if one.usage]
    if figures[0] != figures[1]:
        return 0, 0, began
    if not names:
        return (2 if seen.followed and other.layer is Layer.REQUEST else 0), 0, began
    return 3, names, began


def told_again(seen: Sighting[Any], one: Sighting[Any]) -> bool:
    """A scope that several instrumentations share told the same answer twice."""
    return seen.source == one.source == SHARED and seen.response_id == one.response_id != "" and in_time(seen, one)


def pairs(seen: Sighting[Any], call: Call[Any]) -> list[Sighting[Any]]:
    """The sightings of a call that this one is compared with; outer layers that are still open are not asked."""
    if call is seen.call or call.state is CallState.RELEASED:
        return []
    told = [one for one in call.sightings if one.ended_at is not None or one.layer <= seen.layer]
    if kind(seen.source) not in {kind(one.source) for one in call.sightings}:
        return told
    return [one for one in told if one.ended_at is not None and told_again(seen, one)]


def best_fit(seen: Sighting[Any], calls: Any) -> tuple[int, int, float]:
    """The best fit among all pairs."""
    fits = [fit(seen, other) for call in calls for other in pairs(seen, call)]
    return max((one for one in fits if one[0]), default=(0, 0, 0.0))


class Checked(Sightings[Any]):
    """Sightings that compare every match with brute force."""

    matched = 0

    def _match(self, seen: Sighting[Any]) -> Call[Any] | None:
        found = super()._match(seen)
        expected = best_fit(seen, self._calls)
        if found is None:
            assert expected[0] == 0, f"{expected} was missed"
            return None
        assert max(fit(seen, other) for other in pairs(seen, found)) == expected
        self.matched += 1
        return found

    def check(self) -> None:
        """What is indexed is what is remembered, and what is remembered is whole."""
        assert self.open_count == sum(any(one.ended_at is None for one in call.sightings) for call in self._calls)
        assert set(self.open_calls()) == {
            call for call in self._calls if any(one.ended_at is None for one in call.sightings)
        }
        shared = {number for track in self._shared.values() for number in (one[1] for one in track._starts)}
        assert shared == {
            one.number
            for call in self._calls
            if call.state is not CallState.RELEASED
            for one in call.sightings
            if one.source == SHARED and one.response_id and one.ended_at is not None
        }
        for view in self._views.kept.values():
            indexed: set[int] = set()
            for group, tracks in view._groups.items():
                for track in tracks.values():
                    assert len(track)
                    assert track._starts == sorted(track._starts)
                    assert track._ends == sorted(track._ends)
                    assert group[0] == "open" or len(track._ends) == len(track._starts)
                    indexed |= {number for _, number, _ in track._starts}
            assert indexed == {
                one.number
                for call in self._calls
                if call.state is not CallState.RELEASED
                and view.kind not in {kind(one.source) for one in call.sightings}
                for one in call.sightings
            }
