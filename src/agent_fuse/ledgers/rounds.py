"""Rounds: a thread that comes back every second, for as long as there is anything to look after."""

import logging
import threading
from collections.abc import Callable

from agent_fuse.ledgers.base import LedgerError
from agent_fuse.locks import Lock, begin

EVERY = 1.0
"""Seconds between two rounds."""

_log = logging.getLogger("agent_fuse")


class Rounds:
    """Goes round while `work` says that there is more to do; begun again by what comes next.

    Args:
        work: done once a round. A LedgerError of it is logged (DEBUG), and the next round comes.
        name: what it is for, in the thread's name and in that log line.
    """

    def __init__(self, work: Callable[[], bool], name: str) -> None:
        self._work = work
        self._name = name
        self._lock = Lock()
        self._thread: threading.Thread | None = None
        self._end = threading.Event()

    def begin(self) -> None:
        """See to it that somebody goes round."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._end = threading.Event()
                    begun = threading.Thread(
                        target=self._go, args=(self._end,), name=f"agent_fuse {self._name}", daemon=True
                    )
                    begin(begun)
                    self._thread = begun

    def end(self) -> None:
        """Let it end."""
        with self._lock:
            self._thread = None
        self._end.set()

    def _go(self, end: threading.Event) -> None:
        while not end.wait(EVERY):
            try:
                if self._work():
                    continue
                with self._lock:  # what comes from now on begins another
                    self._thread = None
                if self._work():
                    self.begin()
            except LedgerError as failed:
                _log.debug("agent_fuse: %s: a round failed: %s", self._name, failed)
            else:
                return
