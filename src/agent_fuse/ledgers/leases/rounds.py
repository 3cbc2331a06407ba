"""Rounds: a thread that renews slices in time, and gives back what nobody uses."""

import logging
import threading
from collections.abc import Callable

from agent_fuse.ledgers.base import LedgerError
from agent_fuse.locks import Lock

EVERY = 1.0
"""Seconds between two rounds."""

_log = logging.getLogger("agent_fuse")


class Rounds:
    """Goes round for as long as there is anything to look after; begun again by the next slice."""

    def __init__(self, work: Callable[[], bool]) -> None:
        self._work = work
        self._lock = Lock()
        self._thread: threading.Thread | None = None
        self._end = threading.Event()

    def begin(self) -> None:
        """See to it that somebody goes round."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._end = threading.Event()
                    self._thread = threading.Thread(
                        target=self._go, args=(self._end,), name="agent_fuse leases", daemon=True
                    )
                    self._thread.start()

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
                _log.debug("agent_fuse: slices could not be renewed: %s", failed)
            else:
                return
