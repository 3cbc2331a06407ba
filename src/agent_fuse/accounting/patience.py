"""Patience: what a limit does not admit waits where that helps: for its window, for open calls, for a person."""

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from agent_fuse.accounting.booking import Accounting
from agent_fuse.accounting.listeners import Listeners
from agent_fuse.accounting.waits import (
    BUSY_SECONDS,
    Asker,
    Waited,
    WaitFor,
    busy,
    can_wait,
    until_it_fits,
    wait,
)
from agent_fuse.ledgers.base import Refusal
from agent_fuse.limits import Demand
from agent_fuse.settings import Settings

if TYPE_CHECKING:
    from agent_fuse.accounting.line import Line


_making = threading.Lock()


class Patience:
    """Waits for model calls and tool actions of one fuse, in the thread that runs them."""

    def __init__(self, settings: Settings, accounting: Accounting) -> None:
        self._settings = settings
        self._ledger = accounting.ledger
        self._clock = accounting.clock
        self.line: Line | None = None
        """Who waits for open calls; None until someone does."""
        self.on_paused: Listeners[[Any]] = Listeners("telling of a paused call")
        """Told of what waits for a person's answer (a `paused_calls.PausedCall`)."""

    def stands_back(self, line: "Line", due: Demand, waited: Waited) -> bool:
        """Wait a moment behind calls that came first and wait for room that this one asks for; whether it did.

        It does so for as long as it would wait itself, and asks for room then.

        Raises:
            WaitFor: someone else waits for it.
        """
        ahead = line.ahead(waited, (cap.account for cap in due.caps))
        if not ahead or self._settings.observes:
            return False
        limits = [limit for cap, limit in zip(due.caps, due.limits, strict=True) if cap.account in ahead]
        patient = max((limit.max_wait for limit in limits if limit.on_limit == "wait"), default=0.0)
        if waited.seconds + BUSY_SECONDS > patient:
            if waited.busy_seconds + BUSY_SECONDS > self._settings.busy_wait:
                return False
            waited.busy_seconds += BUSY_SECONDS
        return self._in_line(BUSY_SECONDS, waited, ahead)

    def _in_line(self, seconds: float, waited: Waited, accounts: Iterable[str]) -> bool:
        if can_wait():
            waited.line = self._line()
            waited.line.stand(waited, accounts)
        try:
            return wait(seconds, waited)
        except WaitFor:
            raise
        except BaseException:  # a KeyboardInterrupt
            waited.end()
            raise

    def _line(self) -> "Line":
        with _making:
            if self.line is None:
                from agent_fuse.accounting.line import Line  # noqa: PLC0415  few calls wait

                self.line = Line()
            return self.line

    def has_waited(self, answer: Refusal, due: Demand, waited: Waited, who: Callable[[], Asker]) -> bool:
        """Wait for what refused something, where that helps; whether its limits may be asked again.

        `who`: what is told to the person who is asked.

        Raises:
            WaitFor: someone else waits for it.
        """
        if answer.stop is not None or self._settings.observes:
            return False
        try:
            seconds = self._seconds(answer, due, waited, who)
            if seconds is not None and answer.busy:
                return self._in_line(seconds, waited, (answer.cap.account,))
            return seconds is not None and wait(seconds, waited)
        except WaitFor:
            raise
        except BaseException:  # a KeyboardInterrupt: nobody is to be asked any more
            waited.end()
            raise

    def _seconds(self, answer: Refusal, due: Demand, waited: Waited, who: Callable[[], Asker]) -> float | None:
        limit = due.limits[due.caps.index(answer.cap)]
        seconds = until_it_fits(answer, limit, waited, self._clock())
        if seconds is None:
            seconds = busy(answer, limit, waited, self._settings.busy_wait)
        if seconds is not None or (limit.on_tight or self._settings.on_tight) != "pause":
            return seconds
        most = self._settings.pause_for if limit.pause_for is None else limit.pause_for
        from agent_fuse.accounting.pauses import Pauses  # noqa: PLC0415  few calls ever ask a person

        return Pauses(self._ledger, self._clock, self.on_paused).until_asked_again(who, answer, limit, waited, most)
