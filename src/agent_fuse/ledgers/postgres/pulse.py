"""The pulse of a process that holds something: others see by it, from any machine, that it is still there."""

import time
from contextlib import suppress

from agent_fuse.ledgers.owners import this_process
from agent_fuse.ledgers.postgres import queries
from agent_fuse.ledgers.postgres.connections import ServerConnections
from agent_fuse.ledgers.rounds import Rounds

EVERY = 10.0
"""Seconds between two beats; the first comes with the first round."""
IDLE = 30.0
"""Seconds without a hold after which it stops."""


class Pulse:
    """Writes, while this process holds anything, when that was last so by the server's clock, and how our own differs.

    A note of the ledger keeps it: workers need no right for it that they have not.
    """

    def __init__(self, server: ServerConnections) -> None:
        here = this_process()
        self.owner = here.host, here.pid, here.started
        self._server = server
        self._rounds = Rounds(self._go_round, "pulse")
        self._told = (0.0, 0.0)
        self._next = self._held_at = 0.0

    def holding(self, now: float) -> tuple[str, int, int]:
        """Whose a hold is that is taken now: this process's, which is to be heard of."""
        self._told = (now, time.monotonic())
        with suppress(RuntimeError):  # no thread can be begun: at the end of Python, or past the system's limit
            self._rounds.begin()
        return self.owner

    def end(self) -> None:
        """No more, unless something is held anew."""
        self._rounds.end()

    def _go_round(self) -> bool:
        at = time.monotonic()
        now, told_at = self._told
        if at >= self._next:
            self._next = at + EVERY
            if self._server.ask("beat", queries.BEAT, (now + at - told_at, *self.owner)):
                self._held_at = at
        if at - max(told_at, self._held_at) < IDLE:
            return True
        self._server.ask("beat", queries.STILL, (self.owner[1], self.owner[2], self.owner[0]))
        return False
