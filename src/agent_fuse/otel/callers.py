"""Whose call it is: what the open spans, the context and the thread's origin say, put together for one fuse."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource

from agent_fuse.dialects.base import attributes_of
from agent_fuse.dialects.reading import tells_workflow
from agent_fuse.fuse import Fuse
from agent_fuse.keys import attribute_names, text, told
from agent_fuse.limits import Caller, Session, keys_of
from agent_fuse.otel import lost
from agent_fuse.otel.context import ORIGIN, caller_in, default_session, process_name, told_in_context
from agent_fuse.otel.live_spans import LIVE_SPANS
from agent_fuse.otel.open_spans import OpenSpan

_NOTHING: Mapping[str, Any] = {}


class CallerFinder:
    """Answers on whose account a call goes, for calls that one fuse judges."""

    def __init__(self, fuse: Fuse, node_of: Callable[[int], OpenSpan | None]) -> None:
        self._node_of = node_of
        self._resource: Mapping[str, Any] | None = None
        self.use(fuse)

    def use(self, fuse: Fuse) -> None:
        """From now on, for calls that this fuse judges."""
        self._process = process_name()
        self._keys = keys_of(fuse.limits)
        if self._keys:
            LIVE_SPANS.want()
        self._session = Session(id=fuse.settings.session_id or default_session())

    def caller(
        self,
        at: Context | None,
        node: OpenSpan | None,
        attributes: Mapping[str, Any] | None = None,
        *,
        asks: bool = True,
    ) -> Caller:
        """On whose account a call goes that starts in this context, inside this node; `asks`: one is about to.

        `attributes` are the node's own, where it was read just now.
        """
        span = node.span() if node is not None else None
        of = (span if span is not None else trace.get_current_span(at)).get_span_context()
        session, agent = node.told(read=attributes is not None) if node is not None else ("", "")
        origin = ORIGIN.get()
        if origin is not None:
            before = trace.get_current_span(origin).get_span_context()
            of = of if of.is_valid else before
            outer = self._node_of(before.span_id)
            said = outer.told() if outer is not None else ("", "")
            session, agent = session or said[0], agent or said[1]
        here = at if at is not None else otel_context.get_current()
        found = caller_in(
            here,
            fallback=self._session,
            session=session,
            agent=agent,
            trace=trace.format_trace_id(of.trace_id) if of.is_valid else "",
            process=self._process,
        )
        keys = self._keys
        if found.session.limits or found.session.parent is not None:
            keys = keys.union(*(keys_of(one.limits) for one in found.session.chain()))
        if keys:
            found = self._with_keys(found, keys, here, span, attributes or _NOTHING)
        if lost.sessions_used and asks and found.nameless:
            lost.tell_lost(found.session.id)
        return found

    def _with_keys(
        self, found: Caller, keys: frozenset[str], at: Context, span: Any, attributes: Mapping[str, Any]
    ) -> Caller:
        """Look for limits' keys: in the call's own attributes, the spans around it, and the context."""
        places = [attributes, *map(attributes_of, _around(span, at))]
        values = {key: told(attribute_names(key), *places) or told_in_context(key, at) for key in keys}
        if "agent" in values:
            named = [one for one in places if not tells_workflow(one, told(attribute_names("agent"), one))]
            values["agent"] = found.agent or told(attribute_names("agent"), *named) or told_in_context("agent", at)
        missing = [key for key, value in values.items() if not value]
        resource = self._of_resource(span) if missing else _NOTHING
        return replace(
            found,
            agent=found.agent or values.get("agent", ""),
            keys={key: value for key, value in values.items() if value},
            resource={key: value for key in missing if (value := text(resource.get(key)))},
        )

    def _of_resource(self, span: Any) -> Mapping[str, Any]:
        """Attributes of this process's resource: the span's or the global provider's, else the environment's."""
        holder = span if span is not None else trace.get_current_span()
        found = getattr(holder, "resource", None) or getattr(trace.get_tracer_provider(), "resource", None)
        if found is not None:
            return attributes_of(found)
        if self._resource is None:
            self._resource = attributes_of(Resource.create())
        return self._resource


def _around(span: Any, at: Context) -> list[Any]:
    """Live spans that a call happens in, nearest first: its own, those around it, those of the thread's origin."""
    origin = ORIGIN.get()
    found: list[Any] = []
    seen: set[int] = set()
    for start in (span, trace.get_current_span(at), trace.get_current_span(origin) if origin is not None else None):
        one = start
        while one is not None and (key := one.get_span_context().span_id) and key not in seen:
            seen.add(key)
            if hasattr(one, "attributes"):
                found.append(one)
            parent = getattr(one, "parent", None)
            one = LIVE_SPANS.get(parent.span_id) if parent is not None else None
    return found
