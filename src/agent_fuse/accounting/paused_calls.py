"""Calls that wait for a person's answer, as the ledger keeps them: one note of all that are paused now."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from math import ceil
from typing import Any, cast

from agent_fuse.foreign_text import name, quoted
from agent_fuse.ledgers.base import Ledger, Meter

NOTE = "paused/calls"
_TO_ASK = 10
"""Seconds in which what is approved asks its limits again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PausedCall:
    """A call or tool action that a limit does not admit, and that waits for a person to say what becomes of it."""

    id: str
    at: float
    """Since when, seconds, UTC epoch."""
    until: float
    """When it is refused if nobody answers."""
    account: str
    """Whose limit it is, as `agent-fuse approve` names it: `session=run-1`."""
    limit: str
    """In words: `$5.00 per session 'run-1'`."""
    meter: Meter
    short: int
    """What the limit lacks for it; nano-dollars for usd, else a count."""
    requested: int = 0
    """What it asks of the limit, in the same unit."""
    session: str
    agent: str
    model: str
    tool: str = ""
    """The tool that is to run; empty for a model call."""
    denied: bool = False
    """Someone said no."""
    who: str = ""
    why: str = ""

    @property
    def what(self) -> str:
        """In words: `a call to gpt-4o`, `tool 'search'`."""
        return f"tool {quoted(self.tool)}" if self.tool else f"a call to {name(self.model) or 'a model'}"

    @property
    def outcome(self) -> tuple[str, str]:
        """Where it is refused: words to add to the refusal, and its reason."""
        if not self.denied:
            return f"; nobody answered within {round(self.until - self.at, 1):,g} seconds", "unanswered"
        by = f" by {name(self.who)}" if self.who else ""
        return f"; it was denied{by}{f' ({name(self.why)})' if self.why else ''}", "denied"


_FIELDS = frozenset(one.name for one in fields(PausedCall))


def lacked(those: Iterable[PausedCall], now: float) -> int:
    """What limits on one meter lack for all of these calls together; nano-dollars for usd, else a count.

    Seconds go by while they wait, and until they ask again: these are reckoned to `_TO_ASK` from now.
    """
    by_limit: dict[str, list[PausedCall]] = {}
    for one in those:
        by_limit.setdefault(one.limit, []).append(one)
    found = 0
    for calls in by_limit.values():
        used_up = max(one.short - one.requested + _passed(one, now) for one in calls)
        found = max(found, used_up + sum(one.requested for one in calls))
    return found


def _passed(one: PausedCall, now: float) -> int:
    return ceil(now - one.at) + _TO_ASK if one.meter is Meter.SECONDS else 0


Change = Callable[[dict[str, PausedCall]], None]


def read(note: bytes | None, now: float) -> dict[str, PausedCall]:
    """Those that still wait, by id. What a later version wrote and this one cannot read is left out."""
    found: dict[str, PausedCall] = {}
    for one in cast("Iterable[dict[str, Any]]", json.loads(note)) if note else ():
        try:
            given: dict[str, Any] = {**one, "meter": Meter(one["meter"])}
            call = PausedCall(**{name: value for name, value in given.items() if name in _FIELDS})
        except (KeyError, TypeError, ValueError):
            continue
        if call.until > now:
            found[call.id] = call
    return found


def change(ledger: Ledger, change: Change, now: float) -> dict[str, PausedCall]:
    """Change what is paused, in one step; what is paused after it. Raises LedgerError."""

    def changed(note: bytes | None) -> tuple[bytes | None, dict[str, PausedCall]]:
        found = read(note, now)
        before = found.copy()
        change(found)
        if found and found == before:
            return note, found  # a look leaves what it cannot read; what nobody waits for goes with the next change
        return json.dumps([asdict(one) for one in found.values()]).encode() if found else None, found

    return ledger.update_note(NOTE, changed, now=now)
