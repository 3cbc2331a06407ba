"""The ledger for `fail_safe=False`: lets calls go while the real one is away, and writes the arrears later."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from agent_fuse.calls import Entry, show_usd
from agent_fuse.ledgers import forks
from agent_fuse.ledgers.base import (
    Amounts,
    Balance,
    Busy,
    Cap,
    Hold,
    Ledger,
    LedgerError,
    NoteChange,
    Refusal,
    Reservation,
    Settling,
    Unwritable,
)
from agent_fuse.ledgers.owed_entries import Owed
from agent_fuse.ledgers.waiting import in_event_loop

T = TypeVar("T")

_log = logging.getLogger("agent_fuse")
_FORK_WAIT = 5.0
_SPARING = 10


class FallbackLedger:
    """A ledger that refuses no call for being broken.

    While the real ledger is away, caps are not asked: every call goes, for the books that would judge it cannot be
    read. Calls are counted in memory. When the ledger is back, all that was settled, refused and given back is written
    (settling is idempotent), open holds move over, and caps bind again. Balances, accounts, holds and journal show
    meanwhile what was counted since it went; notes changed meanwhile do not come back. Going and coming back are logged
    once each, on the logger `agent_fuse`.

    What no ledger could write raises Unwritable, and an iterator that has begun may raise LedgerError half-way. In an
    event loop what can be booked later raises Busy rather than wait for others.

    Args:
        open: opens the real ledger. Called now, and again until it succeeds.
        retry_every: seconds of the callers' `now` between two tries to come back. One caller tries, others go on
            counting; a try that took long is repeated only after ten times as long.
        remembered: calls kept one by one; of more, the older half is summed into one line for each set of accounts.
    """

    def __init__(self, open: Callable[[], Ledger], *, retry_every: float = 1.0, remembered: int = 10_000) -> None:
        self._open = open
        self._retry_every = retry_every
        self._remembered = remembered
        self._real: Ledger | None = None
        self._listeners: tuple[Callable[[LedgerError], None], ...] = ()
        self._away = False
        self._tried, self._pause = 0.0, 0.0
        self._now = 0.0
        self._resting = False
        self._renew()
        forks.watch(self)
        try:
            self._real = open()
        except LedgerError as error:
            self._leave(error)

    def listen(self, listener: Callable[[LedgerError], None]) -> Callable[[], None]:
        """Tell `listener` each time the real ledger could not answer; calling what comes back ends that."""
        self._listeners = (*self._listeners, listener)

        def remove() -> None:
            self._listeners = tuple(one for one in self._listeners if one is not listener)

        return remove

    def owes(self) -> bool:
        """Whether calls were counted in memory, to be written later."""
        return self._away and not self._owed.is_empty()

    def pay(self) -> None:
        """Write the arrears, and close.

        Raises:
            LedgerError: the real ledger is still away.
        """
        if self._away:
            self._try_to_return(self._now)
        if self._away:
            waits = show_usd(self._owed.usd())
            raise LedgerError("settle", "of fail_safe=False", f"it is still away, and {waits} wait to be booked")
        self.close()

    def reserve(self, hold: Hold, *, now: float) -> Reservation | Refusal:
        """See Ledger."""

        def take(real: Ledger) -> Reservation | Refusal:
            requote = hold.entry.id in self._owed.held_there
            self._owed.held_there.add(hold.entry.id)  # before it is asked: it may fail with the hold taken
            answer = real.reserve(hold, now=now)
            if isinstance(answer, Refusal) and not requote:
                self._owed.held_there.discard(hold.entry.id)
            return answer

        def count() -> Reservation | Refusal:
            self._owed.give_back(hold.entry.id)  # the twin's takes its place, and moves over later
            return self._owed.twin.reserve(replace(hold, caps=()), now=now)

        return self._do(take, count, now)

    def settle(self, entry: Entry, accounts: Sequence[str], amounts: Amounts, *, now: float) -> Settling:
        """See Ledger."""

        def book(real: Ledger) -> Settling:
            answer = real.settle(entry, accounts, amounts, now=now)
            self._owed.held_there.discard(entry.id)
            return answer

        def count() -> Settling:
            answer = self._owed.twin.settle(entry, accounts, amounts, now=now)
            if answer is Settling.BOOKED:
                self._owed.came()
            return answer

        return self._do(book, count, now, can_wait=True)

    def count(self, hold: Hold, note: NoteChange | None = None, *, now: float) -> Reservation | Refusal | None:
        """See Ledger."""

        def book(real: Ledger) -> Reservation | Refusal | None:
            answer = real.count(hold, note, now=now)
            if isinstance(answer, Reservation):
                self._owed.held_there.discard(hold.entry.id)
            return answer

        def count() -> Reservation | Refusal | None:
            twin = self._owed.twin
            if note and not twin.update_note(note.key, note.change, now=now):
                return None
            if twin.settle(hold.entry, hold.accounts, hold.amounts, now=now) is Settling.BOOKED:
                self._owed.came()
            return Reservation(hold.entry.id, twin.balances(hold.accounts))

        return self._do(book, count, now)

    def release(self, id: str, *, now: float) -> bool:
        """See Ledger."""

        def give_back(real: Ledger) -> bool:
            answer = real.release(id, now=now)
            self._owed.held_there.discard(id)
            return answer

        def count() -> bool:
            there = self._owed.give_back(id)
            return self._owed.twin.release(id, now=now) or there

        return self._do(give_back, count, now, can_wait=True)

    def refuse(self, entry: Entry, accounts: Sequence[str], *, now: float) -> None:
        """See Ledger."""

        def count() -> None:
            self._owed.twin.refuse(entry, accounts, now=now)
            self._owed.came()

        self._do(lambda real: real.refuse(entry, accounts, now=now), count, now, can_wait=True)

    def used_up(self, caps: Sequence[Cap], subjects: Iterable[str] = (), *, now: float) -> Refusal | None:
        """See Ledger. While the ledger is away nothing is."""
        return self._do(lambda real: real.used_up(caps, subjects, now=now), lambda: None, now)

    def control(
        self, account: str, before: str | None, after: str | None, note: tuple[str, bytes] | None = None, *, now: float
    ) -> bool:
        """See Ledger. While the ledger is away nobody can be told."""
        return self._do(lambda real: real.control(account, before, after, note, now=now), self._nobody_hears, now)

    def _nobody_hears(self) -> bool:
        raise LedgerError("control", "of fail_safe=False", "it is away, and other processes would not hear of it")

    def controls(self, accounts: Iterable[str] | None = None) -> dict[str, str]:
        """See Ledger. While the ledger is away nothing is known to be in force."""
        return self._do(lambda real: real.controls(accounts), dict)

    def balances(self, accounts: Sequence[str], *, now: float | None = None) -> dict[str, Balance]:
        """See Ledger."""
        return self._do(
            lambda real: real.balances(accounts, now=now), lambda: self._owed.twin.balances(accounts, now=now)
        )

    def accounts(self) -> Iterator[tuple[str, Balance]]:
        """See Ledger."""
        return self._do(lambda real: real.accounts(), self._owed.twin.accounts)

    def holds(self) -> list[Hold]:
        """See Ledger."""
        return self._do(lambda real: real.holds(), self._owed.twin.holds)

    def journal(self, *, since: float = 0, limit: int | None = None) -> Iterator[Entry]:
        """See Ledger."""
        return self._do(
            lambda real: real.journal(since=since, limit=limit),
            lambda: self._owed.twin.journal(since=since, limit=limit),
        )

    def sweep(self, *, now: float) -> list[Entry]:
        """See Ledger."""

        def sweep(real: Ledger) -> list[Entry]:
            found = real.sweep(now=now)
            self._owed.held_there.difference_update(entry.id for entry in found)
            return found

        return self._do(sweep, lambda: self._owed.twin.sweep(now=now), now)

    def prune(self, *, before: float) -> int:
        """See Ledger. While the ledger is away nothing is dropped."""
        return self._do(lambda real: real.prune(before=before), lambda: 0)

    def update_note(self, key: str, change: Callable[[bytes | None], tuple[bytes | None, T]], *, now: float) -> T:
        """See Ledger."""
        return self._do(
            lambda real: real.update_note(key, change, now=now),
            lambda: self._owed.twin.update_note(key, change, now=now),
            now,
        )

    def close(self) -> None:
        """See Ledger. Arrears get a last chance; what still cannot be written is lost with the process, and logged."""
        if self._away:
            self._try_to_return(self._now)
        if self._away and self._owed.usd():
            _log.error("ledger still away at close: %s could not be booked", show_usd(self._owed.usd()))
        if self._real is not None:
            self._real.close()

    def before_fork(self) -> None:
        """Wait for the thread that is counting."""
        self._resting = self._owed.lock.acquire(timeout=_FORK_WAIT)

    def after_fork(self, *, child: bool) -> None:
        """The arrears stay the parent's to write; a child has none."""
        if child:
            self._renew()
        elif self._resting:
            self._owed.lock.release()

    def _renew(self) -> None:
        self._owed = Owed(self._remembered)
        self._trying = threading.Lock()

    def _do(
        self, ask: Callable[[Ledger], T], count: Callable[[], T], now: float | None = None, *, can_wait: bool = False
    ) -> T:
        """Ask the real ledger; when it is away, count. For what `can_wait` a ledger that is only busy is not left."""
        if now is not None:
            self._now = now
            if self._away and not 0 <= now - self._tried < self._pause:
                self._try_to_return(now)
        while True:
            if not self._away and self._real is not None:
                try:
                    return ask(self._real)
                except Unwritable:
                    raise
                except Busy as error:
                    if can_wait and in_event_loop():
                        raise
                    self._leave(error)
                except LedgerError as error:
                    self._leave(error)
            with self._owed.lock:
                if self._away:
                    return count()

    def _leave(self, error: LedgerError) -> None:
        self._tell(error)
        with self._owed.lock:
            if self._away:
                return
            self._away = True
            self._tried, self._pause = self._now, self._retry_every
        _log.warning(
            "calls go unchecked and are counted in memory (fail_safe=False) until the ledger is back: %s", error
        )

    def _tell(self, error: LedgerError) -> None:
        for listener in self._listeners:
            listener(error)

    def _try_to_return(self, now: float) -> None:
        if not self._trying.acquire(blocking=False):
            return
        try:
            started = time.monotonic()
            self._tried, self._pause = now, self._retry_every
            try:
                written = self._return(now)
            except LedgerError as error:
                self._pause = max(self._retry_every, _SPARING * (time.monotonic() - started))
                self._tell(error)
                _log.debug("ledger still away, next try in %.1f s: %s", self._pause, error)
            else:
                _log.warning("the ledger is back, limits bind again; %d arrears were written", written)
        finally:
            self._trying.release()

    def _return(self, now: float) -> int:
        if self._real is None:
            self._real = self._open()
        written = 0
        while True:
            written += self._owed.write(self._real, now=now)
            with self._owed.lock:
                if self._owed.hand_over(self._real, now=now):
                    self._away = False
                    return written
