"""Lost calls: a thread that no session reached calls a model while sessions are in use. Said once, with the place."""

import logging
import sys
import sysconfig
import threading
from pathlib import Path
from types import FrameType

log = logging.getLogger("agent_fuse")

_OURS = str(Path(__file__).parents[1])
_NOT_THE_HOST = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_BUSY = ("agent_fuse", "opentelemetry", "openai", "anthropic", "httpx", "httpx2", "wrapt", "threading", "concurrent")
"""Packages that stand between a call and whoever makes it, where the host is an installed package itself."""

sessions_used = False
"""A session was entered: from now on a thread without one is worth a word."""

_told = False


def in_use() -> None:
    """A session is entered."""
    global sessions_used
    sessions_used = True


def tell_lost(session: str) -> None:
    """A call is about to go on the session of those that have none: say so once, where a thread has lost its own."""
    global _told
    if _told or not sessions_used or threading.current_thread() is threading.main_thread():
        return
    _told = True
    log.warning(
        "a call from thread %r at %s has no session while sessions are in use: it counts on %r; enter "
        "agent_fuse.session() in that thread, or hand the work over inside one",
        threading.current_thread().name,
        host_line(),
        session,
    )


def host_line() -> str:
    """File and line of the host's frame nearest to the call, as `file:line`."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    nearest = ""
    while frame is not None:
        name = frame.f_code.co_filename
        place = f"{name}:{frame.f_lineno}"
        if not name.startswith((_OURS, *_NOT_THE_HOST, "<frozen")):
            return place
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if not nearest and package not in _BUSY:
            nearest = place
        frame = frame.f_back
    return nearest or "an unknown place"
