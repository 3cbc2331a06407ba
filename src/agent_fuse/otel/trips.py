"""How a trip leaves AgentFuse: refused spans are finished first, and hosts get the form that they can carry."""

import sys
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import Any

from opentelemetry.trace import Status, StatusCode

from agent_fuse.calls import NANOS_PER_USD
from agent_fuse.errors import (
    SentinelBudgetExceeded,
    SentinelError,
    SentinelLoopError,
    SentinelSystemError,
    public_class,
)
from agent_fuse.otel.span_attributes import (
    ADVICE,
    CAP,
    CUT_OFF,
    ERROR,
    HELD,
    KEY,
    LIMIT,
    METER,
    PER,
    REASON,
    REFUSED,
    REQUESTED,
    SPENT,
    TOOL,
    session_of,
)
from agent_fuse.refusals import refused_by

_LANGCHAIN_MODELS = "langchain_core.language_models"
_LANGCHAIN_CALLBACKS = "langchain_core.callbacks"
"""Its callback manager swallows every Exception: where it is nearer than the model layer, the hard form is wanted."""
_MODEL_BODIES = frozenset({"_generate", "_stream", "_call"})
"""Methods that a LangChain model of someone's own writes; its async path runs them in a thread of an executor."""
_MAX_FRAMES = 400

_CHANGES = (
    "end",
    "set_attribute",
    "set_attributes",
    "set_status",
    "add_event",
    "add_link",
    "record_exception",
    "update_name",
)
"""Methods by which a span is changed; the SDK warns where one is called on a span that has ended."""

REASONS = {kind.__name__: kind.reason for kind in (SentinelBudgetExceeded, SentinelLoopError, SentinelSystemError)}


@dataclass(slots=True, eq=False)
class Carrier:
    """A host around a call that lets nothing out but an Exception, and not always that one (frameworks/)."""

    trip: SentinelError | None = None
    """What was raised inside it last."""


CARRIER: ContextVar[Carrier | None] = ContextVar("agent_fuse_carrier", default=None)
"""The host that a trip raised here would have to get out of."""


def finish_refused(span: Any, trip: SentinelError, *, end: bool = True) -> None:
    """Write the refusal on a live span, status ERROR, and end it, so that exporters see every refused call."""
    if span is None or not span.is_recording():
        return
    span.set_attributes({**refusal_attributes(trip), **session_of(span, trip.__dict__.get("session", ""))})
    span.set_status(Status(StatusCode.ERROR, trip.message))
    if end:
        span.end()
        for name in _CHANGES:
            setattr(span, name, _over)


def _over(*_: object, **__: object) -> None:
    """In place of what changes a span, on one that has ended: whoever made it goes on, and is not warned."""


def refusal_attributes(trip: SentinelError) -> dict[str, str | bool | float]:
    """Span attributes that say that and why a call was refused."""
    found: dict[str, str | bool | float] = {
        ERROR: public_class(trip).__name__,
        REFUSED: True,
        REASON: trip.reason,
    }
    if isinstance(trip, SentinelBudgetExceeded):
        found[LIMIT] = getattr(trip, "limit", "")
        found |= {CUT_OFF: True} if trip.cut_off else {}
    by = refused_by(trip)
    if by.limit:
        unit = NANOS_PER_USD if by.meter == "usd" else 1
        figures = ((CAP, by.cap), (SPENT, by.spent), (HELD, by.held), (REQUESTED, by.requested))
        found |= {PER: by.per, METER: by.meter, **({KEY: by.value} if by.value else {})}
        found |= {name: amount / unit for name, amount in figures}
    if by.advice:
        found[ADVICE] = by.advice
    if isinstance(trip, SentinelLoopError):
        found[TOOL] = getattr(trip, "tool", "")
    return found


def tell_late_refusal(span: Any) -> None:
    """A span made after the call was refused says so too, once it names its error."""
    attributes: Mapping[str, object] = span.attributes or {}
    reason = REASONS.get(str(attributes.get(ERROR, "")).rpartition(".")[2])
    if reason is not None and REFUSED not in attributes:
        span.set_attributes({REFUSED: True, REASON: reason})


def _is_body_of_model(frame: FrameType) -> bool:
    if frame.f_code.co_name not in _MODEL_BODIES:
        return False
    kinds = type(frame.f_locals.get("self")).__mro__
    return any(kind.__module__.startswith(_LANGCHAIN_MODELS) for kind in kinds)


def under_langchain() -> bool:
    """Whether LangChain's model layer, which only knows Exception, is above on the stack (paid on the trip path)."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    for _ in range(_MAX_FRAMES):
        if frame is None:
            return False
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(_LANGCHAIN_CALLBACKS):
            return False
        if module.startswith(_LANGCHAIN_MODELS) or _is_body_of_model(frame):
            return True
        frame = frame.f_back
    return False
