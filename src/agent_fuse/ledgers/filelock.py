"""A lock on a file: one process at a time, given up by the system when its process dies, waited for so long only."""

import os
import sys
from collections.abc import Callable

from agent_fuse.ledgers.waiting import pauses


class FileLock:
    """Exclusive between processes, and between two FileLocks of one process; a thread keeps others out by other means.

    It is given back by `unlock(lock.file())`: one step, so that no interruption can come in between.
    """

    def __init__(self, path: str, patience: Callable[[], float]) -> None:
        self.path = path
        self._patience = patience
        self._file: int | None = None

    def file(self) -> int:
        """The open file, opened if need be. Raises OSError."""
        if self._file is None:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        return self._file

    def acquire(self, file: int) -> None:
        """Take the lock on its open file, waiting for as long as patience lasts. Raises TimeoutError, OSError."""
        try:
            _lock(file, _LOCK)
        except (BlockingIOError, PermissionError):
            if not any(self.try_now() for _ in pauses(self._patience())):
                raise TimeoutError(f"another process holds {self.path}") from None

    def try_now(self) -> bool:
        """Take the lock if it is free. Raises OSError."""
        try:
            _lock(self.file(), _LOCK)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def close(self) -> None:
        """Close this process's file; a lock that another process holds through the same file stays."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def __del__(self) -> None:
        self.close()


if sys.platform == "win32":
    import contextlib
    import msvcrt

    def _lock(file: int, how: int) -> None:
        os.lseek(file, 0, os.SEEK_SET)
        msvcrt.locking(file, how, 1)

    def unlock(file: int, how: int) -> None:
        """Give the lock back, if it is held."""
        os.lseek(file, 0, os.SEEK_SET)
        with contextlib.suppress(OSError):
            msvcrt.locking(file, how, 1)

    _LOCK, UNLOCK = msvcrt.LK_NBLCK, msvcrt.LK_UNLCK
else:
    import fcntl

    _lock = unlock = fcntl.flock
    """`unlock(file, UNLOCK)` gives the lock back, if it is held: C code, which runs as a whole or not at all."""

    _LOCK, UNLOCK = fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_UN
