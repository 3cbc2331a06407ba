"""How the ledger is asked: again while it may yet answer, and without end for what must not be lost."""

import itertools
import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from agent_fuse.errors import SentinelSystemError
from agent_fuse.ledgers.base import LedgerError, Unwritable
from agent_fuse.seams import GOES_ON, HELD_AT_QUOTE, harmless, quietly

log = logging.getLogger("agent_fuse")

T = TypeVar("T")

TRY_AGAIN_SECONDS = 1.0


class Desk:
    """Stands between the fuse and its ledger."""

    def __init__(self, max_retries: int) -> None:
        self._max_retries = max_retries
        self.on_error: Callable[[str], None] | None = None
        """Told which operation the ledger could not do."""

    def ask(self, operation: str, work: Callable[[], T]) -> T:
        """The ledger's answer, tried again up to `max_retries` times.

        Raises:
            SentinelSystemError: it cannot answer.
        """
        for attempt in itertools.count():
            try:
                return work()
            except LedgerError as failed:
                if isinstance(failed, Unwritable) or attempt >= self._max_retries:
                    self._tell(operation)
                    raise system_error(operation, failed, attempt) from failed
        raise AssertionError("count() does not end")

    def keep(self, operation: str, work: Callable[[], object]) -> None:
        """Accounting that the ledger cannot take now is tried again until it can: nothing is lost while we live."""
        try:
            work()
        except LedgerError as failed:
            self._tell(operation)
            log.error("%s; AgentFuse tries again until it is booked", failed)  # noqa: TRY400  the cause is in it
            again = harmless("booking what the ledger could not take", HELD_AT_QUOTE)(self.keep)
            timer = threading.Timer(TRY_AGAIN_SECONDS, again, (operation, work))
            timer.daemon = True
            timer.start()

    def _tell(self, operation: str) -> None:
        if self.on_error is not None:
            quietly("counting a failure of the ledger", GOES_ON, self.on_error, operation)


def system_error(operation: str, failed: LedgerError, retries: int) -> SentinelSystemError:
    """The trip for a ledger that cannot answer."""
    message = f"call blocked since it could not be booked: {failed}; mend the ledger or set fail_safe=False"
    return SentinelSystemError(message, operation=operation, original_error=failed, retry_count=retries)
