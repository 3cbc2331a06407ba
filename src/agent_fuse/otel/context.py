"""Whose call it is: the session, agent and keys that the OpenTelemetry context tells."""

import os
import socket
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import cast

from opentelemetry import baggage, context, trace
from opentelemetry.context import Context

from agent_fuse.foreign_text import unbroken
from agent_fuse.keys import spellings, text, told
from agent_fuse.limits import Caller, Session

SESSION_KEY = context.create_key("agent-fuse-session")
"""Where `session()` keeps its Session in the OTel context; its id travels on as baggage `session.id`."""

_FINAL_KEY = context.create_key("agent-fuse-final")

ORIGIN: ContextVar[Context | None] = ContextVar("agent_fuse_origin", default=None)
"""The OTel context in which this thread's work was handed to it (carrying.py), looked at where its own is silent."""

AGENT: ContextVar[str] = ContextVar("agent_fuse_agent", default="")
"""Whose turn it is, where a person or a framework's adapter says so (agents.py)."""

_AGENT_KEY = context.create_key("agent-fuse-agent")
"""The same in an origin."""

_BAGGAGE_SESSION = "session.id"
_TRACELOOP = "association_properties"

_NOTHING: Mapping[str, object] = {}

_SPAN_ALONE = trace.set_span_in_context(trace.INVALID_SPAN, Context()).keys()
"""What a context holds that tells of a span, and of nothing else."""

_started = time.time()


def process_name() -> str:
    """This process, as an account key: host, pid and start."""
    return f"{socket.gethostname()}:{os.getpid()}:{int(_started)}"


def default_session() -> str:
    """The session of calls that name none: one per process (a forked child keeps its parent's)."""
    return f"process-{process_name()}"


def span_here() -> trace.Span:
    """The current span; in a thread that has none, the one that was current where its work was handed to it."""
    span = trace.get_current_span()
    origin = ORIGIN.get()
    return span if origin is None or span.get_span_context().is_valid else trace.get_current_span(origin)


def with_session(session: Session, at: Context | None = None) -> Context:
    """A context in which calls belong to `session`."""
    return baggage.set_baggage(_BAGGAGE_SESSION, session.id, context.set_value(SESSION_KEY, session, at))


def with_final(at: Context | None = None) -> Context:
    """This context, in which calls may use what limits keep for a last answer."""
    return context.set_value(_FINAL_KEY, True, at)


def session_in(at: Context | None = None) -> Session | None:
    """The Session that `session()` put into the context, or into the one that this thread's work comes from, if any."""
    found = (at if at is not None else context.get_current()).get(SESSION_KEY)
    if not isinstance(found, Session) and (origin := ORIGIN.get()) is not None:
        found = origin.get(SESSION_KEY)
    return found if isinstance(found, Session) else None


def where_from() -> Context | None:
    """What work handed over here takes along as its origin: this context over its own origin; None for neither."""
    here, before, agent = context.get_current(), ORIGIN.get(), AGENT.get()
    if agent:
        here = Context({**here, _AGENT_KEY: agent})
    if before is None:
        return here or None
    return Context({**before, **here}) if here else before


def caller_in(
    at: Context | None,
    *,
    fallback: Session,
    session: str = "",
    agent: str = "",
    trace: str = "",
    process: str = "",
) -> Caller:
    """On whose account a call in this context goes.

    The session is, in this order: that of `session()`; baggage `session.id`; `session` (from span attributes);
    Traceloop's association properties, OpenInference's `using_session`, Langfuse's `propagate_attributes`; `fallback`.
    The agent is that of `agent()` or of a framework's adapter, here or where this thread's work comes from; else
    `agent` (from span attributes).
    """
    found, named, final, user = None, session, False, ""
    agent = AGENT.get() or agent
    here = at if at is not None else context.get_current()
    if (here and here.keys() != _SPAN_ALONE) or ORIGIN.get() is not None:
        final = _FINAL_KEY in here or _FINAL_KEY in (ORIGIN.get() or ())
        agent = AGENT.get() or _agent_before() or agent
        found = session_in(at)
        user = told_in_context("user.id", at)
        if found is None:
            named = in_baggage(_BAGGAGE_SESSION, at) or session or told_in_context("session", at)
    if found is None:
        found = Session(id=unbroken(named)) if named else fallback
    return Caller(
        session=found,
        agent=agent,
        trace=trace,
        process=process,
        final=final,
        nameless=found is fallback,
        user=user,
    )


def _agent_before() -> str:
    """Whose turn it was where this thread's work was handed to it."""
    origin = ORIGIN.get()
    return str(origin.get(_AGENT_KEY, "")) if origin is not None else ""


def in_baggage(name: str, at: Context | None) -> str:
    """What baggage says under a name: here, else where this thread's work comes from."""
    for place in (at if at is not None else context.get_current(), ORIGIN.get()):
        value = baggage.get_baggage(name, place) if place else None
        if value is not None and (found := text(value)):
            return found
    return ""


def told_in_context(key: str, at: Context | None) -> str:
    """What baggage, Traceloop's association properties, OpenInference and Langfuse put into the context for a key."""
    names = spellings(key)
    for place in (at if at is not None else context.get_current(), ORIGIN.get()):
        if place:
            told_there: object = place.get(_TRACELOOP)
            properties = cast("Mapping[str, object]", told_there if isinstance(told_there, Mapping) else _NOTHING)
            found = told(names, baggage.get_all(place), properties, place)
            if found:
                return found
    return ""
