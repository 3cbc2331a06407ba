"""Quiet: a ledger whose work no other instrumentation (psycopg, SQLAlchemy, httpx, …) makes spans or metrics of."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from opentelemetry.instrumentation.utils import suppress_instrumentation  # pyright: ignore[reportMissingTypeStubs]

from agent_fuse.calls import Entry
from agent_fuse.ledgers.base import Amounts, Balance, Hold, Ledger, NoteChange, Refusal, Reservation, Settling

T = TypeVar("T")


class QuietLedger:
    """Passes everything on to the ledger it wraps, with instrumentation suppressed."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def reserve(self, hold: Hold, *, now: float) -> Reservation | Refusal:
        """See Ledger."""
        with suppress_instrumentation():
            return self.ledger.reserve(hold, now=now)

    def settle(self, entry: Entry, accounts: Sequence[str], amounts: Amounts, *, now: float) -> Settling:
        """See Ledger."""
        with suppress_instrumentation():
            return self.ledger.settle(entry, accounts, amounts, now=now)

    def count(self, hold: Hold, note: NoteChange | None = None, *, now: float) -> Reservation | Refusal | None:
        """See Ledger."""
        with suppress_instrumentation():
            return self.ledger.count(hold, note, now=now)

    def release(self, id: str, *, now: float) -> bool:
        """See Ledger."""
        with suppress_instrumentation():
            return self.ledger.release(id, now=now)

    def refuse(self, entry: Entry, accounts: Sequence[str], *, now: float) -> None:
        """See Ledger."""
        with suppress_instrumentation():
            self.ledger.refuse(entry, accounts, now=now)

    def balances(self, accounts: Sequence[str]) -> dict[str, Balance]:
        """See Ledger."""
        with suppress_instrumentation():
            return self.ledger.balances(accounts)

    def accounts(self) -> Iterator[tuple[str, Balance]]:
        """See Ledger."""
        with suppress_instrumentation():
            found = self.ledger.accounts()
        return _quietly(found)

    def holds(self) -> list[Hold]:
        """See Ledger."""
        with suppress_instrumentation():
            return self.ledger.holds()

    def journal(self, *, since: float = 0, limit: int | None = None) -> Iterator[Entry]:
        """See Ledger."""
        with suppress_instrumentation():
            found = self.ledger.journal(since=since, limit=limit)
        return _quietly(found)

    def sweep(self, *, now: float) -> list[Entry]:
        """See Ledger."""
        with suppress_instrumentation():
            return self.ledger.sweep(now=now)

    def prune(self, *, before: float) -> int:
        """See Ledger."""
        with suppress_instrumentation():
            return self.ledger.prune(before=before)

    def update_note(self, key: str, change: Callable[[bytes | None], tuple[bytes | None, T]], *, now: float) -> T:
        """See Ledger."""
        with suppress_instrumentation():
            return self.ledger.update_note(key, change, now=now)

    def close(self) -> None:
        """See Ledger."""
        with suppress_instrumentation():
            self.ledger.close()


def quiet(open: Callable[[], Ledger], url: str) -> Ledger:
    """Open a ledger quietly. SQLite through apsw and memory are seen by no instrumentation, so they need no wrapper."""
    with suppress_instrumentation():
        ledger = open()
    return QuietLedger(ledger) if url.startswith(("postgresql://", "postgres://")) else ledger


def _quietly(found: Iterator[T]) -> Iterator[T]:
    """Each step with instrumentation suppressed, and the steps of whoever iterates not."""
    while True:
        with suppress_instrumentation():
            try:
                one = next(found)
            except StopIteration:
                return
        yield one
