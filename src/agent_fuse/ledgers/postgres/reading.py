"""Reading a PostgreSQL ledger from outside."""

import re
from collections.abc import Sequence
from typing import Any

from agent_fuse.ledgers import codec
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.ledgers.postgres import rows
from agent_fuse.ledgers.postgres.connections import ServerConnections
from agent_fuse.ledgers.postgres.tables import version
from agent_fuse.ledgers.sql_reading import SAVED, USER, SqlReader

_TABLES = re.compile(r"\bFROM (accounts|controls|holds|journal|notes)\b")
_KEEPS_SAVED = 3
"""The version of the tables from which on the journal says what was saved."""
_KEEPS_USER = 5
"""The version from which on it says whose call it was."""
_SECONDS = 60.0
"""For a report's statement over a long journal."""
_ITS_MARKS = re.compile(r"[\\%_]")
_LIKE = str.maketrans("*?", "%_")
_MARKS = re.compile(r"\[\^?\]?[^]]*\]|[*?]")


class PostgresReader(SqlReader):
    """See `readers.Reader`."""

    def __init__(self, url: str) -> None:
        self._server = ServerConnections(url, _SECONDS)
        found = version(self._server)
        if not found:
            raise LedgerError(
                "open",
                self._server.where,
                "its tables are not there; start a fuse on it first",
            )
        # Tables of an older version are read as they are: a reader changes nothing.
        self._keeps_saved, self._keeps_user = found >= _KEEPS_SAVED, found >= _KEEPS_USER
        absent = (*(() if self._keeps_saved else SAVED), *(() if self._keeps_user else (USER,)))
        self._call = ", ".join("NULL" if one in absent else one for one in codec.ENTRY)

    @property
    def where(self) -> str:
        """See Reader."""
        return self._server.where

    @property
    def name(self) -> str:
        """See Reader."""
        return self._server.name

    def close(self) -> None:
        """See Reader."""
        self._server.close()

    def gone(self) -> bool:
        """See Reader. A database that is made anew under its name ends its connections."""
        return False

    def unwritable(self) -> str | None:
        """See Reader."""
        query = "SELECT pg_is_in_recovery(), has_table_privilege('agent_fuse.account_rows', 'INSERT, UPDATE')"
        replica, may = self._server.ask("read", query)[0]
        if replica:
            return "it is a replica, which only the primary server writes to"
        return None if may else "this user lacks rights on its tables; see docs/postgres.md"

    def _all(self, query: str, values: Sequence[Any] = ()) -> list[codec.Row]:
        return [rows.got(one) for one in self._server.ask("read", *spoken(query, values))]

    def _matching(self, column: str, pattern: str) -> tuple[str, str]:
        if "[" in pattern:
            return f"{column} ~ ?", f"^{_regex(pattern)}$"
        # Several times as fast as the same in a regular expression.
        return f"{column} LIKE ?", _ITS_MARKS.sub(r"\\\g<0>", pattern).translate(_LIKE)

    def _names(self, column: str) -> str:
        return f"json_agg(DISTINCT {column})::text"


def spoken(query: str, values: Sequence[Any]) -> tuple[str, list[Any]]:
    """A query with `?` where values go, and its values, as this database takes them."""
    asked = _TABLES.sub(r"FROM agent_fuse.\1", query.replace("%", "%%").replace("?", "%s"))
    return asked, [rows.put(one) if isinstance(one, str) else one for one in values]


def _regex(pattern: str) -> str:
    """A pattern of `*`, `?` and `[…]` as a regular expression of the database."""
    parts, at = list[str](), 0
    for mark in _MARKS.finditer(pattern):
        parts.append(re.escape(pattern[at : mark.start()]))
        text = mark[0]
        parts.append({"*": ".*", "?": "."}.get(text) or text.replace("\\", "\\\\"))
        at = mark.end()
    return "".join([*parts, re.escape(pattern[at:])])
