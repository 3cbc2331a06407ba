"""Watches one live span for attributes that arrive after its start, before the work."""

from collections.abc import Callable, Mapping
from typing import Any
from weakref import ref

from opentelemetry.sdk.trace import Span

from agent_fuse.errors import SentinelError
from agent_fuse.seams import GOES_ON, fault


def watch(span: Span, names: frozenset[str], came: Callable[[Span], None]) -> None:
    """Call `came(span)` right after any of `names` was set. What it raises reaches who set the attribute.

    The span's own two methods are shadowed on the instance, through a weak reference, so that a span dropped without
    an end is still collected at once.
    """
    kind, weak = type(span), ref(span)

    def tell(live: Span) -> None:
        try:
            came(live)
        except SentinelError:
            raise
        except Exception as error:  # noqa: BLE001  who sets an attribute gets no fault of ours
            fault("hearing of a span's late attributes", error, GOES_ON)

    def set_attribute(key: str, value: Any) -> None:
        live = weak()
        if live is not None:
            kind.set_attribute(live, key, value)
            if key in names and live.is_recording():
                tell(live)

    def set_attributes(attributes: Mapping[str, Any]) -> None:
        live = weak()
        if live is not None:
            kind.set_attributes(live, attributes)
            if not names.isdisjoint(attributes) and live.is_recording():
                tell(live)

    span.set_attribute = set_attribute  # type: ignore[method-assign]
    span.set_attributes = set_attributes  # type: ignore[method-assign]
