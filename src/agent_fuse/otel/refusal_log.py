"""One OpenTelemetry log record for each refusal, `agent_fuse.refusal`, whatever becomes of its span."""

import time
from collections import OrderedDict
from importlib import import_module
from typing import Any

from opentelemetry import _logs as logs
from opentelemetry.trace import TraceFlags

from agent_fuse.accounting.call_request import Event
from agent_fuse.calls import NANOS_PER_USD, Entry, RefusedBy
from agent_fuse.errors import SentinelError
from agent_fuse.locks import Lock
from agent_fuse.otel import span_attributes as named

EVENT = "agent_fuse.refusal"

_FREELY, _SECONDS = 100, 60.0
"""So many of one limit are written down each; further ones once in so long."""
_REMEMBERED = 1_000
"""Limits remembered; those met longest ago are forgotten first."""

_lock = Lock()
_counts: "OrderedDict[tuple[str, str], tuple[int, float]]" = OrderedDict()
"""How many refusals of a limit there were, and when one was written down last, by reason and limit."""


def record(event: Event, trip: SentinelError) -> None:
    """A listener of refusals: writes one down, unless its limit refuses all the time."""
    entry = event.entry
    by = entry.refused_by or RefusedBy()
    unwritten = _unwritten((trip.reason, f"{by.limit}\0{by.value}"), time.monotonic())
    if unwritten is None:
        return
    attributes = {
        **{key: value for key, value in _said(entry, by).items() if value not in {"", None}},
        named.REASON: trip.reason,
        named.ERROR: type(trip).__name__,
    }
    if unwritten:
        attributes["agent_fuse.refused.unwritten"] = unwritten
    logs.get_logger("agent_fuse").emit(_as_record(trip.message, attributes, entry))


def _unwritten(key: tuple[str, str], now: float) -> int | None:
    """How many were left out since the last one; None where this one is to be left out too."""
    with _lock:
        count, last = _counts.pop(key, (0, now))
        while len(_counts) >= _REMEMBERED:
            _counts.popitem(last=False)
        if count < _FREELY:
            _counts[key] = count + 1, now
            return 0
        if now - last < _SECONDS:
            _counts[key] = count + 1, last
            return None
        _counts[key] = _FREELY, now
        return count - _FREELY


def _said(entry: Entry, by: RefusedBy) -> dict[str, Any]:
    unit = NANOS_PER_USD if by.meter == "usd" else 1
    amounts = {named.CAP: by.cap, named.SPENT: by.spent, named.HELD: by.held, named.REQUESTED: by.requested}
    return {
        named.SESSION: entry.session,
        "gen_ai.agent.name": entry.agent,
        "gen_ai.operation.name": entry.operation,
        "gen_ai.request.model": entry.model,
        "gen_ai.provider.name": entry.provider,
        "gen_ai.tool.name": entry.tool,
        named.LIMIT: by.limit,
        named.PER: by.per,
        named.KEY: by.value,
        named.METER: by.meter,
        named.ADVICE: by.advice,
        **({name: amount / unit for name, amount in amounts.items()} if by.limit else {}),
    }


def _as_record(body: str, attributes: dict[str, Any], entry: Entry) -> Any:
    now = time.time_ns()
    found: dict[str, Any] = {
        "timestamp": now,
        "observed_timestamp": now,
        "trace_id": int(entry.trace_id or "0", 16),
        "span_id": int(entry.span_id or "0", 16),
        "trace_flags": TraceFlags(0),
        "severity_text": "WARN",
        "severity_number": logs.SeverityNumber.WARN,
        "body": body,
        "attributes": attributes,
    }
    try:
        return logs.LogRecord(**found, event_name=EVENT)
    except TypeError:  # OpenTelemetry before 1.35: no event names, and only the SDK's own records can be exported
        sdk: Any = import_module("opentelemetry.sdk._logs")
        return sdk.LogRecord(**found | {"attributes": {**attributes, "event.name": EVENT}})
