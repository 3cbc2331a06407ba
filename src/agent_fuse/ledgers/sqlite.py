"""The ledger in one SQLite file: the books shared by all processes of a machine, exact, and kept when they die."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from agent_fuse.account_names import booked_on
from agent_fuse.calls import NOT_BOOKED, Entry
from agent_fuse.ledgers import account_rows, codec, control_rows, forks, transactions
from agent_fuse.ledgers.base import (
    Amounts,
    Balance,
    Cap,
    Hold,
    NoteChange,
    Refusal,
    Reservation,
    Settling,
    Unwritable,
)
from agent_fuse.ledgers.database import Database, Synchronous
from agent_fuse.ledgers.owners import Owner, is_dead, is_of_another_boot, this_process
from agent_fuse.ledgers.sql import Connection

T = TypeVar("T")

NOBODY = ("", 0, 0)
"""Owner of a hold that outlives its process: of no host, so that no sweep takes it for dead."""


class SqliteLedger:
    """A ledger in the file at `path`, made with mode 0600 in folders made 0700.

    Args:
        path: of the database. Beside it lie `-wal`, `-shm` (SQLite's) and `.lock` (ours).
        synchronous: `"normal"` survives the death of any process; `"full"` survives a loss of power as well, for a
            write to the disk at every call.
        lock_timeout: seconds to wait for others who write, before a LedgerError.

    Raises:
        LedgerError: the file cannot be opened, is damaged, newer than this version, or not a ledger.
    """

    def __init__(self, path: Path, *, synchronous: Synchronous = "normal", lock_timeout: float = 5.0) -> None:
        self._database = Database(path, synchronous=synchronous, lock_timeout=lock_timeout)
        self._owner = this_process()
        self._database.open()
        forks.watch(self)

    def reserve(self, hold: Hold, *, now: float) -> Reservation | Refusal:
        """See Ledger."""
        asked = self._figures("reserve", hold.amounts)
        line = codec.entry_row(hold.entry)
        here = self._owner
        owner = NOBODY if hold.outlives else (here.host, here.pid, here.started)
        work = partial(transactions.reserve, hold=hold, line=line, asked=asked, owner=owner, now=now)
        return self._database.write("reserve", work)

    def settle(self, entry: Entry, accounts: Sequence[str], amounts: Amounts, *, now: float) -> Settling:
        """See Ledger."""
        if entry.status in NOT_BOOKED:
            raise self._unwritable("settle", f"call {entry.id!r} is refused; that is for refuse()")
        figures = self._figures("settle", amounts)
        line = codec.entry_row(entry)
        names = tuple(accounts)
        work = partial(transactions.book, line=line, names=names, figures=figures, now=now)
        return self._database.write("settle", work)

    def count(self, hold: Hold, note: NoteChange | None = None, *, now: float) -> Reservation | Refusal | None:
        """See Ledger."""
        asked = self._figures("count", hold.amounts)
        line = codec.entry_row(hold.entry)
        change = _once(note.change) if note else None

        def work(db: Connection) -> Reservation | Refusal | None:
            if note and change and not transactions.change_note(db, note.key, change, now):
                return None
            return transactions.count(db, hold, line, asked, now)

        return self._passing("count", work)

    def release(self, id: str, *, now: float) -> bool:
        """See Ledger."""
        return self._database.write("release", lambda db: transactions.release(db, id))

    def refuse(self, entry: Entry, accounts: Sequence[str], *, now: float) -> None:
        """See Ledger."""
        line = codec.entry_row(entry)
        line = (*line[: codec.STATUS], codec.refused_status(entry), *line[codec.STATUS + 1 :])
        names = codec.once(tuple(accounts))
        by = codec.refused_by_row(entry)
        self._database.write("refuse", lambda db: transactions.refuse(db, line, by, names))

    def used_up(self, caps: Sequence[Cap], subjects: Iterable[str] = (), *, now: float) -> Refusal | None:
        """See Ledger."""
        return self._database.read("used_up", lambda db: control_rows.used_up(db, caps, subjects, now))

    def control(
        self, account: str, before: str | None, after: str | None, note: tuple[str, bytes] | None = None, *, now: float
    ) -> bool:
        """See Ledger."""

        def decide(db: Connection) -> bool:
            done = control_rows.decide(db, account, before, after)
            if done and note is not None:
                key, value = note
                transactions.change_note(db, key, lambda _: (value, None), now)
            return done

        return self._database.write("control", decide)

    def controls(self, accounts: Iterable[str] | None = None) -> dict[str, str]:
        """See Ledger."""
        return self._database.read("controls", lambda db: control_rows.in_force(db, accounts))

    def balances(self, accounts: Sequence[str], *, now: float | None = None) -> dict[str, Balance]:
        """See Ledger."""
        return self._database.read(
            "balances", lambda db: {name: codec.balance(account_rows.read(db, name, now)) for name in accounts}
        )

    def accounts(self) -> Iterator[tuple[str, Balance]]:
        """See Ledger. Read a page at a time, each as it stands then."""
        page = self._rows("accounts", account_rows.FIRST_ACCOUNTS, ())
        while page:
            for name, *figures in page:
                if not booked_on(name)[1]:
                    yield name, codec.balance(tuple(figures))
            page = self._rows("accounts", account_rows.NEXT_ACCOUNTS, (page[-1][0],))

    def holds(self) -> list[Hold]:
        """See Ledger."""
        return [codec.hold(row) for row in self._rows("holds", transactions.HOLDS, ())]

    def journal(self, *, since: float = 0, limit: int | None = None) -> Iterator[Entry]:
        """See Ledger. Read a page at a time, so that a long report holds up nobody."""
        left = transactions.LARGEST if limit is None else limit
        at, last = math.inf, ""
        while left > 0 and (
            page := self._rows("journal", transactions.LINES, (since, at, last, min(left, account_rows.PAGE)))
        ):
            for row in page:
                yield codec.entry(row)
            last, at = page[-1][:2]
            left -= len(page)

    def sweep(self, *, now: float) -> list[Entry]:
        """See Ledger."""
        here = self._owner
        dead: list[codec.Row] = []
        for row in self._rows("sweep", transactions.OWNERS, ()):
            owner = Owner(host=row[0], pid=row[1], started=row[2])
            if is_dead(owner, here=here) or is_of_another_boot(owner, here=here):  # a file is one machine's
                dead.append(row)
        found: list[Entry] = []
        for row in dead:
            found += self._presume(transactions.OF_OWNER, row, "owner died", now)
        if self._rows("sweep", transactions.EXPIRED, (now,)):
            found += self._presume(transactions.OF_THE_PAST, (now,), "expired", now)
        return found

    def prune(self, *, before: float) -> int:
        """See Ledger. Dropped a page at a time, and others write in between."""
        dropped = self._drop(transactions.PRUNE, before)
        self._drop(transactions.PRUNE_NOTES, before)
        last = ""
        while page := [name for (name,) in self._rows("prune", account_rows.INTERVALS, (last, account_rows.PAGE))]:
            self._database.write("prune", partial(account_rows.drop_ended, names=page, before=before))
            last = page[-1]
        return dropped

    def update_note(self, key: str, change: Callable[[bytes | None], tuple[bytes | None, T]], *, now: float) -> T:
        """See Ledger."""
        once = _once(change)
        return self._passing("update_note", lambda db: transactions.change_note(db, key, once, now))

    def is_free(self) -> bool:
        """See Ledger."""
        return self._database.is_free()

    def prepare(self) -> None:
        """See Ledger."""
        self._database.open()

    def close(self) -> None:
        """See Ledger. A later call opens the file again."""
        self._database.close()

    def before_fork(self) -> None:
        """Nothing to do: the database does it."""

    def after_fork(self, *, child: bool) -> None:
        """A child owns its own holds. It is found out now, since its first call may come in an event loop."""
        if child:
            self._owner = this_process()

    def _passing(self, operation: str, work: Callable[[Connection], T]) -> T:
        """Write; what the caller's own change of a note raises passes as it is."""
        try:
            return self._database.write(operation, work)
        except _Raised as kept:
            raised = kept.error
        raise raised

    def _figures(self, operation: str, amounts: Amounts) -> codec.Figures:
        figures: codec.Figures = codec.figures_of(amounts)
        if min(figures) < 0 or max(figures) > transactions.LARGEST:
            raise self._unwritable(operation, f"amounts are whole numbers from 0 to 2^63 - 1; got {amounts}")
        return figures

    def _unwritable(self, operation: str, cause: str) -> Unwritable:
        return Unwritable(operation, str(self._database.path), cause)

    def _rows(self, operation: str, query: str, values: codec.Row) -> list[codec.Row]:
        return self._database.read(operation, lambda db: db.execute(query, values).fetchall())

    def _presume(self, which: str, values: codec.Row, reason: str, now: float) -> list[Entry]:
        found: list[Entry] = []
        count = account_rows.PAGE
        while count == account_rows.PAGE:
            count, booked = self._database.write(
                "sweep", lambda db: transactions.presume(db, which, values, reason, now)
            )
            found += booked
        return found

    def _drop(self, query: str, before: float) -> int:
        def work(db: Connection) -> int:
            db.execute(query, (before,))
            return db.changes()

        dropped = 0
        while count := self._database.write("prune", work):
            dropped += count
        return dropped


class _Raised(Exception):
    """Carries what a caller's own code raised past the database, which would take some of it for its own."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def _once(
    change: Callable[[bytes | None], tuple[bytes | None, T]],
) -> Callable[[bytes | None], tuple[bytes | None, T]]:
    """The same change for a transaction that may be done again: made a second time only if the first was in vain."""
    made: list[tuple[bytes | None, T]] = []

    def changed(before: bytes | None) -> tuple[bytes | None, T]:
        if not (made and made[0][0] == before):
            try:
                made[:] = [change(before)]
            except Exception as error:
                raise _Raised(error) from error
        return made[0]

    return changed
