"""Whose call it is: the session, agent and keys that the OpenTelemetry context tells."""

import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, cast

from opentelemetry import baggage, context
from opentelemetry.context import Context

from agent_fuse.limits import Session, Who

SESSION_KEY = context.create_key("agent-fuse-session")
"""Where `session()` keeps its Session in the OTel context; its id travels on as baggage `session.id`."""

ORIGIN: ContextVar[Context | None] = ContextVar("agent_fuse_origin", default=None)
"""The OTel context in which this thread's work was handed to it (carrying.py), looked at where its own is silent."""

_BAGGAGE_SESSION = "session.id"
_TRACELOOP = "association_properties"
_TRACELOOP_SESSION = ("session_id", "thread_id", "conversation_id")

_started = time.time()


def process_name() -> str:
    """This process, as an account key: host, pid and start."""
    return f"{socket.gethostname()}:{os.getpid()}:{int(_started)}"


def default_session() -> str:
    """The session of calls that name none: one per process (a forked child keeps its parent's)."""
    return f"process-{process_name()}"


def with_session(session: Session, at: Context | None = None) -> Context:
    """A context in which calls belong to `session`."""
    return baggage.set_baggage(_BAGGAGE_SESSION, session.id, context.set_value(SESSION_KEY, session, at))


def session_in(at: Context | None = None) -> Session | None:
    """The Session that `session()` put into the context, or into the one that this thread's work comes from, if any."""
    for one in _places(at):
        found = context.get_value(SESSION_KEY, one)
        if isinstance(found, Session):
            return found
    return None


def where_from() -> Context | None:
    """What work handed over here takes along as its origin: this context over its own origin; None for neither."""
    here, before = context.get_current(), ORIGIN.get()
    if before is None:
        return here or None
    return Context({**before, **here}) if here else before


def _places(at: Context | None) -> Iterator[Context]:
    """Contexts to look in, nearest first."""
    yield at if at is not None else context.get_current()
    origin = ORIGIN.get()
    if origin is not None:
        yield origin


def who(
    at: Context | None,
    *,
    fallback: Session,
    session: str = "",
    agent: str = "",
    trace: str = "",
    process: str = "",
    keys: Iterable[str] = (),
    attributes: Mapping[str, Any] | None = None,
) -> Who:
    """On whose account a call in this context goes.

    The session is, in this order: that of `session()`; baggage `session.id`; `session` (from span attributes);
    Traceloop's association properties; OpenInference's `using_session`; `fallback`. Limit keys are looked up in
    `attributes`, then in baggage.
    """
    found = session_in(at)
    if found is None:
        named = (
            _first(_text(baggage.get_baggage(_BAGGAGE_SESSION, one)) for one in _places(at))
            or session
            or _first(_traceloop(one, _TRACELOOP_SESSION) for one in _places(at))
            or _first(_text(context.get_value(_BAGGAGE_SESSION, one)) for one in _places(at))  # OpenInference's own
        )
        found = Session(id=named) if named else fallback
    values = {key: value for key in keys if (value := _lookup(key, attributes, at))} if keys else {}
    return Who(session=found, agent=agent, trace=trace, process=process, nameless=found is fallback, keys=values)


def _lookup(key: str, attributes: Mapping[str, Any] | None, at: Context | None) -> str:
    return (
        _text(attributes.get(key) if attributes else None)
        or _first(_text(baggage.get_baggage(key, one)) for one in _places(at))
        or _first(_traceloop(one, (key,)) for one in _places(at))
    )


def _traceloop(at: Context, names: tuple[str, ...]) -> str:
    properties = context.get_value(_TRACELOOP, at)
    if not isinstance(properties, Mapping):
        return ""
    found = cast("Mapping[str, object]", properties)
    return _first(_text(found.get(name)) for name in names)


def _first(found: Iterable[str]) -> str:
    return next((one for one in found if one), "")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""
