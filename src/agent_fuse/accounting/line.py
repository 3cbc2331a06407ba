"""The line: who waits for room has a place in the ledger, and whoever came first goes first, over all processes.

What it waits for counts as held for those who come later (`Controls.ahead`); while nobody waits nothing is asked of it.
Whoever waits says so again and again: the place of one that was killed, or stands still, is given up after a moment.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from agent_fuse.account_names import plain
from agent_fuse.ledgers import deciding
from agent_fuse.ledgers.base import Ledger, LedgerError, Place, Refusal
from agent_fuse.ledgers.controls import Control, Waiter
from agent_fuse.seams import GOES_ON, quietly

MOST = 100
"""So many may stand in line for one account. Who comes when it is full asks again until there is a place."""

_LATE_SECONDS = 0.5
"""A place lasts so much longer than until it is asked for again; twice that when it is said anew."""


class PlaceInLine:
    """One call's, or one tool's, place in line; the same one on every account that it waits for."""

    def __init__(self, ledger: Ledger, since: float) -> None:
        self._ledger = ledger
        self.place: Place = since, os.urandom(8).hex()
        self._said: dict[str, Waiter] = {}
        """By account, what was said of it last."""

    def stand(self, short: Refusal, now: float, seconds: float) -> None:
        """It was refused so, and will ask again after `seconds`."""
        cap, account = short.cap, plain(short.cap.account)
        last, until = self._said.get(account), now + seconds
        if last is None or last.on != cap.account or last.meter is not cap.meter or last.until < until + _LATE_SECONDS:
            since, mine = self.place
            until += 2 * _LATE_SECONDS
            one = Waiter(since=since, id=mine, on=cap.account, meter=cap.meter, amount=short.requested, until=until)
            self._said[account] = one
            self._say(account, one, now)

    def leave(self, now: float) -> None:
        """It has what it waited for, or gave up."""
        said, self._said = self._said, {}
        for account in said:
            self._say(account, None, now)

    def _say(self, account: str, one: Waiter | None, now: float) -> None:
        quietly("standing in line", GOES_ON, self._tell, account, partial(_with, one, self.place[1], now), now)

    def _tell(self, account: str, how: Callable[[Control], Control], now: float) -> None:
        with suppress(LedgerError):  # then it waits without a place
            deciding.change(self._ledger, account, how, now=now)


def _with(one: Waiter | None, id: str, now: float, found: Control) -> Control:
    others = [each for each in found.waiting if each.id != id and each.waits_at(now)]
    mine = (one,) if one is not None and len(others) < MOST else ()
    return replace(found, waiting=(*others, *mine))
