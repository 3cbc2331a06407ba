"""SQLite as it is used here: the few methods of a connection, typed, and its failures in plain words."""

from collections.abc import Callable, Sequence
from errno import EISDIR
from pathlib import Path
from typing import Any, Protocol, cast

import apsw


class Cursor(Protocol):
    """Rows of a query."""

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        ...

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        ...


class Connection(Protocol):
    """What is used of `apsw.Connection` (its own stubs are not complete before Python 3.12)."""

    @property
    def filename(self) -> str:
        """The path of its file."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    def execute(self, statements: str, bindings: Sequence[Any] = ()) -> Cursor:
        """Run a statement, prepared once and kept."""
        ...

    def changes(self) -> int:
        """Rows that the last statement wrote."""
        ...

    def pragma(self, name: str, value: str | int | None = None) -> Any:
        """Set or read a pragma."""
        ...

    def config(self, op: int, value: int) -> int:
        """Set an option of the connection."""
        ...

    def file_control(self, dbname: str, op: int, pointer: int) -> bool:
        """Ask SQLite's layer for files; the answer is written to where `pointer` points."""
        ...

    def set_busy_timeout(self, milliseconds: int) -> None:
        """How long to wait for other writers."""
        ...

    def set_busy_handler(self, callable: Callable[[int], bool]) -> None:
        """Asked whether to wait on for another writer, with the times that it was asked before."""
        ...

    def wal_checkpoint(self, dbname: str | None = None, mode: int = 0) -> tuple[int, int]:
        """Fold the log in, as far as readers let; mode 0 waits for nobody."""
        ...

    def close(self) -> None:
        """Close."""
        ...


FAILURES = (apsw.Error, OSError, OverflowError, UnicodeError)
"""What a connection raises."""

_WORDS: dict[type[Exception], str] = {
    apsw.FullError: "the disk is full; free some space",
    apsw.ReadOnlyError: "the file or its folder is read-only; make it writable or name another file",
    apsw.CantOpenError: "the file cannot be opened; it and its folder must be writable",
    apsw.CorruptError: "the file is damaged; it was left as it is, move it away to start a new one",
    apsw.NotADBError: "the file is no database; it was left as it is, move it away to start a new one",
    apsw.BusyError: "another program keeps the database locked; close that program",
    apsw.IOError: "the disk reported an error",
}


def refuse_folder(path: Path) -> None:
    """SQLite says only that it cannot be opened. Raises OSError: the path is a folder's, or none."""
    if path.is_dir():
        raise IsADirectoryError(EISDIR, "it is a folder; name the file of the ledger in it")


def connect(path: Path) -> Connection:
    """Open a file that exists."""
    refuse_folder(path)
    return cast("Connection", apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE))


def words(error: Exception) -> str:
    """The cause, and what to do where that is known."""
    if isinstance(error, OSError):
        what = error.strerror or str(error)
        return f"{what}: {error.filename}" if error.filename else what
    known = _WORDS.get(type(error))
    return f"{known} ({error})" if known else str(error)


def never_writable(error: Exception) -> bool:
    """Whether the data is at fault, not the file."""
    return isinstance(error, apsw.ConstraintError | OverflowError | UnicodeError)
