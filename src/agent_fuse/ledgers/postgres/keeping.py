"""The keeper of a PostgreSQL ledger."""

from collections.abc import Callable, Sequence
from typing import Any, LiteralString, Self, TypeVar, cast

import psycopg

from agent_fuse.ledgers import codec
from agent_fuse.ledgers.keeping import ACCOUNTS, HOLDS, JOURNAL, TABLES, Filling, LedgerTable, Made, not_empty, outdated
from agent_fuse.ledgers.postgres import rights, rows
from agent_fuse.ledgers.postgres.connections import ServerConnections
from agent_fuse.ledgers.postgres.reading import PostgresReader, spoken
from agent_fuse.ledgers.postgres.schema import MIGRATIONS
from agent_fuse.ledgers.postgres.tables import bring_up, version

T = TypeVar("T")

_SECONDS = 600.0
"""For one statement: a page that is copied, or a sum over a long journal."""
_PLACES = ("on_accounts", "buckets", "windows")
_STATE = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'"
_THERE = """SELECT 1 FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace s ON s.oid = t.relnamespace
    WHERE s.nspname = 'agent_fuse' AND t.relname = 'version'"""
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_ALONE = f"LOCK TABLE {rights.WRITTEN_NAMES} IN EXCLUSIVE MODE"


class PostgresKeeper:
    """See keeping.Keeper."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._server = ServerConnections(url, _SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    @property
    def where(self) -> str:
        """See Keeper."""
        return self._server.where

    def make(self) -> Made:
        """See Keeper."""
        before = version(self._server)
        bring_up(self._server)
        return Made(before, len(MIGRATIONS))

    def grants(self, role: str) -> list[str]:
        """See Keeper."""
        return rights.statements(role)

    def grant(self, role: str) -> None:
        """See Keeper."""
        rights.give(self._server, role)

    def faults(self) -> tuple[list[str], bool]:
        """See Keeper."""
        replica, read_only = self._server.ask("check", _STATE)[0]
        found: list[str] = []
        if replica:
            found.append("it is a replica, which only the primary server writes to: name that one")
        elif read_only:
            found.append("transactions are read-only here (default_transaction_read_only): a fuse could not write")
        if not self._server.ask("check", _THERE):
            return [*found, "its tables are not there: agent-fuse ledger init makes them"], False
        lacking, may_read = rights.lacking(self._server)
        found += lacking
        if not may_read:
            return found, False
        now = version(self._server)
        if now < len(MIGRATIONS):
            found.append(outdated(now, len(MIGRATIONS)))
        return found, now == len(MIGRATIONS)

    def whole(self) -> "_PostgresWhole":
        """See Keeper."""
        return _PostgresWhole(self._url)

    def fill(self, work: Callable[[Filling], T]) -> T:
        """See Keeper."""
        bring_up(self._server)

        def run(cursor: "psycopg.Cursor[codec.Row]") -> T:
            with cursor.connection.transaction():
                cursor.execute(_ALONE)
                filling = _PostgresFilling(cursor)
                if any(filling.ask(f"SELECT 1 FROM {table.name} LIMIT 1") for table in TABLES):
                    raise not_empty(self.where)
                return work(filling)

        return self._server.do("copy", run)


class _PostgresWhole(PostgresReader):
    """See keeping.Whole: one connection, and one transaction on it from the first question on."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._server.run("open", [_SNAPSHOT])

    def ask(self, query: str, values: Sequence[Any] = ()) -> list[codec.Row]:
        """See Whole."""
        return self._all(query, values)


class _PostgresFilling:
    """See keeping.Filling."""

    def __init__(self, cursor: "psycopg.Cursor[codec.Row]") -> None:
        self._cursor = cursor

    def put(self, table: LedgerTable, page: Sequence[codec.Row]) -> None:
        """See Filling."""
        name = "account_rows" if table is ACCOUNTS else table.name
        columns = (*table.columns, *_PLACES) if table in (JOURNAL, HOLDS) else table.columns
        query = f"COPY agent_fuse.{name} ({', '.join(columns)}) FROM STDIN"
        with self._cursor.copy(cast("LiteralString", query)) as copy:
            for row in page:
                copy.write_row(_row(table, row))

    def ask(self, query: str, values: Sequence[Any] = ()) -> list[codec.Row]:
        """See Filling."""
        asked, given = spoken(query, values)
        self._cursor.execute(cast("LiteralString", asked), given)
        return [rows.got(one) for one in self._cursor.fetchall()]


def _row(table: LedgerTable, row: codec.Row) -> codec.Row:
    kept = tuple(rows.put(one) if isinstance(one, str) else one for one in row)
    if table not in (JOURNAL, HOLDS):
        return kept
    names = row[table.columns.index("accounts")]
    if names is None:
        return (*kept, *(None for _ in _PLACES))
    places = rows.Places(codec.unpack(names))
    return (*kept, places.accounts, places.buckets, places.windows)
