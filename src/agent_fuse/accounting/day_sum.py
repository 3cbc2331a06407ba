"""The day's sum: what all sessions together have spent since midnight; a word when it is much and nothing caps it."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from agent_fuse.account_names import ALL
from agent_fuse.ledgers.base import Balance, Ledger, LedgerError, Meter
from agent_fuse.limits import Limit

log = logging.getLogger("agent_fuse")

NOTE = "day/sum"
"""One note in the ledger: the day it is of, what the whole ledger had spent when it began, whether it was warned of."""

TIMES = 20
"""A day's sum of so many budgets is worth a warning."""

_DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class DayNote:
    """The note, read."""

    day: str
    """UTC: `2026-11-26`."""
    begin: int
    """Nano-dollars that the whole ledger had spent when the first call of that day was admitted."""
    told: bool = False

    @staticmethod
    def read(value: bytes | None) -> "DayNote | None":
        """From its bytes; None where there is none, or a later version wrote it."""
        try:
            found = cast("dict[str, Any]", json.loads(value or b"null"))
            return DayNote(day=str(found["day"]), begin=int(found["begin"]), told=bool(found["told"]))
        except (ValueError, KeyError, TypeError):
            return None

    def written(self) -> bytes:
        """As bytes."""
        return json.dumps({"day": self.day, "begin": self.begin, "told": self.told}).encode()


class DaySum:
    """Watches what the whole ledger spends in a day (UTC). One comparison a call; a note at the first call of a day.

    Only where a budget per session could mislead: with a limit in USD on everything there is nothing to tell.
    """

    def __init__(self, limits: Sequence[Limit], ledger: Ledger, clock: Callable[[], float]) -> None:
        usd = [limit for limit in limits if limit.meter is Meter.USD]
        budgets = [] if any(limit.key == ALL for limit in usd) else [one for one in usd if one.key == "session"]
        self.budget = min(budgets, key=lambda one: one.cap, default=None)
        self._ledger = ledger
        self._clock = clock
        self._ends = 0.0
        self._look_at: float = 0
        """Nano-dollars of the whole ledger at which to look again, until the day ends."""

    def passed(self, balances: Mapping[str, Balance]) -> int | None:
        """Nano-dollars spent today, where they have just passed `TIMES` budgets and nobody told yet; else None."""
        if self.budget is None or not self.budget.cap:
            return None
        try:
            everything = balances.get(ALL)  # some ledgers sum it when it is asked for
        except LedgerError as failed:
            _not_known(failed)
            return None
        if everything is None:
            return None
        spent, now = everything.settled.usd, self._clock()
        if now < self._ends and spent < self._look_at:
            return None
        return self._look(spent, now, TIMES * self.budget.cap)

    def _look(self, spent: int, now: float, much: int) -> int | None:
        day = day_of(now)

        def change(note: bytes | None) -> tuple[bytes | None, tuple[DayNote, bool]]:
            found = DayNote.read(note)
            if found is None or found.day < day:
                found = DayNote(day=day, begin=spent)
            tells = not found.told and spent - found.begin > much
            after = DayNote(day=found.day, begin=found.begin, told=found.told or tells)
            return after.written(), (after, tells)

        try:
            today, tells = self._ledger.update_note(NOTE, change, now=now)
        except LedgerError as failed:
            _not_known(failed)
            return None
        self._ends = (now // _DAY + 1) * _DAY
        self._look_at = float("inf") if today.told else today.begin + much
        return spent - today.begin if tells else None


def _not_known(failed: LedgerError) -> None:
    log.debug("the day's sum is not known: %s", failed)  # the call itself tells of a broken ledger


def spent_today(note: bytes | None, spent: int, now: float) -> int | None:
    """Nano-dollars spent today (UTC) in a ledger with this note, which has spent so much in all.

    0 before a call; None where no fuse notes it: with a limit in USD on everything none does.
    """
    found = DayNote.read(note)
    if found is None:
        return None
    return max(spent - found.begin, 0) if found.day == day_of(now) else 0


def day_of(now: float) -> str:
    """The day (UTC) of a moment, seconds, UTC epoch."""
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"
