"""Connections to the server: few, kept, each for one thread at a time; and what fails, in one line."""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from agent_fuse.ledgers.base import Busy, LedgerError, Unwritable
from agent_fuse.ledgers.waiting import patience, pause
from agent_fuse.mistakes import ConfigurationError

T = TypeVar("T")
Row = tuple[Any, ...]

KEPT = 8
"""Connections of one process that stay open between calls."""

_CONNECT_SECONDS = 5
_inherited: list[object] = []
_AGAIN = (errors.SerializationFailure, errors.DeadlockDetected)
_BUSY = (errors.QueryCanceled, errors.LockNotAvailable, *_AGAIN)
_NO_TABLES = "its tables are not there; docs/postgres.md says who makes them"
_CAUSES: Mapping[type[Exception], str] = {
    errors.ReadOnlySqlTransaction: "it is read-only (a replica?); name the primary server",
    errors.InsufficientPrivilege: "this user lacks rights; docs/postgres.md says which it needs",
    errors.InvalidSchemaName: _NO_TABLES,
    errors.UndefinedTable: _NO_TABLES,
    errors.UndefinedFunction: _NO_TABLES,
}


class Server:
    """The server at a URL.

    Args:
        url: `postgresql://user@host:port/database?sslmode=…`, all that libpq takes, and `statement_timeout` in seconds.
        patience: seconds that a statement may take, waiting for others included.
    """

    def __init__(self, url: str, patience: float) -> None:
        try:
            parts = urlsplit(url)
            options = dict(parse_qsl(parts.query))
            self._seconds = min(float(options.pop("statement_timeout", patience)), patience)
            query = urlencode(options, quote_via=quote)
            found = conninfo_to_dict(urlunsplit(parts._replace(scheme="postgresql", query=query)))
        except (ValueError, psycopg.Error) as error:
            raise ConfigurationError(
                f"ledger is {plain_words(error, url)!r}; write postgresql://user@host/db"
            ) from None
        found.setdefault("connect_timeout", _CONNECT_SECONDS)
        found.setdefault("application_name", "agent_fuse")
        found.setdefault("tcp_user_timeout", int(1000 * self._seconds) + 1000)
        asked = str(found.get("options") or os.environ.get("PGOPTIONS", ""))
        found["options"] = f"{asked} -c statement_timeout={max(int(self._seconds * 1000), 1)}".strip()
        self._secret = str(found.get("password") or "")
        self._conninfo = make_conninfo("", **found)
        host = found.get("host") or os.environ.get("PGHOST") or "localhost"
        name = found.get("dbname") or os.environ.get("PGDATABASE") or found.get("user") or ""
        port = f":{found['port']}" if found.get("port") else ""
        self.name = str(name)
        self.where = f"postgresql://{host}{port}/{name}"
        self.renew()

    def __del__(self) -> None:
        if hasattr(self, "_idle"):
            self.close()

    def renew(self) -> None:
        """Begin anew, in a forked child: the connections are its parent's, which closing them here would end."""
        _inherited.append(getattr(self, "_idle", None))
        self._idle: deque[psycopg.Connection[Row]] = deque()

    def close(self) -> None:
        """Close what is open and idle."""
        while self._idle:
            self._idle.pop().close()

    def ask(self, operation: str, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """One statement, one round trip, one transaction. Raises LedgerError."""
        return self.do(operation, lambda cursor: _all(cursor, query, values))

    def do(self, operation: str, work: Callable[["psycopg.Cursor[Row]"], T]) -> T:
        """Work on a connection of one's own, done again where the server asks for that. Raises LedgerError."""
        give_up = time.monotonic() + patience(self._seconds)
        times = 0
        while True:
            try:
                return self._once(work)
            except _AGAIN as error:
                if time.monotonic() >= give_up:
                    raise self._failed(operation, error) from error
                pause(times)
                times += 1
            except (psycopg.Error, UnicodeError) as error:
                raise self._failed(operation, error) from None

    def _once(self, work: Callable[["psycopg.Cursor[Row]"], T]) -> T:
        try:
            db = self._idle.pop()
        except IndexError:
            db = psycopg.Connection.connect(self._conninfo, autocommit=True, prepare_threshold=None)
        kept = False
        try:
            # Its own class, not the connection's factory: what instruments psycopg makes no span of our statements.
            with psycopg.Cursor(db) as cursor:
                answer = work(cursor)
            kept = True
        except psycopg.Error:
            kept = not db.closed and db.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            raise
        finally:
            if kept and len(self._idle) < KEPT:
                self._idle.append(db)
            else:
                db.close()
        return answer

    def _failed(self, operation: str, error: Exception) -> LedgerError:
        said = plain_words(error, self._secret)
        if isinstance(error, (UnicodeError, errors.DataError, errors.CheckViolation)):
            return Unwritable(operation, self.where, f"a figure or a text is out of range ({said})")
        if isinstance(error, _BUSY):
            return Busy(operation, self.where, f"others kept it busy for {self._seconds:g} s ({said})")
        cause = next((words for kind, words in _CAUSES.items() if isinstance(error, kind)), said)
        if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
            cause = f"the server cannot be reached: {said}"
        return LedgerError(operation, self.where, cause)


def plain_words(error: BaseException, secret: str) -> str:
    """What an error says, on one line, without the password."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = next((line for line in lines if not line.startswith(("LINE ", "CONTEXT:", "DETAIL:"))), type(error).__name__)
    return said.replace(secret, "…") if secret else said


def _all(cursor: "psycopg.Cursor[Row]", query: str, values: Sequence[Any]) -> list[Row]:
    cursor.execute(query, values)  # pyright: ignore[reportArgumentType] - ours, none is made of texts from outside
    return cursor.fetchall()
