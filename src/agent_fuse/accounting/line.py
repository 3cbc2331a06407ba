"""The line: calls of one process that wait for open ones to end go in the order in which they came."""

import threading
import time
from collections.abc import Callable, Iterable

GONE_SECONDS = 2.0
"""Whoever has not asked again for so long waits no more: it was cancelled, or interrupted."""


class Line:
    """Who waits for room on which accounts, the first come first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.places: dict[object, tuple[frozenset[str], float]] = {}
        """By who waits: for what, and when it asked last (seconds of `clock`)."""
        self._clock = clock
        self._lock = threading.Lock()

    def stand(self, who: object, accounts: Iterable[str]) -> None:
        """Wait for room there, or still; whoever came keeps its place."""
        with self._lock:
            before = self.places.get(who, (frozenset[str](), 0.0))[0]
            self.places[who] = before.union(accounts), self._clock()

    def leave(self, who: object) -> None:
        """It has what it waited for, or gave up."""
        with self._lock:
            self.places.pop(who, None)

    def ahead(self, who: object, accounts: Iterable[str]) -> frozenset[str]:
        """On which of these accounts others wait who came first."""
        found, mine = frozenset[str](), frozenset(accounts)
        with self._lock:
            for one in [one for one, (_, asked) in self.places.items() if self._clock() - asked > GONE_SECONDS]:
                del self.places[one]
            for one, (theirs, _) in self.places.items():
                if one is who:
                    break
                found |= theirs & mine
        return found
