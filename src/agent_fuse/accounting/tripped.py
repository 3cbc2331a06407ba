"""A tripped session: refusals that a retry loop swallowed, or a loop found too late, stop the session's next call."""

from copy import copy

from agent_fuse.errors import SentinelError

SOFT_IN_A_ROW = 3
"""Soft refusals in a row in one session after which the session is tripped."""

_MAX_SESSIONS = 10_000


class TrippedSessions:
    """Sessions whose next gate raises hard, and how near the others are. Dict operations are atomic; no lock."""

    def __init__(self) -> None:
        self.soft: dict[str, int] = {}
        """Soft refusals in a row, by session; the next admission of one ends its row."""
        self.sessions: dict[str, SentinelError] = {}
        """What the next gate of each raises."""

    def softened(self, session: str, trip: SentinelError) -> None:
        """A trip went out in its soft form, which a retry loop may swallow."""
        if len(self.soft) >= _MAX_SESSIONS:
            self.soft.clear()
        self.soft[session] = self.soft.get(session, 0) + 1
        if self.soft[session] >= SOFT_IN_A_ROW:
            self.blow(session, trip)

    def blow(self, session: str, trip: SentinelError) -> None:
        """The next gate of this session raises `trip`."""
        if len(self.sessions) < _MAX_SESSIONS or session in self.sessions:
            self.sessions[session] = trip

    def take(self, session: str) -> SentinelError | None:
        """The trip to raise now, once."""
        trip = copy(self.sessions.pop(session, None))
        if trip is not None:
            self.soft.pop(session, None)
            trip.__dict__["tripped"] = True
        return trip

    def admitted(self, session: str) -> None:
        """A call was let go: the row of refusals is over."""
        self.soft.pop(session, None)
