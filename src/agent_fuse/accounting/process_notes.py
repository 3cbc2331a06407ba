"""What guarded processes cannot see or could not book, as the ledger keeps it: one note of all processes."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from agent_fuse.foreign_text import inline
from agent_fuse.ledgers.base import Ledger
from agent_fuse.ledgers.owners import Owner, is_dead

NOTE = "processes/told"

_ELSEWHERE = 86_400.0
"""Seconds: a process of another machine is believed to be there for so long after it was heard of."""
_LATELY = 3_600.0
"""A failure of the ledger is told of for so long."""
_MOST, _SPOTS, _LONG = 100, 20, 400


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessNote:
    """What one process told."""

    host: str
    pid: int
    started: int
    """See `owners.Owner`."""
    program: str
    at: float
    """When it was heard of last, seconds, UTC epoch."""
    spots: tuple[tuple[str, str], ...] = ()
    """Its blind spots: each in words, and what to do about it."""
    failed_at: float = 0.0
    """When the ledger failed it last, seconds, UTC epoch; 0 where it did not."""
    failed: str = ""
    """What the ledger could not do then: `reserve`."""

    @property
    def owner(self) -> Owner:
        """The process."""
        return Owner(host=self.host, pid=self.pid, started=self.started)

    @property
    def where(self) -> str:
        """In words: `worker.py (process 12 on host-1)`."""
        return f"{inline(self.program)} (process {self.pid} on {inline(self.host.partition(' ')[0])})"


def tell(ledger: Ledger, told: ProcessNote, *, now: float) -> None:
    """Write down what this process tells, in place of what it told before. Raises LedgerError."""
    spots = tuple((what[:_LONG], fix[:_LONG]) for what, fix in told.spots[:_SPOTS])
    _change(ledger, told.owner, lambda: [replace(told, spots=spots)], now)


def forget(ledger: Ledger, owner: Owner, *, now: float) -> None:
    """A process has ended well. Raises LedgerError."""
    _change(ledger, owner, list, now)


def _change(ledger: Ledger, owner: Owner, new: Callable[[], list[ProcessNote]], now: float) -> None:
    def changed(note: bytes | None) -> tuple[bytes | None, None]:
        others = [one for one in read(note, now, owner) if one.owner != owner]
        found = sorted([*others, *new()], key=lambda one: -one.at)[:_MOST]
        return json.dumps([asdict(one) for one in found]).encode() if found else None, None

    ledger.update_note(NOTE, changed, now=now)


def read(note: bytes | None, now: float, here: Owner) -> list[ProcessNote]:
    """Those that are still there and have something to tell. What a later version wrote is left out.

    Args:
        here: this process, which knows what died on its own machine.
    """
    return list(_read(note, now, here))


def _read(note: bytes | None, now: float, here: Owner) -> Iterator[ProcessNote]:
    try:
        those = cast("Iterable[Any]", json.loads(note or b"[]"))
        for one in those:
            spots = tuple((str(what), str(fix)) for what, fix in one["spots"])
            fields: dict[str, Any] = {**one, "spots": spots}
            told = ProcessNote(**fields)
            recent = now - told.failed_at < _LATELY
            gone = is_dead(told.owner, here=here) if told.host == here.host else now - told.at > _ELSEWHERE
            if not gone and (told.spots or recent):
                yield told if recent else replace(told, failed_at=0.0, failed="")
    except (ValueError, KeyError, TypeError):
        return
