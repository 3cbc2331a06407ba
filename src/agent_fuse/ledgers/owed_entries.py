"""Owed: what was counted while a ledger was away, kept within bounds, and written to it when it is back."""

import logging
from dataclasses import dataclass

from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers.base import ZERO, Amounts, Ledger, Unwritable, total
from agent_fuse.ledgers.memory import Account, MemoryLedger
from agent_fuse.locks import RLock

_log = logging.getLogger("agent_fuse")
_PROBE = "arrears:probe"


@dataclass(slots=True)
class _Sum:
    first: Entry
    calls: int = 0
    amounts: Amounts = ZERO


class Owed:
    """Books in memory (`twin`), holds to be given back, and sums. `lock` guards all of it.

    Beyond `remembered` calls the older half is summed, for each set of accounts: no amount is lost, only the lines.
    Refused calls cost nothing; the older ones of them are dropped then.
    """

    def __init__(self, remembered: int) -> None:
        self.lock = RLock()
        self.twin = MemoryLedger()
        self.held_there: set[str] = set()
        """Calls with a hold in the real ledger, as far as this process took them."""
        self._released: dict[str, None] = {}
        self._sealed: list[Account] = []
        self._sums: dict[tuple[str, ...], _Sum] = {}
        self._remembered = remembered
        self._count = 0

    def came(self) -> None:
        """One more line has come to the twin."""
        self._count += 1
        if self._count <= self._remembered:
            return
        lines = self.twin.lines()
        for line in lines[: len(lines) // 2 + 1]:
            self.twin.forget(line)
            if line.entry.status.is_booked:
                one = self._sums.setdefault(line.accounts, _Sum(line.entry))
                one.calls += 1
                one.amounts = total((one.amounts, line.amounts))
                self.give_back(line.entry.id)
        self._count = len(self.twin.lines())

    def give_back(self, id: str) -> bool:
        """Release the call's hold in the real ledger, later. False when it has none, or booking will free it."""
        if id not in self.held_there or self.twin.is_booked(id):
            return False
        self._released[id] = None
        return True

    def is_empty(self) -> bool:
        """Whether all that came is written. Open holds of the twin do not count."""
        with self.lock:
            return not (self._released or self._sealed or self._sums or self.twin.lines())

    def clear(self) -> None:
        """With nothing owed, forget what the twin's accounts add up to."""
        with self.lock:
            if self.is_empty():
                self.twin = MemoryLedger()
                self.held_there.clear()
                self._count = 0

    def usd(self) -> int:
        """Nano-dollars not yet written."""
        lines = [*self._sealed, *self.twin.lines()]
        return total([line.amounts for line in lines] + [one.amounts for one in self._sums.values()]).usd

    def write(self, real: Ledger, *, now: float) -> int:
        """Write what there is, without keeping others from counting on. Returns lines written.

        Any step may be repeated after a failure half-way: settling is idempotent, and a sealed sum never grows.

        Raises:
            LedgerError: the ledger is away still; what was not written stays owed.
        """
        # A ledger that has only nothing to say may still be unable to write; the probe is a write.
        real.update_note(_PROBE, lambda _: (b"", None), now=now)
        with self.lock:
            self._seal()
            released, sealed, lines = list(self._released), list(self._sealed), self.twin.lines()
        for call in released:
            real.release(call, now=now)
            with self.lock:
                self._released.pop(call, None)
                self.held_there.discard(call)
        for line in sealed:
            _write(real, line, now)
            self._sealed.remove(line)
        for line in lines:
            _write(real, line, now)
            self.twin.forget(line)
            if line.entry.status.is_booked:
                self.held_there.discard(line.entry.id)
        return len(sealed) + len(lines)

    def hand_over(self, real: Ledger, *, now: float) -> bool:
        """With nothing owed, move the open holds to the real ledger and start anew. False when more has come."""
        with self.lock:
            if not self.is_empty():
                return False
            for hold in self.twin.holds():
                self.held_there.add(hold.entry.id)  # before it is asked: it may fail with the hold taken
                real.reserve(hold, now=now)
            self.twin = MemoryLedger()
            self._count = 0
            return True

    def _seal(self) -> None:
        sealed = [_sealed(accounts, one) for accounts, one in self._sums.items()]
        # In one step, with no call in it: a KeyboardInterrupt comes before or after.
        self._sealed, self._sums = self._sealed + sealed, {}


def _sealed(accounts: tuple[str, ...], one: _Sum) -> Account:
    entry = Entry(
        id=f"arrears:{one.first.id}",
        at=one.first.at,
        status=Status.SETTLED,
        session=one.first.session,
        cost=one.amounts.usd,
        input_tokens=max(one.amounts.tokens - one.amounts.output_tokens, 0),
        output_tokens=one.amounts.output_tokens,
        reason=f"arrears of {one.calls} calls",
    )
    return Account(entry, accounts, one.amounts)


def _write(real: Ledger, line: Account, now: float) -> None:
    try:
        if not line.entry.status.is_booked:
            real.refuse(line.entry, line.accounts, now=now)
        else:
            real.settle(line.entry, line.accounts, line.amounts, now=now)
    except Unwritable as error:
        _log.error("call %s of the arrears can never be booked and is dropped: %s", line.entry.id, error)
