"""The processors at work in this process, and whether the request gate is installed."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol
from weakref import ref as guard_ref

from opentelemetry.context import Context

from agent_fuse.fuse import Fuse
from agent_fuse.limits import Caller
from agent_fuse.locks import Lock
from agent_fuse.otel.live_spans import LIVE_SPANS
from agent_fuse.otel.open_spans import OpenSpan, frame_here


class Guard(Protocol):
    """What a gate needs of the processor that guards a call."""

    fail_safe: bool
    """Whether a call that cannot be judged is blocked."""
    names_endpoints: bool
    """Whether its user named model endpoints of his own."""
    everywhere: bool
    """Whether it is on every provider, and leaves to newer guards all but what happens in calls that it let go."""

    @property
    def fuse(self) -> Fuse:
        """The fuse that judges."""
        ...

    def node(self, key: int) -> OpenSpan | None:
        """The open node that a span id stands for."""
        ...

    def caller(
        self,
        at: Context | None,
        node: OpenSpan | None,
        attributes: Mapping[str, Any] | None = None,
        *,
        asks: bool = True,
    ) -> Caller:
        """On whose account a call goes that starts in this context, inside this node; `asks`: one is about to."""
        ...


_MAX_DEPTH = 50
"""Spans that are looked at around a call, to find one that a guard saw."""

_lock = Lock()
_guards: tuple[Guard, ...] = ()
_gate_installed = False


def add(guard: Guard) -> None:
    """A processor starts to guard; the newest guards requests that no span of another's is around."""
    global _guards
    with _lock:
        _guards = (guard, *(one for one in _guards if one is not guard))
        if len(_guards) > 1:
            LIVE_SPANS.want()


def remove(guard: Guard) -> None:
    """A processor was shut down."""
    global _guards
    with _lock:
        _guards = tuple(one for one in _guards if one is not guard)


def guards() -> tuple[Guard, ...]:
    """Those at work, the newest first."""
    return _guards


MARK = "_agent_fuse_guard"
"""On each span that a guard saw start (its `mark_of`): what happens in it is this guard's to judge."""


def mark_of(guard: Guard) -> Callable[[], Guard | None]:
    """What a guard leaves on the spans that it sees: it keeps no guard alive."""
    return guard_ref(guard)


def of_span(span: Any) -> Guard | None:
    """The guard of a call made in this span; None when none is at work.

    Where there are several, the one that saw the span start, or the nearest one around it, be it ended or no model's;
    else the one that let the call of this context go; else the newest.
    """
    known = _guards
    if not known[1:]:
        return known[0] if known else None
    one = span
    for _ in range(_MAX_DEPTH):
        mark = getattr(one, MARK, None)
        guard: Guard | None = mark() if mark is not None else None
        if guard in known and (guard is known[0] or not guard.everywhere or guard.node(_id(one)) is not None):
            return guard
        parent = getattr(one, "parent", None)
        one = LIVE_SPANS.get(parent.span_id) if parent is not None else None
        if one is None:
            break
    frame = frame_here()
    framed = (one for one in known if frame is not None and one.fuse is frame.fuse)
    return next(framed, known[0])


def _id(span: Any) -> int:
    found: int = span.get_span_context().span_id
    return found


def fail_safe() -> bool:
    """Whether a call is blocked that cannot be judged by any guard in particular: where one of them says so."""
    return any(one.fail_safe for one in _guards)


def names_endpoints() -> bool:
    """Whether a user named model endpoints of his own, so that any path may be a model's."""
    for one in _guards:  # noqa: SIM110  each request of the host comes by here
        if one.names_endpoints:
            return True
    return False


def request_gate_installed() -> bool:
    """Whether requests of the openai and anthropic SDKs are gated."""
    return _gate_installed


def set_request_gate(installed: bool) -> None:
    """Told by the instrumentor."""
    global _gate_installed
    _gate_installed = installed
