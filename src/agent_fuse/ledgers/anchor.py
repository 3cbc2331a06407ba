"""Anchors: keep a database's log in place while this process has it open, whatever else in the process opens the file.

A second copy of SQLite in the process (the standard library's `sqlite3`) takes itself for the last one to close: the
locks that tell it otherwise belong to the process, so it does not see ours, and its closing drops them. It would fold
the log in and delete it under our feet; it would empty the shared index when it opens, and mend it where it reads it
half-written. Locks of an open file description are seen by both copies and dropped by neither: we hold those that
SQLite looks for before it does any of this.
"""

import os
import stat
from collections.abc import Callable
from contextlib import suppress

from agent_fuse.ledgers import forks, ofd
from agent_fuse.ledgers.waiting import pauses
from agent_fuse.locks import RLock

# Offsets of SQLite's own locks: SHARED_FIRST and SHARED_SIZE of sqliteInt.h, UNIX_SHM_DMS and WAL_RECOVER_LOCK of
# os_unix.c and wal.c.
_OPEN = ofd.shared(0x40000002, 510)
_INDEX_IN_USE = (128, 1)
_KEEP = ofd.shared(122, 1)
_KEEP_NO_MORE = ofd.free(122, 1)
# Bytes 18 and 19 of the database are 2 where it is kept with a log (fileformat2.html, 1.3.3).
_FORMAT, _WITH_LOG = 18, b"\2\2"


class Anchor:
    """The two files of one database, locked for as long as a connection of this process is open."""

    def __init__(self, key: tuple[int, int], file: int) -> None:
        self.key = key
        self.users = 0
        self.holds = False
        """Whether the log is surely kept in place; False where the file system has no such locks."""
        self._file = file
        self._index: int | None = None
        self.keeps = False
        """Whether the index is kept from being mended."""

    def before(self, index: str, seconds: float) -> None:
        """Lock the database, if it has a log: to give it one, SQLite must have it alone.

        And lock its index, if someone uses it already; otherwise the first to open it must be free to clear it.
        """
        if os.pread(self._file, 2, _FORMAT) == _WITH_LOG and _lock(self._file, _OPEN, seconds):
            self._open_index(index)
            if self._index is not None and ofd.is_locked(self._index, *_INDEX_IN_USE):
                _lock(self._index, ofd.shared(*_INDEX_IN_USE), seconds)

    def after(self, index: str, seconds: float) -> None:
        """A connection is open, has read, and with it the log and its index are there: lock all of it."""
        self._open_index(index)
        self.holds = (
            self._index is not None
            and _lock(self._file, _OPEN, seconds)
            and _lock(self._index, ofd.shared(*_INDEX_IN_USE), seconds)
        )

    def keep_index(self) -> None:
        """While we write the index, another copy in this process must not take it for broken and mend it."""
        if self.holds and self._index is not None:
            self.keeps = ofd.ask(self._index, _KEEP)

    def keep_no_more(self) -> None:
        """It is written; or it is broken, since another process died, and we must mend it ourselves."""
        if self.keeps and self._index is not None:
            ofd.ask(self._index, _KEEP_NO_MORE)
            self.keeps = False

    def unlock(self) -> None:
        """Let other processes take themselves for the last one. A forked child's copy of the files must not lock on."""
        self.holds = False
        for file in (self._file, self._index):
            if file is not None:
                with suppress(OSError):  # the file system has no such locks
                    ofd.ask(file, ofd.free())

    def close(self) -> None:
        """Close both files. With a connection open this would drop SQLite's own locks."""
        for file in (self._file, self._index):
            if file is not None:
                os.close(file)
        self._index = None

    def _open_index(self, index: str) -> None:
        if self._index is None:
            try:
                self._index = os.open(index, os.O_RDONLY)
            except FileNotFoundError:
                return


class _Anchors:
    """The anchors of this process, by device and inode."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.known: dict[tuple[int, int], Anchor] = {}
        forks.watch(self)

    def before_fork(self) -> None:
        """Nothing to do: connections are closed before, and let go of their anchors."""

    def after_fork(self, *, child: bool) -> None:
        """A child has no connection yet. Its copies of the files are closed, and its parent's locks stay."""
        if child:
            self.lock = RLock()
            known, self.known = self.known, {}
            for one in known.values():
                one.close()


_anchors = _Anchors()


def hold(path: str, seconds: float) -> Anchor | None:
    """Lock the database at `path`, before a connection to it is opened; None where that is not possible.

    Waits for up to `seconds` while another process folds the log in. Raises TimeoutError, OSError.
    """
    if not ofd.POSSIBLE:
        return None
    with _anchors.lock:
        anchor = _find(path)
        if anchor is None:
            return None  # SQLite says what is wrong with it
        anchor.users += 1
        if _anchors.known.get(anchor.key) is not anchor:  # the garbage collector let its last user go just now
            return hold(path, seconds)
        if not anchor.holds:
            anchor.before(f"{path}-shm", seconds)
        return anchor


def _find(path: str) -> Anchor | None:
    found = os.stat(path)  # noqa: PTH116 - a file opened to look at could not be closed again
    if not stat.S_ISREG(found.st_mode):
        return None
    anchor = _anchors.known.get((found.st_dev, found.st_ino))
    if anchor is None:
        file = os.open(path, os.O_RDONLY)
        found = os.fstat(file)
        key = found.st_dev, found.st_ino
        # It may have been replaced in between. Then a file too many is open, and closing it would drop locks.
        anchor = _anchors.known.setdefault(key, Anchor(key, file))
    return anchor


def opened(anchor: Anchor | None, path: str, seconds: float) -> None:
    """The connection is open, and has read. Raises TimeoutError, OSError."""
    if anchor is not None and not anchor.holds:
        with _anchors.lock:
            anchor.after(f"{path}-shm", seconds)


def let_go(anchor: Anchor | None, close: Callable[[], None]) -> None:
    """Close a connection that was anchored. The last one of the process may then be the last one of all."""
    if anchor is None:
        close()
        return
    with _anchors.lock:
        anchor.users -= 1
        last = anchor.users == 0 and _anchors.known.get(anchor.key) is anchor
        if last:
            del _anchors.known[anchor.key]
            anchor.unlock()
        try:
            close()
        finally:
            if last:
                anchor.close()


def _lock(file: int, what: bytes, seconds: float) -> bool:
    """Whether it is locked now; False where the file system cannot do it. Raises TimeoutError."""
    try:
        if ofd.ask(file, what) or any(ofd.ask(file, what) for _ in pauses(seconds)):
            return True
    except OSError:
        return False
    raise TimeoutError("another process is closing it")


def nothing() -> None:
    """Close nothing: there is no connection yet."""
