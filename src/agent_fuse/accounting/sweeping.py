"""Sweeping: what a process that was killed still holds is looked for where it may be what refuses a call."""

import time

from agent_fuse.accounting.booking import Accounting
from agent_fuse.accounting.call_request import Event
from agent_fuse.errors import SentinelSystemError
from agent_fuse.ledgers.base import Refusal
from agent_fuse.ledgers.waiting import elsewhere, in_event_loop
from agent_fuse.limits import Demand
from agent_fuse.seams import GOES_ON, quietly

SECONDS = 1.0
"""How often one process looks at most."""

_NOTHING_DUE = Demand((), (), ())


class Sweeping:
    """Turns what dead processes hold into presumed spend, for one fuse."""

    def __init__(self, accounting: Accounting) -> None:
        self._accounting = accounting
        self._next = 0.0
        """When to look again (time.monotonic)."""

    def freed(self, short: Refusal) -> bool:
        """Whether anything of what others hold was a dead process's, so that the limits may be asked again.

        An event loop does not stand still for it: whoever is asked again there finds what was found meanwhile.
        """
        if short.held <= short.ahead or time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + SECONDS
        if in_event_loop():
            elsewhere(self._beside, 0)
            return False
        return self._quietly()

    def _beside(self) -> None:
        self._quietly()

    def _quietly(self) -> bool:
        return bool(quietly("looking for what dead processes hold", GOES_ON, self._sweep))

    def _sweep(self) -> bool:
        ledger, clock = self._accounting.ledger, self._accounting.clock
        try:
            found = self._accounting.retry.ask("sweep", lambda: ledger.sweep(now=clock()))
        except SentinelSystemError:  # told already; the refusal stands
            return False
        for entry in found:
            self._accounting.tell(Event(entry, _NOTHING_DUE))
        return bool(found)
