"""Which lines of a journal are meant, and what some of them come to."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from agent_fuse.calls import RefusedBy, Status

EVERY_STATUS = frozenset(Status)

TOOL = "execute_tool"
"""`gen_ai.operation.name` of a tool action."""

Fact = tuple[str, float, str, str, str, str, str, str, int, int | None, int | None, str, int]
"""id, at, status, session, agent, model, operation, tool, cost, input tokens, output tokens, reason, fee."""

Matching = Callable[[str, str], tuple[str, str]]
"""From a column and a pattern in which `*` and `?` stand for any text: the condition in SQL, and its value."""


def literal(text: str) -> str:
    """A text as a pattern finds it, whatever marks are in it."""
    return re.sub(r"[*?[]", r"[\g<0>]", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which journal lines. A text with `*` or `?` is a pattern; None is any."""

    since: float = 0.0
    """Seconds, UTC epoch."""
    until: float | None = None
    """Lines before it; None is without end."""
    session: str | None = None
    agent: str | None = None
    user: str | None = None
    """As `Entry.user_id`."""
    model: str | None = None
    tool: str | None = None
    statuses: frozenset[Status] = EVERY_STATUS

    def where(self, matching: Matching, *, user: str) -> tuple[str, list[Any]]:
        """The condition in SQL, and its values; every store has its own way of `matching` a pattern.

        `user` is the expression for whose call it was, which older books do not tell.
        """
        terms, values = ["at >= ?"], cast("list[Any]", [self.since])
        if self.until is not None:
            terms.append("at < ?")
            values.append(self.until)
        columns = {"session": "session", "agent": "agent", "user": user, "model": "model", "tool": "tool"}
        for name, column in columns.items():
            text = getattr(self, name)
            if text is not None:
                term, value = matching(column, text) if any(mark in text for mark in "*?[") else (f"{column} = ?", text)
                terms.append(term)
                values.append(value)
        if self.statuses != EVERY_STATUS:
            terms.append(f"status IN ({', '.join('?' * len(self.statuses))})")
            values += sorted(self.statuses)
        return " AND ".join(terms), values


ANY = Selection()
"""Every line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What some journal lines come to."""

    calls: int = 0
    """Booked model calls."""
    tool_calls: int = 0
    refused: int = 0
    cost: int = 0
    """Nano-dollars, booked."""
    saved: int = 0
    """Nano-dollars: refused calls at their quote."""
    input_tokens: int = 0
    output_tokens: int = 0
    first: float = 0.0
    """Seconds, UTC epoch: the oldest line."""
    last: float = 0.0
    agents: tuple[str, ...] = field(default=())
    models: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What calls saved of which one thing was altered."""

    by: str
    """`Entry.saved_by`."""
    count: int
    saved: int
    """Nano-dollars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Calls that one limit refused on one account, or that were refused for one other reason."""

    reason: str
    """`budget`, `loop`, `unpriced`, …"""
    by: RefusedBy | None
    """As it stood at the last of them; None in lines of older versions."""
    count: int
    saved: int
    """Nano-dollars: at their quotes."""
    last: float
    """When the last was refused, seconds, UTC epoch."""
    session: str
    """Of the last of them."""
    tool: str = ""
    """Of the last of them, where it was a tool action."""
