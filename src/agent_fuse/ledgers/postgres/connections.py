"""Connections to the server: few, kept, each for one thread at a time; and what fails, in one line."""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, LiteralString, TypeVar, cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from agent_fuse.ledgers.base import Busy, LedgerError, Unwritable
from agent_fuse.ledgers.postgres.beside import Beside
from agent_fuse.ledgers.postgres.functions import SYNCHRONOUS
from agent_fuse.ledgers.postgres.together import NOT_PLAIN
from agent_fuse.ledgers.waiting import in_event_loop, patience, pause
from agent_fuse.mistakes import ConfigurationError

T = TypeVar("T")
Row = tuple[Any, ...]

KEPT = 64
"""Connections of one process that stay open between calls."""

_NEVER = 2**31
"""Statements are prepared where that is asked for, and not after so many times."""
_CONNECT_SECONDS = 5
_inherited: list[object] = []
_AGAIN = (errors.SerializationFailure, errors.DeadlockDetected)
_BUSY = (errors.QueryCanceled, errors.LockNotAvailable, *_AGAIN)
_POOLED = (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement)
"""What a pooler between transactions makes of statements that are prepared on a connection."""
_NO_TABLES = "its tables are not there; docs/postgres.md says who makes them"
_CAUSES: Mapping[type[Exception], str] = {
    errors.ReadOnlySqlTransaction: "it is read-only (a replica?); name the primary server",
    errors.InsufficientPrivilege: "this user lacks rights; docs/postgres.md says which it needs",
    errors.InvalidSchemaName: _NO_TABLES,
    errors.UndefinedTable: _NO_TABLES,
    errors.UndefinedFunction: _NO_TABLES,
}


class _Lost(Exception):
    """The connection broke while the server was at it, so that nobody knows whether it was done."""

    def __init__(self, error: psycopg.Error) -> None:
        super().__init__(error)
        self.error = error


class NotPlain(Exception):
    """The short way was left: nothing was changed."""


class Server:
    """The server at a URL.

    Args:
        url: `postgresql://user@host:port/database?sslmode=…`, all that libpq takes, and `statement_timeout` in seconds.
        patience: seconds that a statement may take, waiting for others included.
        synchronous: `"full"`: bookings wait for the server's disk as well.
    """

    def __init__(self, url: str, patience: float, synchronous: str = "normal") -> None:
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
        asked += f" -c statement_timeout={max(int(self._seconds * 1000), 1)}"
        if synchronous == "full":
            asked += f" -c {SYNCHRONOUS}=full"
        found["options"] = asked.strip()
        self._prepares = True
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
        self._beside = Beside()

    def close(self) -> None:
        """Close what is open and idle."""
        while self._idle:
            self._idle.pop().close()

    def ask(self, operation: str, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """One statement, one round trip, one transaction. Raises LedgerError."""
        return self.do(operation, lambda cursor: _all(cursor, query, values))

    def run(self, operation: str, statements: Sequence[str]) -> None:
        """Statements without an answer: several are one transaction. Raises LedgerError."""
        self.do(operation, lambda cursor: cursor.execute(cast("LiteralString", "; ".join(statements))))

    def often(
        self, operation: str, query: str, values: Sequence[Any] = (), late: Callable[[list[Row]], None] | None = None
    ) -> list[Row]:
        """As `ask`, and prepared on the connection. Raises LedgerError, NotPlain."""
        return self.do(operation, lambda cursor: _all(cursor, query, values, prepare=self._prepares), late)

    def do(
        self,
        operation: str,
        work: Callable[["psycopg.Cursor[Row]"], T],
        late: Callable[[T], None] | None = None,
    ) -> T:
        """Work on a connection of one's own, done again where the server asks for that.

        In an event loop a thread does it, and `late` is told of an answer that comes when the loop waits no more.

        Raises:
            LedgerError: it cannot be done; Busy, in an event loop, where it is not done yet.
        """
        if not in_event_loop() or operation == "open":
            return self._do(operation, work)
        seconds = patience(self._seconds)
        if not seconds:
            raise Busy(operation, self.where, "it is far away, and an event loop does not wait for it")
        try:
            return self._beside.do(lambda: self._do(operation, work), seconds, late)
        except TimeoutError:
            raise Busy(operation, self.where, f"it did not answer an event loop in {seconds:g} s") from None

    def _do(self, operation: str, work: Callable[["psycopg.Cursor[Row]"], T]) -> T:
        give_up = time.monotonic() + self._seconds
        times = 0
        while True:
            try:
                return self._once(work)
            except _Lost as lost:
                failed = self._failed(operation, lost.error)
                failed.unsure = True
                raise failed from None
            except _POOLED as error:
                if not self._prepares:
                    raise self._failed(operation, error) from None
                self._prepares = False
            except _AGAIN as error:
                if time.monotonic() >= give_up:
                    raise self._failed(operation, error) from error
                pause(times)
                times += 1
            except (psycopg.Error, UnicodeError) as error:
                if getattr(error, "sqlstate", None) == NOT_PLAIN:
                    raise NotPlain from None
                raise self._failed(operation, error) from None

    def _once(self, work: Callable[["psycopg.Cursor[Row]"], T]) -> T:
        try:
            db = self._idle.pop()
        except IndexError:
            db = psycopg.Connection.connect(self._conninfo, autocommit=True, prepare_threshold=_NEVER)
        kept = False
        try:
            # Its own class, not the connection's factory: what instruments psycopg makes no span of our statements.
            with psycopg.Cursor(db) as cursor:
                answer = work(cursor)
            kept = True
        except psycopg.Error as error:
            if db.closed:
                raise _Lost(error) from error
            kept = db.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
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


def _all(cursor: "psycopg.Cursor[Row]", query: str, values: Sequence[Any], *, prepare: bool = False) -> list[Row]:
    cursor.execute(query, values, prepare=prepare)  # pyright: ignore[reportArgumentType] - ours, none is made of texts from outside
    return cursor.fetchall()
