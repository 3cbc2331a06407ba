"""What is in force, as it was asked of the ledger a second ago at most."""

import threading
import time
from collections.abc import Iterable

from agent_fuse.account_names import plain
from agent_fuse.ledgers.base import Busy, Ledger
from agent_fuse.ledgers.controls import NONE
from agent_fuse.ledgers.controls import read as read_controls
from agent_fuse.ledgers.waiting import patience

EVERY = 1.0
"""Seconds."""

_WAIT = 5.0


class ControlWatch:
    """Asks when a call comes and what is known is older than that."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._asking = threading.Lock()
        self._known = NONE
        self._asked_at = float("-inf")

    def refresh(self) -> None:
        """See to it that what is known is no older than that. Raises LedgerError."""
        if time.monotonic() - self._asked_at < EVERY:
            return
        if not self._asking.acquire(timeout=patience(_WAIT)):
            raise Busy("controls", "far away", "another thread asks what is stopped, and has no answer yet")
        try:
            began = time.monotonic()
            if began - self._asked_at >= EVERY:
                self._known = read_controls(self._ledger.controls())
                self._asked_at = began
        finally:
            self._asking.release()

    def forget(self) -> None:
        """It was changed here: ask anew."""
        self._asked_at = float("-inf")

    def any(self) -> bool:
        """Whether anything is in force at all."""
        return bool(self._known.by_account)

    def touches(self, accounts: Iterable[str]) -> bool:
        """Whether anything is in force for one of these."""
        known = self._known.by_account
        return any(plain(name) in known for name in accounts)
