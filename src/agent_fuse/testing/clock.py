"""A clock that stands still until it is told to move."""

import threading
from collections.abc import Callable

Clock = Callable[[], float]
"""Anything that tells the time in seconds, UTC epoch: `time.time`, or a FakeClock."""


class FakeClock:
    """A `Clock` for tests. It starts at `start` (seconds, UTC epoch) and moves only by `advance`. Safe in threads."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """The same as `now`, so that it can stand where `time.time` does."""
        return self.now()

    def now(self) -> float:
        """Seconds, UTC epoch."""
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> float:
        """Move `seconds` forward; returns the new time.

        Raises:
            ValueError: `seconds` is negative or NaN; time does not run backwards.
        """
        if not seconds >= 0:
            raise ValueError(f"advance({seconds!r}): a clock only moves forward; give 0 or more seconds")
        with self._lock:
            self._now += seconds
            return self._now

    def __repr__(self) -> str:
        return f"FakeClock({self.now()!r})"
