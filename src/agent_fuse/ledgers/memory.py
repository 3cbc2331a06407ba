"""The ledger in memory: the same books for one process, gone with it."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import add, neg, sub
from typing import TypeVar

from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers import codec, forks
from agent_fuse.ledgers.base import (
    ZERO,
    Amounts,
    Balance,
    Hold,
    NoteChange,
    Refusal,
    Reservation,
    Settling,
    Unwritable,
    lasts,
)
from agent_fuse.ledgers.codec import NO_ACCOUNT, NOTHING, PLACE, WIDTH, Figures

T = TypeVar("T")
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Account:
    """A journal line, and what was booked for it: where a correction starts from."""

    entry: Entry
    accounts: tuple[str, ...] = ()
    amounts: Amounts = ZERO


class MemoryLedger:
    """A ledger in this process's memory. Safe in threads; a fork makes two ledgers of it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._accounts: dict[str, Figures] = {}
        self._holds: dict[str, Hold] = {}
        self._lines: dict[str, Account] = {}
        self._notes: dict[str, tuple[float, bytes]] = {}
        forks.watch(self)

    def reserve(self, hold: Hold, *, now: float) -> Reservation | Refusal:
        """See Ledger."""
        asked = _figures("reserve", hold.amounts)
        with self._lock:
            first = self._holds.get(hold.entry.id)
            names = codec.once(hold.accounts)
            if self.is_booked(hold.entry.id):
                return Reservation(hold.entry.id, self.balances(names))
            before = first.accounts if first else ()
            mine: Figures = codec.figures_of(first.amounts) if first else NOTHING
            for cap in hold.caps:
                place, name = PLACE[cap.meter], cap.account
                account = self._accounts.get(name, NO_ACCOUNT)
                held = account[WIDTH + place] - (mine[place] if name in before else 0)
                requested = asked[place] if name in names else 0
                if account[place] + held + requested > cap.amount:
                    return Refusal(cap, account[place], held, requested)
            changes = {name: tuple(map(neg, mine)) for name in before}
            changes |= {name: tuple(map(add, changes.get(name, NOTHING), asked)) for name in names}
            self._charge_all("reserve", {name: (*NOTHING, *change, 0) for name, change in changes.items()})
            self._holds[hold.entry.id] = replace(hold, accounts=names, caps=())
            return Reservation(hold.entry.id, {name: codec.balance(self._accounts[name]) for name in names})

    def settle(self, entry: Entry, accounts: Sequence[str], amounts: Amounts, *, now: float) -> Settling:
        """See Ledger."""
        if entry.status is Status.REFUSED:
            raise Unwritable("settle", "in memory", f"call {entry.id!r} is refused; that is for refuse()")
        figures = _figures("settle", amounts)
        with self._lock:
            hold, old = self._holds.get(entry.id), self._lines.get(entry.id)
            names = hold.accounts if hold else codec.once(tuple(accounts))
            change, answer = figures, Settling.BOOKED
            if old is not None and old.entry.status is not Status.REFUSED:
                if old.entry.status is Status.SETTLED or entry.status is not Status.SETTLED:
                    self.release(entry.id, now=now)
                    return Settling.UNCHANGED
                names, answer = old.accounts, Settling.CORRECTED
                change = tuple(map(sub, figures, codec.figures_of(old.amounts)))
            held = tuple(map(neg, codec.figures_of(hold.amounts))) if hold else NOTHING
            changes = dict.fromkeys(hold.accounts if hold else (), (*NOTHING, *held, 0))
            for name in names:
                changes[name] = tuple(map(add, changes.get(name, NO_ACCOUNT), (*change, *NOTHING, 0)))
            self._charge_all("settle", changes)
            self._holds.pop(entry.id, None)
            self._lines[entry.id] = Account(entry, names, amounts)
            return answer

    def count(self, hold: Hold, note: NoteChange | None = None, *, now: float) -> Reservation | Refusal | None:
        """See Ledger."""
        with self._lock:
            if note and not self.update_note(note.key, note.change, now=now):
                return None
            answer = self.reserve(hold, now=now)
            if isinstance(answer, Reservation) and not self.is_booked(hold.entry.id):
                self.settle(hold.entry, hold.accounts, hold.amounts, now=now)
                return Reservation(answer.id, self.balances(codec.once(hold.accounts)))
            return answer

    def release(self, id: str, *, now: float) -> bool:
        """See Ledger."""
        with self._lock:
            hold = self._holds.pop(id, None)
            if hold is None:
                return False
            change = (*NOTHING, *map(neg, codec.figures_of(hold.amounts)), 0)
            self._charge_all("release", dict.fromkeys(hold.accounts, change))
            return True

    def refuse(self, entry: Entry, accounts: Sequence[str], *, now: float) -> None:
        """See Ledger."""
        with self._lock:
            names = codec.once(tuple(accounts))
            if entry.id not in self._lines:
                self._lines[entry.id] = Account(replace(entry, status=Status.REFUSED), names)
                self._charge_all("refuse", dict.fromkeys(names, (*NOTHING, *NOTHING, 1)))

    def balances(self, accounts: Sequence[str]) -> dict[str, Balance]:
        """See Ledger."""
        with self._lock:
            return {name: codec.balance(self._accounts.get(name, NO_ACCOUNT)) for name in accounts}

    def accounts(self) -> Iterator[tuple[str, Balance]]:
        """See Ledger."""
        with self._lock:
            found = sorted(self._accounts.items())
        return ((name, codec.balance(row)) for name, row in found)

    def holds(self) -> list[Hold]:
        """See Ledger."""
        with self._lock:
            return sorted(self._holds.values(), key=lambda hold: (hold.entry.at, hold.entry.id))

    def journal(self, *, since: float = 0, limit: int | None = None) -> Iterator[Entry]:
        """See Ledger."""
        with self._lock:
            found = [line.entry for line in self._lines.values() if line.entry.at >= since]
        found.sort(key=lambda entry: (entry.at, entry.id), reverse=True)
        return iter(found[:limit])

    def sweep(self, *, now: float) -> list[Entry]:
        """See Ledger. The only owner is this process, so holds can only expire."""
        with self._lock:
            found: list[Entry] = []
            for hold in [hold for hold in self.holds() if hold.expires_at <= now]:
                entry = replace(hold.entry, status=Status.PRESUMED, reason="expired")
                if self.settle(entry, (), hold.amounts, now=now) is Settling.BOOKED:
                    found.append(entry)
            return found

    def prune(self, *, before: float) -> int:
        """See Ledger."""
        with self._lock:
            old = [key for key, line in self._lines.items() if line.entry.at < before]
            for key in old:
                del self._lines[key]
            self._notes = {key: note for key, note in self._notes.items() if note[0] >= before or lasts(key)}
            return len(old)

    def update_note(self, key: str, change: Callable[[bytes | None], tuple[bytes | None, T]], *, now: float) -> T:
        """See Ledger."""
        with self._lock:
            value, answer = change(self._notes.get(key, (0, None))[1])
            if value is None:
                self._notes.pop(key, None)
            else:
                self._notes[key] = (now, value)
            return answer

    def close(self) -> None:
        """See Ledger. There is nothing to close."""

    def is_booked(self, id: str) -> bool:
        """Whether the journal has the call, and not as refused."""
        line = self._lines.get(id)
        return line is not None and line.entry.status is not Status.REFUSED

    def lines(self) -> list[Account]:
        """The journal with what was booked, oldest first by time of booking."""
        with self._lock:
            return list(self._lines.values())

    def forget(self, line: Account) -> bool:
        """Drop a journal line if it is still as given; accounts keep its figures."""
        with self._lock:
            if self._lines.get(line.entry.id) is not line:
                return False
            del self._lines[line.entry.id]
            return True

    def before_fork(self) -> None:
        """Wait until no other thread is in the middle of a change."""
        self._lock.acquire()

    def after_fork(self, *, child: bool) -> None:
        """Go on."""
        if child:
            self._lock = threading.RLock()
        else:
            self._lock.release()

    def _charge_all(self, operation: str, changes: Mapping[str, Figures]) -> None:
        """Change all accounts, or none if one of them could then not settle its holds within 64 bits."""
        after = {name: tuple(map(add, self._accounts.get(name, NO_ACCOUNT), changes[name])) for name in changes}
        if any(max(map(add, row[:WIDTH], row[WIDTH : 2 * WIDTH])) > _LARGEST for row in after.values()):
            raise Unwritable(operation, "in memory", "a figure is out of range (an account would pass 2^63 - 1)")
        self._accounts |= after


def _figures(operation: str, amounts: Amounts) -> Figures:
    figures: Figures = codec.figures_of(amounts)
    if min(figures) < 0 or max(figures) > _LARGEST:
        raise Unwritable(operation, "in memory", f"amounts are whole numbers from 0 to 2^63 - 1; got {amounts}")
    return figures
