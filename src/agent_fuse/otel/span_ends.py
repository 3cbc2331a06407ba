"""What the end of a span does: its call is booked, or its tool's result tells the loop rule. Nothing here raises."""

import sys
from collections.abc import Mapping
from dataclasses import replace

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from agent_fuse.accounting.call_request import UNTOLD, Stage
from agent_fuse.dialects.base import Dialect, Ending
from agent_fuse.otel.open_spans import OpenSpan
from agent_fuse.seams import BOOKED_AT_QUOTE, GOES_ON, fault, quietly
from agent_fuse.sightings import Outcome

_NOTHING: Mapping[str, object] = {}


def close(span: ReadableSpan, node: OpenSpan) -> None:
    """Book the call, or close the action, that a node stands for."""
    if node.seen is None:
        _close_action(span, node)
        return
    try:
        ending = _ending(span, node.dialect)
    except Exception as error:  # noqa: BLE001  what was paid for is booked, whatever fails of ours
        fault("reading the end of a span", error, BOOKED_AT_QUOTE)
        node.fuse.close_call(node.seen, outcome=Outcome.BROKEN)
        return
    request = node.seen.call.payload.request
    if request.stage is Stage.FOLLOWED and ending.usage is not None and node.fuse.settings.observes:
        # No gate judged what was left to one: in observe mode it is not too late to tell what it would have said.
        quietly(
            "judging a call that has been made",
            GOES_ON,
            node.fuse.requote,
            node.seen,
            replace(request, stage=Stage.READY),
        )
    node.fuse.close_call(
        node.seen,
        outcome=ending.outcome,
        unsure=ending.unsure,
        usage=ending.usage,
        model=ending.model,
        answered=ending.answered,
        provider=ending.provider,
        response_id=ending.response_id,
        ended_at=span.end_time / 1e9 if span.end_time else None,
    )


def _close_action(span: ReadableSpan, node: OpenSpan) -> None:
    if node.action is None:
        return
    try:
        ending = _ending(span, node.dialect)
    except Exception as error:  # noqa: BLE001  the action is counted, whatever fails of ours
        fault("reading the end of a span", error, GOES_ON)
        node.fuse.actions.close(node.action)
        return
    if ending.arguments is not None:
        node.fuse.actions.told(node.action, ending.arguments, ran=True)
    result = UNTOLD if ending.result is None else ending.result
    node.fuse.actions.close(node.action, result, error=ending.error, message=ending.message)


def _ending(span: ReadableSpan, dialect: Dialect) -> Ending:
    raised: Mapping[str, object] = _NOTHING
    for event in reversed(span.events):
        if event.name == "exception":
            raised = event.attributes or _NOTHING
            break
    return dialect.end(
        span,
        failed=span.status.status_code is StatusCode.ERROR,
        error=str(raised.get("exception.type", "")),
        message=span.status.description or str(raised.get("exception.message", "")),
        trace=str(raised.get("exception.stacktrace", "")),
        raised=sys.exception(),
    )
