"""What a guard put there from outside says on standard error: one line each, and each line once in a process."""

import contextlib
import sys
from collections.abc import Iterable

from agent_fuse.foreign_text import inline
from agent_fuse.limits import Limit

_told: set[str] = set()
_quiet = False


def tell(line: str) -> None:
    """Write a line."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a closed standard error, or none at all
        sys.stderr.write(f"agent-fuse: {inline(line)}\n")
        sys.stderr.flush()


def tell_once(line: str) -> None:
    """Write a line that is no failure, unless it was written before, or nothing is to be said."""
    if not _quiet and line not in _told:
        _told.add(line)
        tell(line)


def be_quiet() -> None:
    """From now on, only failures are told."""
    global _quiet
    _quiet = True


def words_of(limits: Iterable[Limit]) -> str:
    """Limits in words."""
    return ", ".join(str(limit) for limit in limits) or "no limit at all"
