"""The slices of one process: which call is of which, and the steps that renew them and give them back."""

import atexit
import contextlib
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from uuid import uuid4

from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers import codec
from agent_fuse.ledgers.base import Amounts, Busy, Cap, Hold, LedgerError, Meter, Unwritable
from agent_fuse.ledgers.leases import mending
from agent_fuse.ledgers.leases.base import PREFIX, LeasedCall, LeaseStep, Lessor, Taken
from agent_fuse.ledgers.leases.slice import Key, Slice
from agent_fuse.ledgers.rounds import Rounds
from agent_fuse.ledgers.waiting import elsewhere, in_event_loop, patience
from agent_fuse.locks import Lock

LIVES = 30.0
"""Seconds after which the ledger presumes a slice spent."""
RENEWED = 10.0
"""Seconds after which a slice is renewed, and calls that are open since before the last time leave it."""
PARTS = 20
"""Calls of the 95th percentile, at most, in a slice."""
COLD = 1.0
"""Seconds for which calls go one by one after there was no room for a slice."""
IDLE = 2.0
"""Seconds after which a slice that nobody uses is given back."""
MOST = 1_000
"""Slices of a process; calls beyond go one by one."""
UNSURE = 120.0
"""Seconds for which it is looked whether a step that failed was done after all."""
LINES = 200
"""Lines that wait to be booked, of one slice."""

_MARGIN = 5.0
"""By so much a slice ends earlier here than there."""
_WAIT = 5.0
_open: "weakref.WeakSet[Slices]" = weakref.WeakSet()


class Slices:
    """All slices of a process."""

    def __init__(self, ledger: Lessor) -> None:
        self._ledger = ledger
        self._by_key: dict[Key, Slice] = {}
        self._of_call: dict[str, Slice] = {}
        self._spent: dict[str, Slice] = {}
        self._of_cap: dict[tuple[str, Meter, int], Slice] = {}
        self._now = (0.0, 0.0)
        self._adding = Lock()
        self._rounds = Rounds(self._go_round, "leases")
        _open.add(self)

    def of(self, key: Key, hold: Hold) -> Slice:
        """The slice that calls of a key are taken from."""
        found = self._by_key.get(key)
        if found is None:
            with self._adding:
                found = self._by_key.setdefault(key, Slice(key, tuple(hold.caps), hold.accounts))
        return found

    def of_call(self, call: str) -> Slice | None:
        """The slice that an open call holds some of."""
        return self._of_call.get(call)

    def is_done(self, call: str) -> bool:
        """Whether a call was spent of a slice, and is not booked yet."""
        return call in self._spent

    def have_left(self, caps: Sequence[Cap]) -> bool:
        """Whether there is something left of every cap here."""
        for cap in caps:
            found = self._of_cap.get((cap.account, cap.meter, cap.amount - cap.kept))
            if found is None or not found.has_left(cap.meter):
                return False
        return True

    def take(self, of: Slice, hold: Hold, now: float) -> bool:
        """Hold some of a slice for a call, which is renewed where nothing is left. Raises LedgerError."""
        self._now = (now, time.monotonic())
        asked: codec.Figures = codec.figures_of(hold.amounts)
        of.sizes.add(asked)
        if self._take(of, hold):
            return True
        if time.monotonic() < of.cold_until or (not of.names and len(self._by_key) > MOST):
            return False
        self._in_turn(of, partial(self._renew, of, hold, now), must=False)
        return self._take(of, hold)

    def _renew(self, of: Slice, hold: Hold, now: float) -> None:
        if self._by_key.setdefault(of.key, of) is not of or time.monotonic() < of.cold_until or of.fits(hold):
            return  # another thread was here
        self._step(of, PARTS, now)
        if not of.fits(hold):
            of.cold_until = time.monotonic() + COLD

    def finish(self, entry: Entry, line: LeasedCall, now: float) -> bool:
        """A call is over: whether it was spent of a slice. Raises LedgerError."""
        of = self._of_call.get(entry.id)
        if of is None:
            if self.is_done(entry.id):
                self.hand_over(entry.id, now)
            return False
        self._spent[entry.id] = of
        if not of.finish(entry, line):
            self._in_turn(of, lambda: None)  # it leaves the slice just now
            if not of.finish(entry, line):
                self._spent.pop(entry.id, None)
                return False
        self._of_call.pop(entry.id, None)
        if of.waiting() >= LINES:
            self._in_turn(of, lambda: self._step(of, PARTS, now) if of.waiting() >= LINES else None, must=False)
        return True

    def drop(self, call: str, now: float) -> bool:
        """A call did not happen: whether it held some of a slice."""
        of = self._of_call.get(call)
        if of is None:
            if self.is_done(call):
                self.hand_over(call, now)
            return False
        if not of.drop(call):
            self._in_turn(of, lambda: None)
            if not of.drop(call):
                return False
        self._of_call.pop(call, None)
        if call in of.maybe:
            self._ledger.release(call, now=now)
        return True

    def hand_over(self, call: str, now: float) -> None:
        """Leave a call to the ledger: all calls of its slice are booked, or holds of their own. Raises LedgerError."""
        of = self._of_call.get(call) or self._spent.get(call)
        if of is not None:
            self._in_turn(of, lambda: self._step(of, 0, now, leave=True))

    def give_back(self, account: str, now: float) -> bool:
        """Give back what is left of slices on an account: whether there was anything. Raises LedgerError."""
        found = [of for of in list(self._by_key.values()) if account in of.key[0] and of.has_any()]
        for of in found:
            self._in_turn(of, partial(self._step, of, 0, now))
        return bool(found)

    def give_all_back(self, now: float | None = None) -> None:
        """Book all, give all slices back; calls that are open are holds of their own. Raises LedgerError."""
        for of in list(self._by_key.values()):
            if not of.is_empty():
                self._in_turn(of, partial(self._step, of, 0, self._at() if now is None else now, leave=True))

    def forsake(self) -> None:
        """They are another process's, whose copy this is: nothing of them may be given back here."""
        _open.discard(self)
        self._by_key, self._of_call, self._spent, self._of_cap = {}, {}, {}, {}

    def close(self) -> None:
        """Give all back, as far as that can be done."""
        self._rounds.end()
        with contextlib.suppress(LedgerError):
            self.give_all_back()

    def _in_turn(self, of: Slice, work: Callable[[], None], *, must: bool = True) -> None:
        """Do what one thread at a time may do with a slice. For an event loop a thread does it, to its end in any case.

        Raises:
            LedgerError: it failed; Busy, where it must be done, and an event loop waits no longer.
        """

        def alone() -> None:
            with of.stepping:
                work()

        if not in_event_loop():
            alone()
        elif not elsewhere(alone, patience(_WAIT)) and must:
            raise Busy("lease", "far away", "a slice was not given back while an event loop waits")

    def _take(self, of: Slice, hold: Hold) -> bool:
        """The call is known as of this slice before it holds any: whoever settles it finds it."""
        call = hold.entry.id
        had = self._of_call.get(call)
        self._of_call[call] = of
        if of.take(hold):
            return True
        if had is None:
            self._of_call.pop(call, None)
        return False

    def _step(self, of: Slice, most: int, now: float, *, leave: bool = False) -> None:
        """Renew a slice, or with no parts give it back. The caller holds `stepping`."""
        at = time.monotonic()
        carried = of.carry_over(at if leave else at - RENEWED)
        of.unsure[:] = [(name, since) for name, since in of.unsure if at - since < UNSURE]
        before = [*of.names, *(name for name, _ in of.unsure)]
        if not (most or before or carried.lines or carried.opened or any(carried.kept)):
            return
        name = f"{PREFIX}{uuid4().hex}"
        of.names.append(name)
        unit: codec.Figures = of.sizes.part() if most else codec.NOTHING
        self._rounds.begin()
        hold = _hold_of(of, name, codec.amounts(carried.kept), now)
        step = LeaseStep(
            before=before,
            ended=replace(hold.entry, status=Status.SETTLED, cost=0),
            lines=carried.lines,
            opened=[one.hold for one in carried.opened],
            hold=hold,
            unit=codec.amounts(unit),
            most=most,
        )
        try:
            taken = self._lease(step, now)
        except BaseException:
            of.unsure.append((name, at))
            of.stay()
            raise
        of.names[:] = [name] if taken.parts or any(carried.kept) else []
        of.stepped_at = at
        until = at + LIVES - _MARGIN if taken.parts else 0.0
        of.renew(carried, tuple(one * taken.parts for one in unit), until, taken.balances)
        for one in carried.opened:
            self._of_call.pop(one.hold.entry.id, None)
        for line in carried.lines:
            self._spent.pop(line.entry.id, None)
        for cap in of.caps:
            self._of_cap[cap.account, cap.meter, cap.amount - cap.kept] = of

    def _lease(self, step: LeaseStep, now: float) -> Taken:
        try:
            return self._ledger.lease(step, now=now)
        except Unwritable:
            if not step.lines:
                raise
            mending.book_alone(self._ledger, step.lines, now)
            return self._ledger.lease(replace(step, lines=()), now=now)

    def _go_round(self) -> bool:
        """Renew, give back, forget: whether there is anything left to look after. Raises LedgerError."""
        at = time.monotonic()
        for key, of in list(self._by_key.items()):
            idle = at - of.used_at >= IDLE
            due = at - of.stepped_at >= RENEWED
            if not of.is_empty() and (due or (idle and (of.has_any() or of.waiting()))):
                with of.stepping:
                    self._step(of, 0 if idle else PARTS, self._at())
            elif of.is_empty() and idle:
                with self._adding, of.stepping:
                    if of.is_empty() and time.monotonic() - of.used_at >= IDLE:
                        self._forget(key, of)
        return bool(self._by_key)

    def _forget(self, key: Key, of: Slice) -> None:
        del self._by_key[key]
        for name in [name for name, one in self._of_cap.items() if one is of]:
            del self._of_cap[name]

    def _at(self) -> float:
        """The time as whoever calls tells it."""
        told, at = self._now
        return told + time.monotonic() - at if told else time.time()


def _hold_of(of: Slice, name: str, kept: Amounts, now: float) -> Hold:
    entry = Entry(id=name, at=now, status=Status.ESTIMATED, operation="lease", cost=kept.usd)
    return Hold(entry=entry, accounts=of.accounts, amounts=kept, caps=of.caps, expires_at=now + LIVES)


@atexit.register
def _at_exit() -> None:
    for one in list(_open):
        one.close()
