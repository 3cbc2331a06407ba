"""One SQLite file: a connection per process, quick reads, writes one at a time over all processes, errors in words."""

import ctypes
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import apsw

from agent_fuse.ledgers import forks
from agent_fuse.ledgers.base import LedgerError, Unwritable
from agent_fuse.ledgers.filelock import FileLock
from agent_fuse.ledgers.migrations import NotOurs, migrate, pending
from agent_fuse.ledgers.sql import FAILURES, Connection, connect, never_writable, words

T = TypeVar("T")
Synchronous = Literal["normal", "full"]

_CHECKPOINT_PAGES = 2000
_WAL_BYTES_KEPT = 16 * 1024 * 1024
_log = logging.getLogger("agent_fuse")


class Database:
    """Opens when first used, and again after an error, a fork or a `close`. Safe in threads.

    Two locks: `_turn` is the right to write or open, kept while waiting for other processes; `_busy` guards the one
    connection and is held for one short read or one transaction, so that no read waits for another process.
    """

    def __init__(self, path: Path, *, synchronous: Synchronous, lock_timeout: float) -> None:
        self.path = path
        self.synchronous = synchronous
        self.lock_timeout = lock_timeout
        self._connection: Connection | None = None
        self._where = str(path)
        self._inode = (0, 0)
        self._checkpoint_at = _CHECKPOINT_PAGES
        self._wal_pages = 0
        self._lock = FileLock(f"{path}.lock")
        self._renew_locks()
        forks.watch(self)

    def write(self, operation: str, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction, alone among all processes. What it raises undoes it, and passes.

        Raises:
            LedgerError: it could not be written; nothing was.
        """
        try:
            self._take_turn(operation)
            try:
                self._ready()
                self._lock.acquire(self.lock_timeout)
                try:
                    with self._busy:
                        return self._transaction(self._connection or self._open(), work)
                finally:
                    self._lock.release()
            finally:
                self._give_turn()
        except (*FAILURES, NotOurs) as error:
            raise self._failed(operation, error) from error

    def read(self, operation: str, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads and is quick. Raises LedgerError."""
        try:
            while True:
                with self._busy:
                    if self._connection is not None:
                        return work(self._connection)
                self.open(operation)
        except (*FAILURES, NotOurs) as error:
            raise self._failed(operation, error) from error

    def open(self, operation: str = "open") -> None:
        """Open the file now; it and its folder are made where they are missing. Raises LedgerError."""
        try:
            self._take_turn(operation)
            try:
                self._ready()
            finally:
                self._give_turn()
        except (*FAILURES, NotOurs) as error:
            raise self._failed(operation, error) from error

    def close(self) -> None:
        """Close what this process holds open; the last one to do so folds the write-ahead log into the file."""
        with self._busy:
            if self._connection is not None:
                self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
                self._drop()
        if self._turn.acquire(timeout=self.lock_timeout):
            self._lock.close()
            self._turn.release()

    def before_fork(self) -> None:
        """Close the connection: SQLite's locks do not survive a fork, and hurt even new connections of a child."""
        self._resting = self._busy.acquire(timeout=self.lock_timeout)
        if self._resting and self._connection is not None and not self._connection.in_transaction:
            self._drop()

    def after_fork(self, *, child: bool) -> None:
        """Open again when next used."""
        if not child:
            if self._resting:
                self._busy.release()
            return
        if self._connection is not None:  # it could not be closed; closing it here would harm the parent's
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))
            self._connection = None
        self._lock.close()
        self._renew_locks()

    def _renew_locks(self) -> None:
        self._turn = threading.Lock()
        self._writer = 0
        self._busy = threading.RLock()
        self._resting = False

    def _take_turn(self, operation: str) -> None:
        if not self._turn.acquire(blocking=False):
            if self._writer == threading.get_ident():
                raise LedgerError(operation, self._where, "it was called from inside itself, on the same thread")
            if not self._turn.acquire(timeout=self.lock_timeout):
                cause = f"other threads of this process kept it busy; gave up after {self.lock_timeout:g} s"
                raise LedgerError(operation, self._where, cause)
        self._writer = threading.get_ident()

    def _give_turn(self) -> None:
        self._writer = 0
        self._turn.release()

    def _transaction(self, db: Connection, work: Callable[[Connection], T]) -> T:
        db.execute("BEGIN IMMEDIATE")
        try:
            answer = work(db)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        if self._wal_pages >= self._checkpoint_at:
            self._checkpoint(db)
        return answer

    def _ready(self) -> None:
        """See to it that there is a connection, to the file that is there now: someone may have removed the old one."""
        if self._connection is None or _identity(self._where) != self._inode:
            with self._busy:
                self._drop()
                self._lock.close()
                self._open()

    def _open(self) -> Connection:
        make_private(self.path)
        db = connect(self.path)
        try:
            # Until `close`, closing is only letting go: of a file that we may not write, or around a fork.
            db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            db.set_busy_timeout(int(self.lock_timeout * 1000))
            if pending(db) or db.pragma("journal_mode") != "wal":
                with self._lock.held(self.lock_timeout):
                    migrate(db)
            db.pragma("synchronous", self.synchronous)
            db.pragma("journal_size_limit", _WAL_BYTES_KEPT)
            db.pragma("temp_store", "memory")
            db.set_wal_hook(self._committed)
        except BaseException:
            db.close()
            raise
        self._inode = _identity(self._where)
        self._connection = db
        return db

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _committed(self, _: Connection, __: str, pages: int) -> int:
        if pages < self._wal_pages:  # the log was folded in, and began anew
            self._checkpoint_at = _CHECKPOINT_PAGES
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self, db: Connection) -> None:
        """Fold the log into the file. By ourselves: SQLite would tell of a failure here as if the commit had failed."""
        self._checkpoint_at = self._wal_pages + _CHECKPOINT_PAGES
        try:
            db.wal_checkpoint()
        except apsw.Error as error:
            _log.warning("ledger %s: its write-ahead log grows, it cannot be folded in: %s", self.path, words(error))

    def _failed(self, operation: str, error: Exception) -> LedgerError:
        where = self._where
        if never_writable(error):
            return Unwritable(operation, where, f"a figure or a text is out of range ({error})")
        if isinstance(error, TimeoutError):
            cause = (
                f"another process holds {where}.lock; gave up after {self.lock_timeout:g} s; is one stopped or hung?"
            )
            return LedgerError(operation, where, cause)
        if isinstance(error, apsw.Error):
            with self._busy:
                self._drop()
        return LedgerError(operation, where, words(error))


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - asked at every write, and twice as quick as Path.stat
    except FileNotFoundError:
        return (0, 0)
    return found.st_dev, found.st_ino


def make_private(path: Path) -> None:
    """Make the file, and the folders missing above it, for this user's eyes only. What exists stays as it is."""
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        # Not opened: closing another handle of a file drops the locks that this process has on it.
        return
