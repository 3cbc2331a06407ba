"""A tripped session: refusals that a retry loop swallowed, or a loop found too late, stop the session's next call."""

from copy import copy

from agent_fuse.errors import SentinelError

SOFT_IN_A_ROW = 3
"""Soft refusals in a row in one session after which the session is tripped."""

_MAX_SESSIONS = 10_000


class TrippedSessions:
    """Sessions whose next gate raises hard, and how near the others are. Dict operations are atomic; no lock."""

    def __init__(self) -> None:
        self._soft: dict[str, int] = {}
        self._tripped: dict[str, SentinelError] = {}

    def softened(self, session: str, trip: SentinelError) -> None:
        """A trip went out in its soft form, which a retry loop may swallow."""
        if len(self._soft) >= _MAX_SESSIONS:
            self._soft.clear()
        self._soft[session] = self._soft.get(session, 0) + 1
        if self._soft[session] >= SOFT_IN_A_ROW:
            self.blow(session, trip)

    def blow(self, session: str, trip: SentinelError) -> None:
        """The next gate of this session raises `trip`."""
        if len(self._tripped) < _MAX_SESSIONS or session in self._tripped:
            self._tripped[session] = trip

    def take(self, session: str) -> SentinelError | None:
        """The trip to raise now, once."""
        if not self._tripped:
            return None
        trip = copy(self._tripped.pop(session, None))
        if trip is not None:
            self._soft.pop(session, None)
            trip.__dict__["tripped"] = True
        return trip

    def admitted(self, session: str) -> None:
        """A call was let go: the row of refusals is over."""
        if self._soft:
            self._soft.pop(session, None)
