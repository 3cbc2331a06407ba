"""Whose call it is: the session, agent and keys that the OpenTelemetry context tells."""

import os
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any, cast

from opentelemetry import baggage, context
from opentelemetry.context import Context

from agent_fuse.limits import Session, Who

SESSION_KEY = context.create_key("agent-fuse-session")
"""Where `session()` keeps its Session in the OTel context; its id travels on as baggage `session.id`."""

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
    """The Session that `session()` put into the context, if any."""
    found = context.get_value(SESSION_KEY, at)
    return found if isinstance(found, Session) else None


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
            _text(baggage.get_baggage(_BAGGAGE_SESSION, at))
            or session
            or _traceloop(at, _TRACELOOP_SESSION)
            or _text(context.get_value(_BAGGAGE_SESSION, at))  # OpenInference's `using_session`
        )
        found = Session(id=named) if named else fallback
    values = {key: value for key in keys if (value := _lookup(key, attributes, at))} if keys else {}
    return Who(session=found, agent=agent, trace=trace, process=process, keys=values)


def _lookup(key: str, attributes: Mapping[str, Any] | None, at: Context | None) -> str:
    value = attributes.get(key) if attributes else None
    if value is None:
        value = baggage.get_baggage(key, at)
    return _text(value) or _traceloop(at, (key,))


def _traceloop(at: Context | None, names: tuple[str, ...]) -> str:
    properties = context.get_value(_TRACELOOP, at)
    if not isinstance(properties, Mapping):
        return ""
    found = cast("Mapping[str, object]", properties)
    return next((text for name in names if (text := _text(found.get(name)))), "")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""
