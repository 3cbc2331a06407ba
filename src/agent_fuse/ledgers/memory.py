"""The ledger in memory: the same books for one process, gone with it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import add, neg, sub
from typing import TypeVar

from agent_fuse.account_names import OF, booked_on, calendar, has_left, plain, rolling, within
from agent_fuse.calls import RING_FENCE, Entry, Status
from agent_fuse.ledgers import codec, forks
from agent_fuse.ledgers.base import (
    ZERO,
    Amounts,
    Balance,
    Cap,
    Hold,
    NoteChange,
    Refusal,
    Reservation,
    Settling,
    Unwritable,
    lasts,
    tightest,
)
from agent_fuse.ledgers.codec import NO_ACCOUNT, NOTHING, SINCE, WIDTH, Figures
from agent_fuse.ledgers.controls import NONE, Controls
from agent_fuse.ledgers.controls import read as read_controls
from agent_fuse.ledgers.judging import beside, short, stopped, used_after, used_now
from agent_fuse.locks import RLock

T = TypeVar("T")
_LARGEST = 2**63 - 1
_NO_CHANGE: Figures = (*NOTHING, *NOTHING, 0)


@dataclass(frozen=True, slots=True)
class Account:
    """A journal line, and what was booked for it: where a correction starts from."""

    entry: Entry
    accounts: tuple[str, ...] = ()
    amounts: Amounts = ZERO


class MemoryLedger:
    """A ledger in this process's memory. Safe in threads; a fork makes two ledgers of it."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._accounts: dict[str, codec.Account] = {}
        self._buckets: dict[str, dict[str, Figures]] = {}
        """What was settled in the buckets of accounts in rolling windows, by interval."""
        self._holds: dict[str, Hold] = {}
        self._lines: dict[str, Account] = {}
        self._notes: dict[str, tuple[float, bytes]] = {}
        self._controls: dict[str, str] = {}
        forks.watch(self)

    def reserve(self, hold: Hold, *, now: float) -> Reservation | Refusal:
        """See Ledger."""
        asked = _figures("reserve", hold.amounts)
        with self._lock:
            first = self._holds.get(hold.entry.id)
            names = codec.once(hold.accounts)
            if self.is_booked(hold.entry.id):
                return Reservation(hold.entry.id, self.balances([booked_on(name)[0] for name in names], now=now))
            on = [booked_on(name)[0] for name in names]
            held_on = [booked_on(name)[0] for name in first.accounts] if first else []
            mine: Figures = codec.figures_of(first.amounts) if first else NOTHING
            before = dict.fromkeys(held_on, mine)
            found = {name: self._as_of(name, now) for name in on}

            accounts = (*hold.accounts, *hold.subjects()) if self._controls else ()
            controls = self._in_force((*accounts, *(cap.account for cap in hold.caps)))
            stop = stopped(controls, accounts)
            if stop is not None:
                return stop

            used = used_after(self._accounts.get, asked, on, mine, held_on)

            def short_of(cap: Cap) -> Refusal | None:
                name = cap.account
                of = self._oldest_first
                row, requested = (found[name], asked) if name in found else (self._as_of(name, now), NOTHING)
                mine_there = beside(before.get(name, NOTHING), controls.kept(name, used, now))
                return short(cap, row, requested, mine_there, now=now, buckets=of, controls=controls, stands=hold.place)

            refused = tightest(short_of(cap) for cap in hold.caps)
            if refused is not None:
                return refused
            changes = {name: tuple(map(neg, mine)) for name in held_on}
            changes |= {name: tuple(map(add, changes.get(name, NOTHING), asked)) for name in on}
            self._charge_all("reserve", {name: (*NOTHING, *change, 0) for name, change in changes.items()}, since=now)
            self._holds[hold.entry.id] = replace(hold, accounts=names, caps=())
            return Reservation(hold.entry.id, {name: codec.balance(self._accounts[name]) for name in on})

    def settle(self, entry: Entry, accounts: Sequence[str], amounts: Amounts, *, now: float) -> Settling:
        """See Ledger."""
        if not entry.status.is_booked:
            raise Unwritable("settle", "in memory", f"call {entry.id!r} is refused; that is for refuse()")
        figures = _figures("settle", amounts)
        with self._lock:
            hold, old = self._holds.get(entry.id), self._lines.get(entry.id)
            names = hold.accounts if hold else codec.once(tuple(accounts))
            change, answer = figures, Settling.BOOKED
            if old is not None and old.entry.status.is_booked:
                if old.entry.status is Status.SETTLED or entry.status is not Status.SETTLED:
                    self.release(entry.id, now=now)
                    return Settling.UNCHANGED
                names, answer = old.accounts, Settling.CORRECTED
                change = tuple(map(sub, figures, codec.figures_of(old.amounts)))
            held = tuple(map(neg, codec.figures_of(hold.amounts))) if hold else NOTHING
            changes = dict.fromkeys(
                (booked_on(name)[0] for name in (hold.accounts if hold else ())), (*NOTHING, *held, 0)
            )
            counted = [name for name in names if not has_left(name, now)]
            for name in counted:
                on = booked_on(name)[0]
                changes[on] = tuple(map(add, changes.get(on, _NO_CHANGE), (*change, *NOTHING, 0)))
            self._charge_all("settle", changes, since=now)
            self._charge_buckets(counted, change)
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
                return Reservation(answer.id, self.balances(list(answer.balances), now=now))
            return answer

    def release(self, id: str, *, now: float) -> bool:
        """See Ledger."""
        with self._lock:
            hold = self._holds.pop(id, None)
            if hold is None:
                return False
            change = (*NOTHING, *map(neg, codec.figures_of(hold.amounts)), 0)
            self._charge_all("release", dict.fromkeys((booked_on(name)[0] for name in hold.accounts), change))
            return True

    def refuse(self, entry: Entry, accounts: Sequence[str], *, now: float) -> None:
        """See Ledger."""
        with self._lock:
            names = codec.once(tuple(accounts))
            if entry.id not in self._lines:
                self._lines[entry.id] = Account(replace(entry, status=codec.refused_status(entry)), names)
                on = (booked_on(name)[0] for name in names)
                self._charge_all("refuse", dict.fromkeys(on, (*NOTHING, *NOTHING, 1)))

    def used_up(self, caps: Sequence[Cap], subjects: Iterable[str] = (), *, now: float) -> Refusal | None:
        """See Ledger."""
        with self._lock:
            accounts = (*(cap.account for cap in caps), *subjects)
            controls = self._in_force(accounts)
            return stopped(controls, accounts) or tightest(
                short(
                    cap,
                    self._as_of(cap.account, now),
                    None,
                    beside(NOTHING, controls.kept(cap.account, used_now(self._accounts.get), now)),
                    now=now,
                    buckets=self._oldest_first,
                    controls=controls,
                )
                for cap in caps
            )

    def control(
        self, account: str, before: str | None, after: str | None, note: tuple[str, bytes] | None = None, *, now: float
    ) -> bool:
        """See Ledger."""
        with self._lock:
            if self._controls.get(account) != before:
                return False
            if after is not None:
                self._controls[account] = after
            else:
                self._controls.pop(account, None)
            if note is not None:
                self.update_note(note[0], lambda _: (note[1], None), now=now)
            return True

    def controls(self, accounts: Iterable[str] | None = None) -> dict[str, str]:
        """See Ledger."""
        with self._lock:
            names = self._controls if accounts is None else dict.fromkeys(accounts)
            return {name: self._controls[name] for name in names if name in self._controls}

    def _in_force(self, accounts: Iterable[str]) -> Controls:
        return read_controls(self.controls(map(plain, accounts))) if self._controls else NONE

    def balances(self, accounts: Sequence[str], *, now: float | None = None) -> dict[str, Balance]:
        """See Ledger."""
        with self._lock:
            return {
                name: codec.balance(
                    self._accounts.get(name, NO_ACCOUNT) if now is None else self._as_of(name, now) or NO_ACCOUNT
                )
                for name in accounts
            }

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
                if entry.operation == RING_FENCE:
                    self.release(entry.id, now=now)
                elif self.settle(entry, (), hold.amounts, now=now) is Settling.BOOKED:
                    found.append(entry)
            return found

    def prune(self, *, before: float) -> int:
        """See Ledger."""
        with self._lock:
            old = [key for key, line in self._lines.items() if line.entry.at < before]
            for key in old:
                del self._lines[key]
            self._notes = {key: note for key, note in self._notes.items() if note[0] >= before or lasts(key)}
            for name in [name for name in self._accounts if self._is_over(name, before)]:
                del self._accounts[name]
            for name in list(self._buckets):
                self._as_of(name, before)
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
        return line is not None and line.entry.status.is_booked

    def lines(self) -> list[Account]:
        """The journal with what was booked, oldest first by time of booking."""
        with self._lock:
            return list(self._lines.values())

    def forget(self, line: Account) -> bool:
        """Drop a journal line if it is still as given; accounts keep its figures."""
        with self._lock:
            return self._lines.get(line.entry.id) is line and self._lines.pop(line.entry.id) is line

    def before_fork(self) -> None:
        """Wait until no other thread is in the middle of a change."""
        self._lock.acquire()

    def after_fork(self, *, child: bool) -> None:
        """Go on."""
        if child:
            self._lock = RLock()
        else:
            self._lock.release()

    def _charge_all(self, operation: str, changes: Mapping[str, Figures], *, since: float | None = None) -> None:
        """Change all accounts, or none if one of them could then not settle its holds within 64 bits."""
        after: dict[str, codec.Account] = {}
        for name, change in changes.items():
            row = self._accounts.get(name, NO_ACCOUNT)
            after[name] = (*map(add, row[:SINCE], change), row[SINCE] or since, None)
        if any(max(map(add, row[:WIDTH], row[WIDTH : 2 * WIDTH])) > _LARGEST for row in after.values()):
            raise Unwritable(operation, "in memory", "a figure is out of range (an account would pass 2^63 - 1)")
        for name in after.keys() - self._accounts.keys():
            self._end_before(name)
        self._accounts |= after

    def _charge_buckets(self, names: Sequence[str], change: Figures) -> None:
        for name in names:
            base, bucket = booked_on(name)
            if bucket:
                buckets = self._buckets.setdefault(base, {})
                interval = bucket.partition(OF)[2]
                buckets[interval] = tuple(map(add, buckets.get(interval, NOTHING), change))

    def _oldest_first(self, name: str) -> list[tuple[str, Figures]]:
        return sorted(self._buckets.get(name, {}).items())

    def _as_of(self, name: str, now: float) -> codec.Account | None:
        """An account's figures at `now`, after what has left its window is taken off it."""
        row = self._accounts.get(name)
        buckets = self._buckets.get(name)
        window = rolling(name) if buckets else None
        if row is None or buckets is None or window is None:
            return row
        oldest = window.oldest(now)
        for interval in [interval for interval in buckets if interval < oldest]:
            row = (*map(sub, row[:WIDTH], buckets.pop(interval)), *row[WIDTH:])
        if not buckets:
            del self._buckets[name]
        self._accounts[name] = row
        return row

    def _end_before(self, name: str) -> None:
        """The first account of a calendar's interval ends those two and more before: their calls are over."""
        found = calendar(name)
        if found is None:
            return
        window, base, interval = found
        last = within(base, window.before(interval))
        earlier = [one for one in self._accounts if f"{base}{OF}" <= one < last]
        for old in [one for one in earlier if not codec.is_held(self._accounts[one])]:
            del self._accounts[old]

    def _is_over(self, name: str, before: float) -> bool:
        found = calendar(name)
        return found is not None and found[0].leaves(found[2]) <= before and not codec.is_held(self._accounts[name])


def _figures(operation: str, amounts: Amounts) -> Figures:
    figures: Figures = codec.figures_of(amounts)
    if min(figures) < 0 or max(figures) > _LARGEST:
        raise Unwritable(operation, "in memory", f"amounts are whole numbers from 0 to 2^63 - 1; got {amounts}")
    return figures
