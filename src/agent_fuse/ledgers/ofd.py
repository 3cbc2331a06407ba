"""Locks of an open file description (fcntl(2), F_OFD_SETLK): like POSIX locks, but not of the process as a whole.

They keep out this process's own POSIX locks, and closing another file that is open on the same inode drops none.
"""

import os
import struct
import sys

POSSIBLE = sys.platform == "linux" and sys.maxsize > 2**32
"""Whether this system has them, as they are packed here; a file system may still refuse."""

if sys.platform != "win32":
    import fcntl

_FLOCK = struct.Struct("hhqqi4x")
_READ, _WRITE, _NONE = 0, 1, 2  # F_RDLCK, F_WRLCK, F_UNLCK of Linux


def shared(start: int, length: int) -> bytes:
    """What to ask for to lock these bytes against writers."""
    return _FLOCK.pack(_READ, os.SEEK_SET, start, length, 0)


def free(start: int = 0, length: int = 0) -> bytes:
    """What to ask for to free these bytes; all of them by default."""
    return _FLOCK.pack(_NONE, os.SEEK_SET, start, length, 0)


def ask(file: int, what: bytes) -> bool:
    """Lock or free; False where others are in the way. Raises OSError: the file system cannot do it."""
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, what)
    except (BlockingIOError, PermissionError):
        return False
    return True


def is_locked(file: int, start: int, length: int) -> bool:
    """Whether anyone has the bytes locked, this process by other means included."""
    asked = _FLOCK.pack(_WRITE, os.SEEK_SET, start, length, 0)
    return bool(_FLOCK.unpack(fcntl.fcntl(file, fcntl.F_OFD_GETLK, asked))[0] != _NONE)
