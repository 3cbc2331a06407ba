"""The keeper of a SQLite ledger."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from agent_fuse.account_names import ALL
from agent_fuse.ledgers import codec, control_rows
from agent_fuse.ledgers.account_rows import marks
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.ledgers.database import Database
from agent_fuse.ledgers.keeping import TABLES, Filling, LedgerTable, Made, not_empty, outdated
from agent_fuse.ledgers.migrations import MIGRATIONS
from agent_fuse.ledgers.sql import Connection
from agent_fuse.ledgers.sqlite_reading import SqliteReader
from agent_fuse.mistakes import ConfigurationError

T = TypeVar("T")

_LOCK_SECONDS = 5.0
_MISCOUNTED = f"SELECT 1 FROM accounts WHERE name = '{ALL}' AND controls <> (SELECT count(*) FROM controls)"  # noqa: S608


class SqliteKeeper:
    """See keeping.Keeper."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is kept open in between."""

    @property
    def where(self) -> str:
        """See Keeper."""
        return str(self._path)

    def make(self) -> Made:
        """See Keeper."""
        try:
            with SqliteReader(self._path) as books:
                before = books.version
        except LedgerError:
            before = 0  # if there is no other reason than that it is not there, it is made now
        database = self._database()
        database.open()
        database.close()
        return Made(before, len(MIGRATIONS))

    def grants(self, role: str) -> list[str]:
        """See Keeper. A file has its owner and its mode."""
        del role
        return []

    def grant(self, role: str) -> None:
        """See Keeper."""
        raise ConfigurationError(f"--grant is {role!r}, but a file knows no roles: give its user the file")

    def faults(self) -> tuple[list[str], bool]:
        """See Keeper."""
        found: list[str] = []
        with _SqliteWhole(self._path) as books:
            unwritable = books.unwritable()
            if unwritable is not None:
                found.append(unwritable)
            try:
                found += [said for (said,) in books.ask("PRAGMA integrity_check(20)") if said != "ok"]
            except LedgerError as failed:
                return [*found, failed.cause], False
            if books.version < len(MIGRATIONS):
                return [*found, outdated(books.version, len(MIGRATIONS))], False
            if books.ask(_MISCOUNTED):
                found.append("what is stopped or topped up is not counted right: calls may pass a stop")
        return found, not found

    def whole(self) -> "_SqliteWhole":
        """See Keeper."""
        books = _SqliteWhole(self._path)
        if books.version < len(MIGRATIONS):
            books.close()
            raise LedgerError("open", self.where, outdated(books.version, len(MIGRATIONS)))
        return books

    def fill(self, work: Callable[[Filling], T]) -> T:
        """See Keeper."""
        database = self._database()
        database.open()

        def run(db: Connection) -> T:
            if any(db.execute(f"SELECT 1 FROM {table.name} LIMIT 1").fetchone() for table in TABLES):  # noqa: S608 - ours
                raise not_empty(self.where)
            filling = _SqliteFilling(db)
            answer = work(filling)
            if filling.ask("SELECT 1 FROM controls LIMIT 1"):
                control_rows.recount(db)
            return answer

        try:
            return database.write("copy", run)
        finally:
            database.close()

    def _database(self) -> Database:
        return Database(self._path, synchronous="full", lock_timeout=_LOCK_SECONDS)


class _SqliteWhole(SqliteReader):
    """See keeping.Whole: one transaction from the first question on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._all("BEGIN")

    def ask(self, query: str, values: Sequence[Any] = ()) -> list[codec.Row]:
        """See Whole."""
        return self._all(query, values)


class _SqliteFilling:
    """See keeping.Filling."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def put(self, table: LedgerTable, page: Sequence[codec.Row]) -> None:
        """See Filling."""
        statement = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({marks(len(table.columns))})"  # noqa: S608
        for row in page:
            self._db.execute(statement, row)

    def ask(self, query: str, values: Sequence[Any] = ()) -> list[codec.Row]:
        """See Filling."""
        return self._db.execute(query, values).fetchall()
