"""The processors at work in this process, and whether the request gate is installed."""

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_fuse.otel.span_processor import AgentFuseSpanProcessor

_lock = threading.Lock()
_processors: "tuple[AgentFuseSpanProcessor, ...]" = ()
_gate_installed = False


def add(processor: "AgentFuseSpanProcessor") -> None:
    """A processor starts to guard; the newest guards requests that no span of another's is around."""
    global _processors
    with _lock:
        _processors = (processor, *(one for one in _processors if one is not processor))


def remove(processor: "AgentFuseSpanProcessor") -> None:
    """A processor was shut down."""
    global _processors
    with _lock:
        _processors = tuple(one for one in _processors if one is not processor)


def processors() -> "tuple[AgentFuseSpanProcessor, ...]":
    """Those at work, the newest first."""
    return _processors


def of_span(span_id: int) -> "AgentFuseSpanProcessor | None":
    """The processor that saw this span start, else the newest; None when none is at work."""
    known = _processors
    if span_id and len(known) > 1:
        for one in known:
            if one.node(span_id) is not None:
                return one
    return known[0] if known else None


def request_gate_installed() -> bool:
    """Whether requests of the openai and anthropic SDKs are gated."""
    return _gate_installed


def set_request_gate(installed: bool) -> None:
    """Told by the instrumentor."""
    global _gate_installed
    _gate_installed = installed
