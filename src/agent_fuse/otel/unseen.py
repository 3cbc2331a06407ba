"""Requests whose end no seam saw: how many, of which SDK. They were booked all the same, late or at the quote."""

import logging
from collections import Counter

log = logging.getLogger("agent_fuse")

_ends: Counter[str] = Counter()


def end_unseen(sdk: str) -> None:
    """A request ended where AgentFuse could not see it. Told once for each SDK."""
    _ends[sdk] += 1
    if _ends[sdk] == 1:
        log.warning("the end of a request of the %s SDK was not seen; see agent_fuse.doctor()", sdk)


def unseen_ends(sdk: str) -> int:
    """How many requests of an SDK ended unseen in this process."""
    return _ends[sdk]
