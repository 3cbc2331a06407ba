"""Reading a SQLite ledger from outside: its file is never made or changed, and one of an older version is read too."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import apsw

from agent_fuse.ledgers import anchor, codec
from agent_fuse.ledgers.anchor import Anchor
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.ledgers.migrations import NotOurs, version
from agent_fuse.ledgers.sql import FAILURES, Connection, refuse_folder, words
from agent_fuse.ledgers.sql_reading import SAVED, USER, SqlReader

_KEEPS_REFUSED_BY = 2
"""The version of the tables from which on the journal says what refused a call."""
_KEEPS_BILL = 3
"""The version from which on it says what of a cost is fees, and whose figure the cost is."""
_BILL = {"fee": "0", "source": "''", "computed": "NULL"}
"""What older calls say there, by column."""
_KEEPS_SINCE = 4
"""The version from which on accounts say when their first call was admitted."""
_KEEPS_CONTROLS = 5
_KEEPS_SAVED = 6
_KEEPS_USER = 7
_BUSY_MILLISECONDS = 2_000


class SqliteReader(SqlReader):
    """See `readers.Reader`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._anchor: Anchor | None = None
        self._db, found = self._connect(path)
        self.version = found
        # A ledger that no fuse of this version has opened yet is read as it is: a reader changes nothing.
        absent: Mapping[str, str] = ({} if found >= _KEEPS_BILL else _BILL) | (
            {} if found >= _KEEPS_SAVED else dict.fromkeys(SAVED, "NULL")
        )
        absent = absent if found >= _KEEPS_USER else {**absent, USER: "NULL"}
        self._call = ", ".join(absent.get(column, column) for column in codec.ENTRY)
        self._fee = absent.get("fee", "fee")
        self._keeps_refused_by = found >= _KEEPS_REFUSED_BY
        self._keeps_controls = found >= _KEEPS_CONTROLS
        self._keeps_saved = found >= _KEEPS_SAVED
        self._keeps_user = found >= _KEEPS_USER
        if found < _KEEPS_SINCE:
            self._account = self._account.replace("since", "NULL")
            self._since = "NULL"

    @property
    def where(self) -> str:
        """See Reader."""
        return str(self.path)

    @property
    def name(self) -> str:
        """See Reader."""
        return self.path.name

    def _connect(self, path: Path) -> tuple[Connection, int]:
        db: Connection | None = None
        held: Anchor | None = None
        try:
            refuse_folder(path)
            held = anchor.hold(str(path), _BUSY_MILLISECONDS / 1000)
            db = cast("Connection", apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY))
            self._file = _which(path)
            db.set_busy_timeout(_BUSY_MILLISECONDS)
            found = version(db)
        except (*FAILURES, NotOurs) as error:
            anchor.let_go(held, db.close if db is not None else anchor.nothing)
            missing = isinstance(error, FileNotFoundError)
            cause = "there is no such file; name another one (--db, db_path)" if missing else words(error)
            raise LedgerError("open", str(path), cause) from (None if missing else error)
        if not found:
            anchor.let_go(held, db.close)
            raise LedgerError("open", str(path), "it is empty: no fuse has written to it yet; start one first")
        self._anchor = held
        return db, found

    def close(self) -> None:
        """See Reader."""
        held, self._anchor = self._anchor, None
        anchor.let_go(held, self._db.close)

    def __del__(self) -> None:
        if self._anchor is not None:
            self.close()

    def gone(self) -> bool:
        """See Reader."""
        try:
            return _which(self.path) != self._file
        except OSError:
            return True

    def unwritable(self) -> str | None:
        """See Reader."""
        found = next((one for one in (self.path, self.path.parent) if not os.access(one, os.W_OK)), None)
        return None if found is None else f"{found} is read-only for this user"

    def _all(self, query: str, values: Sequence[Any] = ()) -> list[codec.Row]:
        try:
            return self._db.execute(query, values).fetchall()
        except FAILURES as error:
            raise LedgerError("read", str(self.path), words(error)) from error

    def _matching(self, column: str, pattern: str) -> tuple[str, str]:
        return f"{column} GLOB ?", pattern

    def _names(self, column: str) -> str:
        return f"json_group_array(DISTINCT {column})"


def _which(path: Path) -> tuple[int, int]:
    """Which file it is, whatever it is called."""
    found = path.stat()
    return found.st_dev, found.st_ino
