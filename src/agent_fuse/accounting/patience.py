"""Patience: what a limit does not admit waits where that helps: for its window, for open calls, for a person."""

from collections.abc import Callable
from typing import Any

from agent_fuse.accounting.booking import Accounting
from agent_fuse.accounting.listeners import Listeners
from agent_fuse.accounting.sweeping import Sweeping
from agent_fuse.accounting.waits import (
    Asker,
    Waited,
    WaitFor,
    busy,
    can_wait,
    until_it_fits,
    wait,
)
from agent_fuse.ledgers.base import Refusal
from agent_fuse.limits import Demand, Limit
from agent_fuse.settings import Settings


class Patience:
    """Waits for model calls and tool actions of one fuse, in the thread that runs them."""

    def __init__(self, settings: Settings, accounting: Accounting) -> None:
        self._settings = settings
        self._ledger = accounting.ledger
        self._clock = accounting.clock
        self.sweeping = Sweeping(accounting)
        self.on_paused: Listeners[[Any]] = Listeners("telling of a paused call")
        """Told of what waits for a person's answer (a `paused_calls.PausedCall`)."""

    def has_waited(self, answer: Refusal, due: Demand, waited: Waited, who: Callable[[], Asker]) -> bool:
        """Wait for what refused something, where that helps; whether its limits may be asked again.

        `who`: what is told to the person who is asked.

        Raises:
            WaitFor: someone else waits for it.
        """
        if answer.stop is not None:
            return False
        if self.sweeping.freed(answer):
            return True
        if self._settings.observes:
            return False
        limit, now = due.limits[due.caps.index(answer.cap)], self._clock()
        try:
            seconds = until_it_fits(answer, limit, waited, now)
            if seconds is None:
                seconds = busy(answer, limit, waited, self._settings.busy_wait)
            pauses = seconds is None and (limit.on_tight or self._settings.on_tight) == "pause"
            waited.in_loop = (pauses or (seconds is not None and limit.on_limit == "wait")) and not can_wait()
            if seconds is not None:
                self._stand(answer, waited, now, seconds)
            elif pauses:
                seconds = self._asked(answer, limit, waited, who)
            return seconds is not None and wait(seconds, waited)
        except WaitFor:
            raise
        except BaseException:  # a KeyboardInterrupt: it asks nobody any more
            waited.end()
            raise

    def _stand(self, short: Refusal, waited: Waited, now: float, seconds: float) -> None:
        """In line with all others who wait for room there."""
        if not can_wait():
            return
        standing = waited.standing
        if standing is None:
            from agent_fuse.accounting.line import PlaceInLine  # noqa: PLC0415  few calls wait

            standing = waited.standing = PlaceInLine(self._ledger, now)
        waited.leave = lambda: standing.leave(self._clock())
        standing.stand(short, now, seconds)

    def _asked(self, short: Refusal, limit: Limit, waited: Waited, who: Callable[[], Asker]) -> float | None:
        most = self._settings.pause_for if limit.pause_for is None else limit.pause_for
        from agent_fuse.accounting.pauses import Pauses  # noqa: PLC0415  few calls ever ask a person

        return Pauses(self._ledger, self._clock, self.on_paused).until_asked_again(who, short, limit, waited, most)
