"""Calls and tool actions that a framework's callbacks tell of: judged and booked like spans, where there are none."""

from collections.abc import Mapping
from typing import Any, cast
from weakref import ReferenceType

from opentelemetry import trace

from agent_fuse.accounting.actions import UNDER_WAY
from agent_fuse.accounting.call_request import UNTOLD, Action, CallRequest
from agent_fuse.charged import of_error
from agent_fuse.dialects.base import Dialect, SpanRole, Spot
from agent_fuse.errors import SentinelError
from agent_fuse.otel import active
from agent_fuse.otel.context import span_here
from agent_fuse.otel.gate import admit
from agent_fuse.otel.open_spans import OpenSpan, around, detach, frame_here, fuse_inside
from agent_fuse.otel.trips import finish_refused
from agent_fuse.seams import GOES_ON, quietly
from agent_fuse.sightings import Layer, Outcome

_NONE = Dialect(name="callbacks", scopes=(), layer=Layer.FRAMEWORK, keys={})
_MODEL, _TOOL = Spot(kind=SpanRole.MODEL), Spot(kind=SpanRole.TOOL)
_NO_SPAN = cast("ReferenceType[Any]", lambda: None)

_GATED = frozenset({"openai", "azure", "anthropic"})
"""Providers, as frameworks name them, whose SDKs have a request gate."""


def begin_call(
    source: str,
    *,
    operation: str,
    provider: str,
    model: str,
    body: Mapping[str, Any],
    facts: Mapping[str, Any],
    session: str = "",
    agent: str = "",
    inside: OpenSpan | None = None,
) -> OpenSpan | None:
    """A model is about to be called; None when nothing guards this process.

    Args:
        body: what is known of the request, in the words of OpenAI's chat API.
        facts: what limits may name as their key.
        inside: another call of the same source that merely wraps this one.

    Raises:
        SentinelError: hard; the spans that are open for this call are finished.
    """
    here, guard, node = _here(_MODEL, session, agent)
    if guard is None or node is None:
        return None
    of = guard.caller(None, node, facts)
    request = CallRequest(
        layer=Layer.FRAMEWORK,
        source=source,
        caller=of,
        operation=operation,
        provider=provider,
        model=model,
        body=body,
        requests_seen=provider in _GATED and node.fuse.settings.request_gate and active.request_gate_installed(),
        trace_id=of.trace,
        span_id=trace.format_span_id(here) if here else "",
    )
    try:
        node.seen = admit(node.fuse, request, around(node.parent), node.parent, frame_here())
        quietly("placing a call", GOES_ON, detach, node, outside=inside)
    except (SentinelError, Exception):
        raise
    except BaseException:  # a KeyboardInterrupt: the call will not be made
        give_up(node)
        raise
    return node


def give_up(node: OpenSpan) -> None:
    """It was interrupted before its call or action could be made. Never raises."""
    if node.seen is not None:
        node.fuse.close_call(node.seen, outcome=Outcome.FAILED)
    if node.action is not None:
        node.fuse.actions.give_up(node.action)


def begin_action(
    source: str, tool: str, arguments: object, *, facts: Mapping[str, Any], session: str = "", agent: str = ""
) -> OpenSpan | None:
    """A tool is about to run; None when nothing guards this process.

    Raises:
        SentinelError: hard; the span that is open for this action is finished.
    """
    here, guard, node = _here(_TOOL, session, agent)
    if guard is None or node is None:
        return None
    of = guard.caller(None, node, facts)
    before = UNDER_WAY.get()
    try:
        node.action = node.fuse.actions.open(
            of, tool, arguments, source=source, trace_id=of.trace, span_id=trace.format_span_id(here) if here else ""
        )
    except SentinelError as trip:
        quietly("finishing a refused action", GOES_ON, _finish_joined, guard, before, source, trip)
        raise
    return node


def end_action(node: OpenSpan, result: object = UNTOLD, *, error: str = "", message: str = "") -> None:
    """The tool ran. Never raises."""
    if node.action is not None:
        node.fuse.actions.close(node.action, result, error=error, message=message)


def outcome_of(error: BaseException) -> Outcome:
    """How a call ended that raised `error`."""
    return of_error(error).outcome


def _here(spot: Spot, session: str, agent: str) -> tuple[int, active.Guard | None, OpenSpan | None]:
    here = trace.get_current_span().get_span_context().span_id
    guard = active.of_span(span_here())
    if guard is None:
        return here, None, None
    outer = guard.node(here)
    node = OpenSpan(0, _NO_SPAN, fuse_inside(guard.fuse, outer, frame_here()), _NONE, spot, outer)
    node.session = session
    node.agent = agent
    return here, guard, node


def _finish_joined(guard: active.Guard, before: Action | None, source: str, trip: SentinelError) -> None:
    finish_refused(_span_of(guard, before) if before is not None and source in before.sources else None, trip)


def _span_of(guard: active.Guard, action: Action) -> Any:
    node = guard.node(int(action.entry.span_id or "0", 16))
    return node.span() if node is not None and node.action is action else None
