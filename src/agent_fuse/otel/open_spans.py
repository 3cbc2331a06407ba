"""The open spans that matter: which call, session and agent each belongs to, and what is around it."""

from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import get_ident
from typing import Any
from weakref import finalize

from agent_fuse.accounting.call_request import Action
from agent_fuse.dialects.base import Dialect, Spot
from agent_fuse.errors import SentinelError
from agent_fuse.fuse import Fuse, Seen
from agent_fuse.otel.trips import finish_refused
from agent_fuse.sightings import Layer

MAX_OPEN = 50_000
"""Spans that never end are forgotten beyond this many, oldest first."""

MAX_DROPPED = 64
"""Spans dropped by the garbage collector whose end may still come, since it runs finalizers in no certain order."""


@dataclass(slots=True, eq=False)
class OpenSpan:
    """One open span that is a call, or around one."""

    key: int
    """Span id; 0 for a call that callbacks tell of, without a span."""
    span: Callable[[], Any]
    """The live span; None when it is gone, or there is none."""
    fuse: Fuse
    """The fuse that judged it."""
    dialect: Dialect
    spot: Spot
    parent: "OpenSpan | None"
    seen: Seen | None = None
    thread: int = field(default_factory=get_ident)
    """Where the span started: only a trip raised there stops the call."""
    lost: "finalize[Any, Any] | None" = None
    """Runs when the span is dropped without an end."""
    action: Action | None = None
    """A tool action whose result is awaited."""
    session: str = ""
    agent: str = ""
    """Told by whoever made the node, rather than by a span."""
    waiting: "tuple[OpenSpan, ...]" = ()
    """Calls that callbacks told of just before this one, in the same context, whose requests are still to come."""

    def told(self, *, read: bool = False) -> tuple[str, str]:
        """The session and the agent that this span, or the nearest around it, has told by now; empty where none has.

        `read`: its own attributes were read just now, and are in its spot.
        """
        session = agent = ""
        one: OpenSpan | None = self
        while one is not None:
            session, agent = session or one.session or one.spot.session, agent or one.agent or one.spot.agent
            if session and agent:
                break
            live = None if read and one is self else one.span()
            if live is not None:
                said = one.dialect.owner(live)
                session, agent = session or said[0], agent or said[1]
            one = one.parent
        return session, agent

    def chain(self) -> "list[OpenSpan]":
        """This span and those around it, innermost first."""
        found: list[OpenSpan] = [self]
        one = self.parent
        while one is not None:
            found.append(one)
            one = one.parent
        return found


CURRENT_FRAME: ContextVar[OpenSpan | None] = ContextVar("agent_fuse_detached", default=None)
"""The model call of this context whose span is not the current one, or that has none."""

_TOGETHER_SECONDS = 1.0


def frame_here() -> OpenSpan | None:
    """The model call of this context whose span is not the current one, or that has none, while it is open."""
    frame = CURRENT_FRAME.get()
    return frame if frame is not None and frame.seen is not None and frame.seen.ended_at is None else None


def enter(frame: OpenSpan) -> None:
    """From here on, requests and spans of this context happen in `frame`; `leave` ends that."""
    CURRENT_FRAME.set(frame)


def leave(frame: OpenSpan, before: OpenSpan | None) -> None:
    """Requests and spans of this context happen in `frame` no more, but in `before`."""
    if CURRENT_FRAME.get() is frame:
        CURRENT_FRAME.set(before)


def detach(node: OpenSpan, *, outside: OpenSpan | None = None) -> None:
    """From now on, requests of this context belong to `node`, after those that calls begun together with it await.

    `outside` is a model that merely wraps this one: no request of its own is to come.
    """
    before = CURRENT_FRAME.get()
    if before is not None and node.seen is not None:
        mine = node.seen
        node.waiting = tuple(
            one
            for one in (*before.waiting, before)
            if one.key == 0
            and one is not outside
            and one.seen is not None
            and one.seen.ended_at is None
            and one.seen.call is not mine.call
            and mine.started_at - one.seen.started_at < _TOGETHER_SECONDS
        )
    CURRENT_FRAME.set(node)


class OpenSpans:
    """Open spans by span id; a span inside a node that is no call itself stands for the node around it."""

    def __init__(self) -> None:
        self._nodes: dict[int, OpenSpan] = {}
        self._dropped: deque[OpenSpan] = deque(maxlen=MAX_DROPPED)

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, key: int) -> OpenSpan | None:
        """The node that a span id stands for."""
        return self._nodes.get(key)

    def put(self, key: int, node: OpenSpan) -> None:
        """Keep a node, or let a span stand for the node around it."""
        if len(self._nodes) >= MAX_OPEN:
            for old in list(self._nodes)[: MAX_OPEN // 10]:
                self._nodes.pop(old, None)
        self._nodes[key] = node

    def pop(self, key: int) -> OpenSpan | None:
        """Forget a span id; its node, if it was one itself."""
        node = self._nodes.pop(key, None)
        if node is None and self._dropped:
            node = next((one for one in self._dropped if one.key == key), None)
        return node if node is not None and node.key == key else None

    def settle_dropped(self) -> None:
        """No end of a dropped span is awaited any more."""
        self._dropped.clear()

    def drop(self, node: OpenSpan) -> None:
        """A span was dropped without an end, for all that is known: one of its owners' finalizers may still end it."""
        if self.pop(node.key) is not None:
            self._dropped.append(node)


def around(node: OpenSpan | None) -> list[Seen]:
    """Sightings that a new one happens in, nearest first: by span parents, then the context's detached span."""
    found: list[Seen] = []
    while node is not None:
        if node.seen is not None:
            found.append(node.seen)
        node = node.parent
    frame = CURRENT_FRAME.get()
    if frame is not None:
        found += [one.seen for one in frame.waiting if one.seen is not None and _awaits_request(one.seen)]
        if frame.seen is not None:
            found.append(frame.seen)
    return found


def fuse_inside(fuse: Fuse, *around: OpenSpan | None) -> Fuse:
    """The fuse for what happens in these: one that was replaced since it let a call go that is open, else `fuse`."""
    for node in around:
        if node is not None and node.fuse is not fuse and node.fuse.retired and any(map(_is_open, node.chain())):
            return node.fuse
    return fuse


def _is_open(node: OpenSpan) -> bool:
    return node.seen is not None and node.seen.ended_at is None


def _awaits_request(seen: Seen) -> bool:
    return all(one.layer is not Layer.REQUEST for one in seen.call.sightings)


def finish_calls(trip: SentinelError, *nodes: OpenSpan | None, end: bool = True) -> None:
    """Write the refusal on the spans of the refused call: these nodes, and the calls around them."""
    for node in nodes:
        for one in node.chain() if node is not None else ():
            if one.seen is not None:
                finish_refused(one.span(), trip, end=end)
