"""The open spans that matter: which call, session and agent each belongs to, and what is around it."""

from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from weakref import ReferenceType, finalize

from agent_fuse.actions import Action
from agent_fuse.dialects.base import Dialect, Spot
from agent_fuse.fuse import Fuse, Seen

MAX_OPEN = 50_000
"""Spans that never end are forgotten beyond this many, oldest first."""


@dataclass(slots=True, eq=False)
class Node:
    """One open span that is a call, or around one."""

    key: int
    """Span id."""
    span: "ReferenceType[Any]"
    fuse: Fuse
    """The fuse that judged it."""
    dialect: Dialect
    spot: Spot
    parent: "Node | None"
    seen: Seen | None = None
    session: str = ""
    agent: str = ""
    lost: "finalize[Any, Any] | None" = None
    """Runs when the span is dropped without an end."""
    action: Action | None = None
    """A tool action whose result is awaited."""

    def chain(self) -> "Iterator[Node]":
        """This span and those around it, innermost first."""
        one: Node | None = self
        while one is not None:
            yield one
            one = one.parent


DETACHED: ContextVar[Node | None] = ContextVar("agent_fuse_detached", default=None)
"""The model span of this context whose instrumentation does not make it the current one."""


class Nodes:
    """Open spans by span id; a span inside a node that is no call itself stands for the node around it."""

    def __init__(self) -> None:
        self._nodes: dict[int, Node] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, key: int) -> Node | None:
        """The node that a span id stands for."""
        return self._nodes.get(key)

    def put(self, key: int, node: Node) -> None:
        """Keep a node, or let a span stand for the node around it."""
        if len(self._nodes) >= MAX_OPEN:
            for old in list(self._nodes)[: MAX_OPEN // 10]:
                self._nodes.pop(old, None)
        self._nodes[key] = node

    def pop(self, key: int) -> Node | None:
        """Forget a span id; its node, if it was one itself."""
        node = self._nodes.pop(key, None)
        return node if node is not None and node.key == key else None


def around(node: Node | None) -> Iterator[Seen]:
    """Sightings that a new one happens in, nearest first: by span parents, then the context's detached span."""
    if node is not None:
        for one in node.chain():
            if one.seen is not None:
                yield one.seen
    frame = DETACHED.get()
    if frame is not None and frame.seen is not None:
        yield frame.seen
