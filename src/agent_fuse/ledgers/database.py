"""One SQLite file: a connection per process, quick reads, writes one at a time over all processes, errors in words."""

import ctypes
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import apsw

from agent_fuse.ledgers import anchor as anchors
from agent_fuse.ledgers import forks
from agent_fuse.ledgers.anchor import Anchor
from agent_fuse.ledgers.base import Busy, LedgerError, Unwritable
from agent_fuse.ledgers.filelock import UNLOCK, FileLock, unlock
from agent_fuse.ledgers.folding import Folding
from agent_fuse.ledgers.migrations import NotOurs, migrate, pending
from agent_fuse.ledgers.sql import FAILURES, Connection, connect, never_writable, words
from agent_fuse.ledgers.turns import Nested, Turn
from agent_fuse.ledgers.waiting import elsewhere, in_event_loop, patience, pause

T = TypeVar("T")
Synchronous = Literal["normal", "full"]

_WAL_BYTES_KEPT = 16 * 1024 * 1024
_LOOK_SECONDS = 0.1
"""How often an anchored log is looked after; only a hand can take it away."""
_ATTEMPTS = 8
_log = logging.getLogger("agent_fuse")


class _Gone(Exception):
    """The connection is not, or no more, to the files that are there."""


class Database:
    """Opens when first used, and again after an error, a fork or a `close`. Safe in threads.

    Two locks: `_turn` is the right to write or open, kept while waiting for other processes; `_busy` guards the one
    connection and is held for one short read or one transaction, so that no read waits for another process.
    A KeyboardInterrupt may come between any two steps: what is taken is given back in one step, by C code.
    """

    def __init__(self, path: Path, *, synchronous: Synchronous, lock_timeout: float) -> None:
        self.path = path
        self.synchronous = synchronous
        self.lock_timeout = lock_timeout
        self._connection: Connection | None = None
        self._anchor: Anchor | None = None
        self._wal: int | None = None
        self._look_at = 0.0
        self._was_replaced = False
        self._where = str(path)
        self._moved = ctypes.c_int()
        self._moved_at = ctypes.addressof(self._moved)
        self._folding = Folding(path, self._patience)
        self._give_up_at = 0.0
        self._lock = FileLock(f"{path}.lock", self._patience)
        self._renew_locks()
        forks.watch(self)

    def write(self, operation: str, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction, alone among all processes. What it raises undoes it, and passes.

        `work` is run again, on the files that are there then, where they were taken away in the middle: it must be one
        that done twice is done once.

        Raises:
            LedgerError: it could not be written; nothing was.
        """
        try:
            for _ in range(_ATTEMPTS):
                if self._connection is None:
                    self._make_ready()
                try:
                    with self._turn:
                        return self._write(work)
                except _Gone:
                    continue
            raise LedgerError(operation, self._where, "its files are taken away again and again; who removes them?")
        except Nested:
            cause = "it was called from inside itself, on the same thread"
            raise LedgerError(operation, self._where, cause) from None
        except (*FAILURES, NotOurs) as error:
            raise self._failed(operation, error) from error

    def read(self, operation: str, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads and is quick. Raises LedgerError."""
        try:
            if self._busy.is_mine() and self._connection is not None:
                return work(self._connection)
            while True:
                with self._busy:
                    if self._connection is not None and not self._is_gone(self._connection):
                        return work(self._connection)
                self._make_ready()
        except (*FAILURES, NotOurs) as error:
            raise self._failed(operation, error) from error

    def open(self, operation: str = "open") -> None:
        """Open the file now; it and its folder are made where they are missing. Raises LedgerError."""
        try:
            self._make_ready()
        except (*FAILURES, NotOurs) as error:
            raise self._failed(operation, error) from error

    def is_free(self) -> bool:
        """Whether a write would begin at once: the file is open, and nobody else writes. Raises LedgerError."""
        if self._connection is None or not self._turn.try_now():
            return False
        try:
            free = self._lock.try_now()
            if free:
                unlock(self._lock.file(), UNLOCK)
        except OSError as error:
            raise self._failed("lock", error) from error
        finally:
            self._turn.release()
        return free

    def close(self) -> None:
        """Close what this process holds open; the last one to do so folds the write-ahead log into the file."""
        if self._folding.rest(self._patience()):
            self._folding.go_on()
        with self._busy.lock:
            if self._connection is not None:
                self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
                self._drop()
        try:
            with self._turn:
                self._lock.close()
        except (TimeoutError, Nested):
            return  # it is in use: another call opens the database again

    def __del__(self) -> None:
        self._drop()

    def before_fork(self) -> None:
        """Close the connection: SQLite's locks do not survive a fork, and hurt even new connections of a child."""
        self._folded = self._folding.rest(self.lock_timeout)
        self._resting = self._busy.lock.acquire(timeout=self.lock_timeout)
        if self._resting and self._connection is not None and not self._connection.in_transaction:
            self._drop()

    def after_fork(self, *, child: bool) -> None:
        """Open again when next used."""
        if not child:
            if self._folded:
                self._folding.go_on()
            if self._resting:
                self._busy.lock.release()
            return
        self._folding.renew()
        if self._connection is not None:  # it could not be closed; closing it here would harm the parent's
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))
            self._connection = self._anchor = None
        self._lock.close()
        self._renew_locks()

    def _renew_locks(self) -> None:
        self._turn = Turn(self._patience)
        self._busy = Turn(self._patience)
        self._resting = self._folded = False

    def _patience(self) -> float:
        return patience(self.lock_timeout)

    def _write(self, work: Callable[[Connection], T]) -> T:
        file = self._lock.file()
        try:
            self._lock.acquire(file)
            with self._busy.lock:
                db, anchor = self._connection, self._anchor
                if db is None or self._is_gone(db):
                    raise _Gone
                try:
                    if anchor is not None and ("_sqlite3" in sys.modules or "pysqlite3" in sys.modules):
                        anchor.keep_index()
                    db.execute("BEGIN IMMEDIATE")
                    answer = work(db)
                    db.execute("COMMIT")
                except BaseException:
                    try:  # noqa: SIM105 - the next step of ours is C code, before any interruption
                        db.execute("ROLLBACK")
                    except apsw.Error:
                        pass  # none was begun, or it was undone already
                    raise
                finally:
                    if anchor is not None and anchor.keeps:
                        anchor.keep_no_more()
                if self._is_log_gone():
                    self._leave(db)
                    raise _Gone
                self._folding.left -= 1
                if self._folding.left <= 0:
                    self._folding.begin(db, self._wal)
                return answer
        finally:
            unlock(file, UNLOCK)

    def _is_gone(self, db: Connection) -> bool:
        """Whether someone removed or replaced the file. SQLite asks, by one more of the calls that a commit makes."""
        if not (db.file_control("main", apsw.SQLITE_FCNTL_HAS_MOVED, self._moved_at) and self._moved.value):
            return False
        self._was_replaced = True
        self._drop()
        return True

    def _is_log_gone(self) -> bool:
        """Whether someone took the log away. Another copy of SQLite in this process does where it is not anchored."""
        if self._anchor is not None and self._anchor.holds:
            now = time.monotonic()
            if now < self._look_at:
                return False
            self._look_at = now + _LOOK_SECONDS
        return self._wal is not None and os.fstat(self._wal).st_nlink == 0

    def _leave(self, db: Connection) -> None:
        """Leave a log that was taken away; what is in it goes into the file, unless others began a new log since."""
        try:
            os.close(os.open(f"{self._where}-wal", os.O_RDONLY))
        except FileNotFoundError:
            db.wal_checkpoint()
        self._drop()

    def _make_ready(self) -> None:
        """See to it that there is a connection. Opening touches files, so an event loop's thread has it done."""
        if in_event_loop():
            if not elsewhere(self._connect, self._patience()):
                raise TimeoutError("its file is being opened")
        else:
            self._connect()
        if self._was_replaced:
            self._was_replaced = False
            told = "%s was removed or replaced: what is there now counts, and what only the old file had counts no more"
            _log.warning(told, self._where)

    def _connect(self) -> None:
        with self._turn:
            if self._connection is None:
                self._lock.close()  # the folder may be another one by now
                self._open()

    def _open(self) -> None:
        make_private(self.path)
        anchor = anchors.hold(self._where, self.lock_timeout)
        db: Connection | None = None
        try:
            db = connect(self.path)
            # Until `close`, closing is only letting go: of a file that we may not write, or around a fork.
            db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            db.set_busy_handler(self._wait_longer)
            if pending(db) or db.pragma("journal_mode") != "wal":
                self._migrate(db)
            db.pragma("synchronous", self.synchronous)
            db.pragma("journal_size_limit", _WAL_BYTES_KEPT)
            db.pragma("temp_store", "memory")
            db.pragma("wal_autocheckpoint", 0)  # see folding
            anchors.opened(anchor, self._where, self.lock_timeout)
            # SQLite has no locks on the log, so that it may be opened and closed here. (Windows keeps what is open.)
            self._wal = os.open(f"{self._where}-wal", os.O_RDONLY) if sys.platform != "win32" else None
        except BaseException:
            anchors.let_go(anchor, db.close if db is not None else anchors.nothing)
            raise
        with self._busy.lock:
            self._anchor, self._connection = anchor, db

    def _migrate(self, db: Connection) -> None:
        file = self._lock.file()
        try:
            self._lock.acquire(file)
            migrate(db)
        finally:
            unlock(file, UNLOCK)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            anchor, self._anchor = self._anchor, None
            anchors.let_go(anchor, connection.close)
        wal, self._wal = self._wal, None
        if wal is not None:
            os.close(wal)

    def _wait_longer(self, times: int) -> bool:
        """Whether to wait on for a program that does not take our lock: SQLite asks, again and again."""
        if times == 0:
            if self._anchor is not None:
                self._anchor.keep_no_more()
            self._give_up_at = time.monotonic() + self._patience()
        if time.monotonic() >= self._give_up_at:
            return False
        pause(times)
        return True

    def _failed(self, operation: str, error: Exception) -> LedgerError:
        where = self._where
        if never_writable(error):
            return Unwritable(operation, where, f"a figure or a text is out of range ({error})")
        if isinstance(error, TimeoutError):
            loop = " in an event loop" if in_event_loop() else ""
            return Busy(
                operation, where, f"{error}; gave up after {self._patience():g} s{loop}; is one stopped or hung?"
            )
        if isinstance(error, apsw.Error):
            with self._busy.lock:
                self._drop()
        kind = Busy if isinstance(error, apsw.BusyError) else LedgerError
        return kind(operation, where, words(error))


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
