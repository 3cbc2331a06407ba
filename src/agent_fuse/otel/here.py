"""Where a call by hand is made: the guard at work, the open span around it, and on whose account it goes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from opentelemetry import trace

from agent_fuse.dialects.base import Dialect, Kind, Spot
from agent_fuse.errors import SentinelError, soften
from agent_fuse.fuse import Fuse, Seen
from agent_fuse.limits import Who
from agent_fuse.otel import active
from agent_fuse.otel.nodes import DETACHED, Node, around, finish_calls
from agent_fuse.otel.trips import under_langchain
from agent_fuse.seams import GOES_ON, quietly
from agent_fuse.settings import settings
from agent_fuse.sightings import Layer

_BY_HAND = Dialect(name="by hand", scopes=(), layer=Layer.FRAMEWORK, keys={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the caller stands."""

    fuse: Fuse
    node: Node | None
    who: Who
    span_id: str

    def around(self) -> Iterator[Seen]:
        """Sightings that a call made here happens in, nearest first."""
        return around(self.node)

    def frame(self, seen: Seen, operation: str) -> Node:
        """What stands for a call by hand while it is open, so that spans and requests inside join it."""
        spot = Spot(kind=Kind.MODEL, operation=operation)
        node = Node(-1, _no_span, self.fuse, _BY_HAND, spot, self.node, seen=seen)
        if self.node is not None:
            node.session, node.agent = self.node.told()
        return node


def here(start: Callable[[], object]) -> Place:
    """Where the caller stands; `start` makes a guard where none is at work."""
    span = trace.get_current_span().get_span_context().span_id
    guard = active.of_span(span)
    if guard is None:
        start()
        guard = active.guards()[0]
    node = guard.node(span)
    who = guard.who(None, node or _frame())
    return Place(fuse=guard.fuse, node=node, who=who, span_id=trace.format_span_id(span) if span else "")


def fail_safe() -> bool:
    """Whether a call by hand that cannot be judged is blocked: the guards at work say, else the settings."""
    return active.fail_safe() if active.guards() else settings().fail_safe


def standing() -> Who | None:
    """On whose account a call made here would go, asking for none; None where nothing guards."""
    span = trace.get_current_span().get_span_context().span_id
    guard = active.of_span(span)
    return guard.who(None, guard.node(span) or _frame(), asks=False) if guard is not None else None


def _frame() -> Node | None:
    frame = DETACHED.get()
    return frame if frame is not None and frame.seen is not None and frame.seen.ended_at is None else None


def enter(node: Node) -> None:
    """From here on, requests and spans of this context happen in `node`; `leave` ends that."""
    DETACHED.set(node)


def leave(node: Node, before: Node | None) -> None:
    """Requests and spans of this context happen in `node` no more, but in `before`."""
    if DETACHED.get() is node:
        DETACHED.set(before)


def refuse(trip: SentinelError, place: Place) -> SentinelError:
    """Finish the spans of a refused call; the trip in the form that its caller can carry, as at the request gate."""
    soft = under_langchain()
    quietly("finishing a refused call", GOES_ON, finish_calls, trip, place.node, end=not soft)
    if not soft:
        return trip
    place.fuse.blown.softened(trip.__dict__.get("session", ""), trip)
    return soften(trip)


def _no_span() -> None:
    return None
