"""How the ledger is asked: again while it may yet answer, and without end for what must not be lost."""

import itertools
import logging
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from agent_fuse.accounting.backlog import TRY_AGAIN_SECONDS, Backlog
from agent_fuse.accounting.listeners import Listeners
from agent_fuse.accounting.waits import Waited
from agent_fuse.calls import Entry
from agent_fuse.errors import SentinelSystemError
from agent_fuse.ledgers.base import Amounts, Busy, Ledger, LedgerError, Unwritable
from agent_fuse.ledgers.waiting import in_event_loop, without_waiting
from agent_fuse.settings import Settings

log = logging.getLogger("agent_fuse")

T = TypeVar("T")


class LedgerRetry:
    """Stands between the fuse and its ledger.

    What is asked before a call is answered or refused. What is booked after it waits, if the ledger cannot take it now:
    nothing is lost while we live. An event loop waits for nobody then: what others keep busy is booked by a thread.
    """

    def __init__(self, ledger: Ledger, settings: Settings, clock: Callable[[], float], backlog: Backlog) -> None:
        self._ledger = ledger
        self._max_retries = settings.max_retries
        self._patience = 0.0 if settings.observes else settings.lock_timeout
        self._clock = clock
        self.backlog = backlog
        self._failed_at = 0.0
        """When the ledger failed last (time.monotonic); 0 when it has not, or has taken something since."""
        self.on_error: Listeners[[str]] = Listeners("counting a failure of the ledger")
        """Told which operation the ledger could not do."""

    def ask(self, operation: str, work: Callable[[], T], unsure: Callable[[], None] | None = None) -> T:
        """The ledger's answer, tried again up to `max_retries` times.

        `unsure` is told where it may have done what was asked, and could not say so.

        Raises:
            SentinelSystemError: it cannot answer.
        """
        for attempt in itertools.count():
            try:
                answer = work()
            except LedgerError as failed:
                if failed.unsure and unsure is not None:
                    unsure()
                waited = isinstance(failed, Busy) and in_event_loop()
                if waited or isinstance(failed, Unwritable) or attempt >= self._max_retries:
                    self._tell(operation)
                    if not isinstance(failed, Unwritable):
                        self._failed_at = time.monotonic()
                    raise system_error(operation, failed, attempt) from failed
            else:
                if self._failed_at:
                    self._failed_at = 0.0
                return answer
        raise AssertionError("count() does not end")

    def ask_for(
        self, awaited: Waited, operation: str, work: Callable[[], T], unsure: Callable[[], None] | None = None
    ) -> T:
        """The same for a call that is awaited: where an event loop has no answer in time, that is waited for.

        The call is then asked for anew, for `lock_timeout` in all; in observe mode, which refuses nothing, not at all.

        Raises:
            SentinelSystemError: it cannot answer. WaitFor: it may yet.
        """
        awaited.ask_no_more()
        try:
            answer = self.ask(operation, work, unsure)
        except SentinelSystemError as blocked:
            if isinstance(blocked.original_error, Busy) and in_event_loop():
                awaited.await_ledger(blocked.original_error, self._patience)
            raise
        awaited.give_up_at = 0.0
        return answer

    def settle(self, entry: Entry, accounts: Sequence[str], amounts: Amounts, *, held: bool) -> None:
        """Book a call, now or as soon as the ledger can take it."""
        self._keep(
            "settle",
            partial(self._ledger.settle, entry, accounts, amounts, now=self._clock()),
            partial(self.backlog.settle, entry, accounts, amounts, held=held),
        )

    def release(self, id: str) -> None:
        """Give a hold back, now or as soon as the ledger can take it."""
        self._keep("release", lambda: self._ledger.release(id, now=self._clock()), lambda: self.backlog.release(id))

    def refuse(self, entry: Entry, accounts: Sequence[str]) -> None:
        """Write a refused call down, now or as soon as the ledger can take it."""
        self._keep(
            "refuse",
            lambda: self._ledger.refuse(entry, accounts, now=self._clock()),
            lambda: self.backlog.refuse(entry, accounts),
        )

    def do(self, operation: str, work: Callable[[], object]) -> None:
        """Do what is no booking, now or as soon as the ledger can take it."""
        self._keep(operation, work, lambda: self.backlog.do(work))

    def hand_over(self, work: Callable[[], object]) -> None:
        """Have a thread do what raises LedgerError for as long as it cannot be done."""
        self.backlog.do(work)
        self.backlog.start()

    def failing(self) -> bool:
        """Whether the ledger failed, and has taken nothing since."""
        return self._failed_at > 0

    def close(self) -> None:
        """Write what waits, and close the ledger; what it cannot take now is tried again until the process ends."""
        try:
            self.backlog.flush()
        except LedgerError as failed:
            log.debug("%s; tried again", failed)
            self.backlog.start()
        finally:
            self._ledger.close()

    def _keep(self, operation: str, work: Callable[[], object], wait: Callable[[], None]) -> None:
        if self._failed_at and time.monotonic() - self._failed_at < TRY_AGAIN_SECONDS:
            wait()  # it failed just now: asking again would keep the host waiting for nothing
            self.backlog.start()
            return
        try:
            without_waiting(work)
        except Unwritable as failed:
            self._tell(operation)
            log.error("%s; it can never be booked", failed)  # noqa: TRY400  the cause is in it
        except LedgerError as failed:
            wait()
            soon = isinstance(failed, Busy) and in_event_loop()
            if not soon and not sys.is_finalizing():  # else nobody tries again: the next process presumes it spent
                self.backlog.failed = True
                self._failed_at = time.monotonic()
                self._tell(operation)
                log.error("%s; AgentFuse tries again until it is booked", failed)  # noqa: TRY400  the cause is in it
            self.backlog.start(soon=soon)
        else:
            self._failed_at = 0.0

    def _tell(self, operation: str) -> None:
        self.on_error(operation)


def system_error(operation: str, failed: LedgerError, retries: int) -> SentinelSystemError:
    """The trip for a ledger that cannot answer."""
    message = f"call blocked since it could not be booked: {failed}; mend the ledger or set fail_safe=False"
    return SentinelSystemError(message, operation=operation, original_error=failed, retry_count=retries)
