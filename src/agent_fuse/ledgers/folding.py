"""Folding the write-ahead log into the file, in a thread of its own, so that no call waits for the disk.

A commit only appends to the log. Folding it in reads all of it and waits for the disk to take the file: milliseconds,
which the thread of a call had to spend before. SQLite lets others append meanwhile, and begins the log anew at the
first commit after all of it was folded in: in the first pause that calls make, else at its bound, where one call folds
the little in that is left.
"""

import _thread
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import apsw

from agent_fuse.ledgers import anchor as anchors
from agent_fuse.ledgers.sql import Connection, connect, words

EVERY = 256
"""Commits of one process after which it folds the log in: about 1,500 pages."""

LARGEST = 64 * 1024 * 1024
"""Bytes of a log that is not let grow on, however busy everyone is: the commit that finds it so folds it in itself."""

_ROUNDS = 4
"""Times that what others appended meanwhile is folded in too, until a round finds all of it done."""

_log = logging.getLogger("agent_fuse")


class Folding:
    """Folds in the log of one database, one thread at a time, with a connection that lives as long as that takes.

    Args:
        patience: seconds to wait for others who hold what is needed.
    """

    def __init__(self, path: Path, patience: Callable[[], float]) -> None:
        self._path = path
        self._patience = patience
        self.left = EVERY
        """Commits until it is time to fold."""
        self.renew()

    def renew(self) -> None:
        """Begin anew, in a forked child: the thread is its parent's."""
        self._working = threading.Lock()

    def begin(self, db: Connection, log: int | None) -> None:
        """It is time to. `log`: the open log, None where its size cannot be asked for."""
        self.left = EVERY
        if log is not None and os.fstat(log).st_size > LARGEST:
            _fold(db, self._path)
        elif not self._working.locked():
            # One step of C code, and a lock that only the thread takes: a KeyboardInterrupt may come before or after.
            _thread.start_new_thread(self._work, ())

    def rest(self, seconds: float) -> bool:
        """Wait until nothing is folded in; whether that is so. `go_on` ends it."""
        return self._working.acquire(timeout=seconds)

    def go_on(self) -> None:
        """After a `rest` that came."""
        self._working.release()

    def _work(self) -> None:
        if not self._working.acquire(blocking=False):
            return  # another is at it
        try:
            where, patience = str(self._path), self._patience()
            anchor = anchors.hold(where, patience)
            db: Connection | None = None
            try:
                db = connect(self._path)
                # It must not take itself for the last one, whose closing deletes the log.
                db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                for _ in range(_ROUNDS):
                    if _fold(db, self._path):
                        break
            finally:
                anchors.let_go(anchor, db.close if db is not None else anchors.nothing)
        except Exception as error:  # noqa: BLE001  a thread of ours has nobody above it; the bound still holds
            _log.debug("ledger %s: its log was not folded in: %s", self._path, error)
        finally:
            with suppress(RuntimeError):  # a child that was forked meanwhile has another lock
                self._working.release()


def _fold(db: Connection, path: Path) -> bool:
    """Whether all of the log is in the file now."""
    try:
        db.execute("SELECT 1 FROM sqlite_master").fetchall()  # a connection that read nothing yet knows of no log
        pages, done = db.wal_checkpoint()
    except apsw.BusyError:
        return True  # another process is at it
    except apsw.Error as error:
        _log.warning("ledger %s: its write-ahead log grows, it cannot be folded in: %s", path, words(error))
        return True
    return 0 <= pages == done
