"""Altering: a request that is admitted in another form leaves in that form, and its span says so.

What the caller gave is not changed: the SDK's options are copied, and the fields that differ laid over the body.
"""

from collections.abc import Mapping
from copy import copy
from typing import Any, cast

from agent_fuse.accounting.call_request import Altered
from agent_fuse.otel.open_spans import OpenSpan


def options_with(options: Any, fields: Mapping[str, object]) -> Any:
    """The options of an SDK's request, with these fields of its body."""
    altered = copy(options)
    altered.extra_json = {**cast("dict[str, Any]", getattr(options, "extra_json", None) or {}), **fields}
    return altered


def mark(altered: Altered, *nodes: OpenSpan | None) -> None:
    """Tell on the span of the call, the innermost that is open, what was altered."""
    for node in nodes:
        for one in node.chain() if node is not None else ():
            span = one.span() if one.seen is not None else None
            if span is not None and span.is_recording():
                span.set_attributes(dict(altered.marks))
                return
