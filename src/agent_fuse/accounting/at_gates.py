"""What the tool gate judged and no conversation told of yet: there each call is told of once more."""

from collections import deque
from typing import Generic, TypeVar

from agent_fuse.quoting.recent import Recent

T = TypeVar("T")

_REMEMBERED = 2_048
"""Tools of sessions; the one whose gate was passed longest ago is forgotten first."""
_MOST = 64
"""Actions of one tool in one session; the oldest is dropped first."""


class AtGates(Generic[T]):
    """Actions in order, by session and tool."""

    def __init__(self) -> None:
        self._waiting: Recent[tuple[str, str], deque[T]] = Recent(_REMEMBERED)

    def put(self, session: str, tool: str, action: T) -> None:
        """The gate judged it."""
        waiting = self._waiting.get((session, tool))
        if waiting is None:
            waiting = deque[T](maxlen=_MOST)
        waiting.append(action)
        self._waiting.put((session, tool), waiting)

    def take(self, session: str, tool: str) -> T | None:
        """A conversation tells of one: the first that it did not tell of before."""
        waiting = self._waiting.get((session, tool))
        return waiting.popleft() if waiting else None
