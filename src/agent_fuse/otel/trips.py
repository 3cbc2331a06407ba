"""How a trip leaves AgentFuse: refused spans are finished first, and LangChain gets the soft form it can carry."""

import sys
from types import FrameType
from typing import Any

from opentelemetry.trace import Status, StatusCode

from agent_fuse.errors import SentinelBudgetExceeded, SentinelError, SentinelLoopError

_LANGCHAIN_MODELS = "langchain_core.language_models"
_MAX_FRAMES = 400


def finish_refused(span: Any, trip: SentinelError, *, end: bool = True) -> None:
    """Write the refusal on a live span, status ERROR, and end it, so that exporters see every refused call."""
    if span is None or not span.is_recording():
        return
    span.set_attributes(refusal_attributes(trip))
    span.set_status(Status(StatusCode.ERROR, trip.message))
    if end:
        span.end()


def refusal_attributes(trip: SentinelError) -> dict[str, str | bool]:
    """Span attributes that say that and why a call was refused."""
    found: dict[str, str | bool] = {
        "error.type": public_name(trip),
        "agent_fuse.refused": True,
        "agent_fuse.refused.reason": trip.reason,
    }
    if isinstance(trip, SentinelBudgetExceeded):
        found["agent_fuse.refused.limit"] = getattr(trip, "limit", "")
    if isinstance(trip, SentinelLoopError):
        found["agent_fuse.refused.tool"] = getattr(trip, "tool", "")
    return found


def public_name(trip: SentinelError) -> str:
    """The name of the public class of a trip, hard or soft."""
    return next(kind.__name__ for kind in type(trip).__mro__ if kind.__name__.startswith("Sentinel"))


def under_langchain() -> bool:
    """Whether LangChain's model layer stands above on the stack: it only knows Exception. Paid on the trip path only."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    for _ in range(_MAX_FRAMES):
        if frame is None:
            return False
        if str(frame.f_globals.get("__name__", "")).startswith(_LANGCHAIN_MODELS):
            return True
        frame = frame.f_back
    return False
