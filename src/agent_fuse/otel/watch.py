"""Watches one live span for attributes that arrive after its start, before the work."""

from collections.abc import Callable, Mapping
from typing import Any
from weakref import ref

from opentelemetry.sdk.trace import Span

from agent_fuse.otel import active
from agent_fuse.seams import judge

_PLACE = "judging a span by its late attributes"


def watch(span: Span, names: frozenset[str], came: Callable[[Span], None]) -> None:
    """Call `came(span)` right after any of `names` was set. Who set it gets the trips that it raises, nothing else.

    The span's own two methods are shadowed on the instance, through a weak reference, so that a span dropped without
    an end is still collected at once.
    """
    kind, weak = type(span), ref(span)

    def set_attribute(key: str, value: Any) -> None:
        live = weak()
        if live is not None:
            kind.set_attribute(live, key, value)
            if key in names and live.is_recording():
                judge(_PLACE, active.fail_safe, came, live)

    def set_attributes(attributes: Mapping[str, Any]) -> None:
        live = weak()
        if live is not None:
            kind.set_attributes(live, attributes)
            if not names.isdisjoint(attributes) and live.is_recording():
                judge(_PLACE, active.fail_safe, came, live)

    span.set_attribute = set_attribute  # type: ignore[method-assign]
    span.set_attributes = set_attributes  # type: ignore[method-assign]
