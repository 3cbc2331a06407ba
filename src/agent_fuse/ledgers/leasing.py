"""The ledger for `lease=True`: a worker takes slices of limits from a ledger far away, and spends them by itself."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from agent_fuse.account_names import plain
from agent_fuse.calls import Entry
from agent_fuse.ledgers import codec, forks
from agent_fuse.ledgers.base import (
    Amounts,
    Balance,
    Cap,
    Hold,
    NoteChange,
    Refusal,
    Reservation,
    Settling,
)
from agent_fuse.ledgers.leases.after import BalancesOfSlice
from agent_fuse.ledgers.leases.base import LeasedCall, Lessor
from agent_fuse.ledgers.leases.control_watch import ControlWatch
from agent_fuse.ledgers.leases.slice import key_of
from agent_fuse.ledgers.leases.slices import Slices

T = TypeVar("T")


class LeasingLedger:
    """Takes slices of limits of `ledger`, and spends them in this process.

    A slice is a hold in the ledger, on all accounts of the calls it is for and judged by all their caps: whatever is
    spent of it was held before, so that no cap is passed. Calls near a cap, under a control, or that no slice can be
    taken for go to the ledger one by one. Whoever reads here reads what is exact: slices are given back first.
    """

    def __init__(self, ledger: Lessor) -> None:
        self._ledger = ledger
        self._begin()
        forks.watch(self)

    def reserve(self, hold: Hold, *, now: float) -> Reservation | Refusal:
        """See Ledger."""
        call = hold.entry.id
        mine = self._slices.of_call(call)
        key = key_of(hold)
        if key is not None and not self._slices.is_done(call) and not self._is_controlled(hold):
            of = self._slices.of(key, hold)
            if (mine is None or mine is of) and self._slices.take(of, hold, now):
                return Reservation(call, BalancesOfSlice(key[0], of))
        if mine is not None or self._slices.is_done(call):
            self._slices.hand_over(call, now)
        return self._with_room(lambda: self._ledger.reserve(hold, now=now), now)

    def settle(self, entry: Entry, accounts: Sequence[str], amounts: Amounts, *, now: float) -> Settling:
        """See Ledger."""
        figures: codec.Figures = codec.figures_of(amounts)
        if not entry.status.is_booked or min(figures) < 0 or max(figures) >= 2**63:
            return self._ledger.settle(entry, accounts, amounts, now=now)
        if self._slices.finish(entry, LeasedCall(entry, (), amounts), now):
            return Settling.BOOKED
        return self._ledger.settle(entry, accounts, amounts, now=now)

    def count(self, hold: Hold, note: NoteChange | None = None, *, now: float) -> Reservation | Refusal | None:
        """See Ledger."""
        call = hold.entry.id
        if self._slices.of_call(call) is not None or self._slices.is_done(call):
            self._slices.hand_over(call, now)
        answer = self._ledger.count(hold, note, now=now)
        if isinstance(answer, Refusal) and self._slices.give_back(answer.cap.account, now):
            return self._ledger.count(hold, now=now)  # the note was changed already
        return answer

    def release(self, id: str, *, now: float) -> bool:
        """See Ledger."""
        return self._slices.drop(id, now) or self._ledger.release(id, now=now)

    def refuse(self, entry: Entry, accounts: Sequence[str], *, now: float) -> None:
        """See Ledger."""
        if self._slices.is_done(entry.id):
            self._slices.hand_over(entry.id, now)
        self._ledger.refuse(entry, accounts, now=now)

    def used_up(self, caps: Sequence[Cap], subjects: Iterable[str] = (), *, now: float) -> Refusal | None:
        """See Ledger. While a slice has something left of each cap, the ledger is not asked."""
        also = tuple(subjects)
        if caps and self._slices.have_left(caps):
            self._controls.refresh()
            if not self._controls.touches((*(cap.account for cap in caps), *also)):
                return None
        return self._with_room(lambda: self._ledger.used_up(caps, also, now=now), now)

    def control(
        self, account: str, before: str | None, after: str | None, note: tuple[str, bytes] | None = None, *, now: float
    ) -> bool:
        """See Ledger. Other processes that lease hear of it within a second."""
        self._controls.forget()
        return self._ledger.control(account, before, after, note, now=now)

    def controls(self, accounts: Iterable[str] | None = None) -> dict[str, str]:
        """See Ledger."""
        return self._ledger.controls(accounts)

    def balances(self, accounts: Sequence[str], *, now: float | None = None) -> dict[str, Balance]:
        """See Ledger."""
        self._slices.give_all_back(now)
        return self._ledger.balances(accounts, now=now)

    def accounts(self) -> Iterator[tuple[str, Balance]]:
        """See Ledger."""
        self._slices.give_all_back()
        return self._ledger.accounts()

    def holds(self) -> list[Hold]:
        """See Ledger."""
        self._slices.give_all_back()
        return self._ledger.holds()

    def journal(self, *, since: float = 0, limit: int | None = None) -> Iterator[Entry]:
        """See Ledger."""
        self._slices.give_all_back()
        return self._ledger.journal(since=since, limit=limit)

    def sweep(self, *, now: float) -> list[Entry]:
        """See Ledger."""
        self._slices.give_all_back(now)
        return self._ledger.sweep(now=now)

    def prune(self, *, before: float) -> int:
        """See Ledger."""
        self._slices.give_all_back()
        return self._ledger.prune(before=before)

    def update_note(self, key: str, change: Callable[[bytes | None], tuple[bytes | None, T]], *, now: float) -> T:
        """See Ledger."""
        return self._ledger.update_note(key, change, now=now)

    def close(self) -> None:
        """See Ledger. Slices are given back, and calls that are open are holds of their own."""
        self._slices.close()
        self._ledger.close()

    def before_fork(self) -> None:
        """Nothing to do: slices are the parent's."""

    def after_fork(self, *, child: bool) -> None:
        """A child has no slices."""
        if child:
            self._slices.forsake()
            self._begin()

    def _begin(self) -> None:
        self._controls = ControlWatch(self._ledger)
        self._slices = Slices(self._ledger)

    def _is_controlled(self, hold: Hold) -> bool:
        self._controls.refresh()
        if not self._controls.any():
            return False
        names = (*hold.accounts, *hold.subjects(), *(cap.account for cap in hold.caps))
        return self._controls.touches(map(plain, names))

    def _with_room(self, ask: Callable[[], T], now: float) -> T:
        """Ask, and once more where what this process has leased and not spent may be what was lacking."""
        answer = ask()
        if isinstance(answer, Refusal) and answer.stop is None and self._slices.give_back(answer.cap.account, now):
            return ask()
        return answer
