"""Whose call it is: what the open spans, the context and the thread's origin say, put together for one fuse."""

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

from agent_fuse.fuse import Fuse
from agent_fuse.limits import Session, Who, keys_of
from agent_fuse.otel.context import ORIGIN, default_session, process_name, who
from agent_fuse.otel.lost import tell_lost
from agent_fuse.otel.nodes import Node


class Whose:
    """Answers on whose account a call goes, for calls that one fuse judges."""

    def __init__(self, fuse: Fuse, node_of: Callable[[int], Node | None]) -> None:
        self._node_of = node_of
        self._process = process_name()
        self._keys = keys_of(fuse.limits)
        self._session = Session(id=fuse.settings.session_id or default_session())

    def who(self, at: Context | None, node: Node | None, attributes: Mapping[str, Any] | None, *, asks: bool) -> Who:
        """On whose account a call goes that starts in this context, inside this node; `asks`: one is about to."""
        span = node.span() if node is not None else None
        of = (span if span is not None else trace.get_current_span(at)).get_span_context()
        session, agent = node.told() if node is not None else ("", "")
        origin = ORIGIN.get()
        if origin is not None:
            before = trace.get_current_span(origin).get_span_context()
            of = of if of.is_valid else before
            outer = self._node_of(before.span_id)
            told = outer.told() if outer is not None else ("", "")
            session, agent = session or told[0], agent or told[1]
        found = who(
            at if at is not None else otel_context.get_current(),
            fallback=self._session,
            session=session,
            agent=agent,
            trace=trace.format_trace_id(of.trace_id) if of.is_valid else "",
            process=self._process,
            keys=self._keys,
            attributes=attributes,
        )
        if asks and found.nameless:
            tell_lost(found.session.id)
        return found
