"""Connections to the server: few, kept, each for one thread at a time; and what fails, in one line."""

import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, LiteralString, TypeVar, cast
from weakref import WeakSet

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from agent_fuse.ledgers.base import Busy, LedgerError, Unwritable
from agent_fuse.ledgers.postgres.address import parsed, plain_words
from agent_fuse.ledgers.postgres.beside import Beside, Unanswered
from agent_fuse.ledgers.postgres.link import Link, Row, connect
from agent_fuse.ledgers.postgres.together import NOT_PLAIN
from agent_fuse.ledgers.waiting import in_event_loop, patience, pause

T = TypeVar("T")

KEPT = 64
"""Connections of one process that stay open between calls."""

_ROOM_SECONDS = 0.05
"""Between two tries to connect where the server has no connection left: one of ours may be free before."""
_FULL = ("too many", "remaining connection slots", "no more connections")
_REFUSED = "FATAL: "
_UNGIVEN = "no password supplied"
_UNSAFE = re.compile(r"certificate|\bSSL\b|\bsslmode\b|private key")
_CONNECTING = re.compile(r"^connection (?:failed|is bad): (?:connection to server .*? failed: )?")
_TRUST = "certificate verify failed", "root certificate file", "root.crt"
_TRUSTING = "; sslrootcert=FILE of its URL names who signs the server's certificate"
_TWICE = frozenset({"balances", "check", "controls", "holds", "open", "refuse", "release", "reserve", "settle"})
"""What may be done twice: its answer alone is lost when the connection is."""
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


class ServerConnections:
    """The server at a URL.

    Args:
        url: see `address.parsed`.
        patience: seconds that a statement may take, waiting for others included.
        synchronous: `"full"`: bookings wait for the server's disk as well.
    """

    def __init__(self, url: str, patience: float, synchronous: str = "normal") -> None:
        self._address = parsed(url, patience)
        self._seconds = self._address.seconds
        self._full = synchronous == "full"
        self._prepares = True
        self.name, self.where = self._address.name, self._address.where
        self.renew()

    def __del__(self) -> None:
        if hasattr(self, "_idle"):
            self.close()

    def renew(self) -> None:
        """Begin anew, in a forked child: the connections are its parent's, which closing them here would end."""
        _inherited.append(getattr(self, "_idle", None))
        self._idle: deque[Link] = deque()
        self._used: WeakSet[Link] = WeakSet()
        self._beside = Beside()

    def close(self) -> None:
        """Close what is open and idle."""
        with suppress(IndexError):
            while True:
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
        except Unanswered as yet:
            busy = Busy(operation, self.where, f"it did not answer an event loop in {seconds:g} s")
            busy.goes_on = yet.goes_on
            raise busy from None

    def _do(self, operation: str, work: Callable[["psycopg.Cursor[Row]"], T]) -> T:
        give_up = time.monotonic() + self._seconds
        times, lost = 0, False
        while True:
            try:
                return self._once(work)
            except _Lost as broken:
                if lost or operation not in _TWICE or time.monotonic() >= give_up:
                    raise self._failed(operation, broken.error, lost=True) from None
                self.close()  # whatever ended one has ended others
                lost = True
            except _POOLED as error:
                if not self._prepares:
                    raise self._failed(operation, error, lost=lost) from None
                self._prepares = False
            except _AGAIN as error:
                if time.monotonic() >= give_up:
                    raise self._failed(operation, error, lost=lost) from error
                pause(times)
                times += 1
            except (psycopg.Error, UnicodeError) as error:
                if getattr(error, "sqlstate", None) == NOT_PLAIN:
                    raise NotPlain from None
                raise self._failed(operation, error, lost=lost) from None

    def _once(self, work: Callable[["psycopg.Cursor[Row]"], T]) -> T:
        db = self._link()
        kept = False
        try:
            # Its own class, not the connection's factory: what instruments psycopg makes no span of our statements.
            with psycopg.Cursor(db) as cursor:
                answer = work(cursor)
            kept = True
        except psycopg.Error as error:
            if db.closed or db.info.transaction_status in (TransactionStatus.ACTIVE, TransactionStatus.UNKNOWN):
                raise _Lost(error) from error
            kept = db.info.transaction_status == TransactionStatus.IDLE
            raise
        finally:
            self._used.discard(db)
            if kept and len(self._idle) < KEPT:
                self._idle.append(db)
            else:
                db.close()
        return answer

    def _link(self) -> Link:
        """A connection of one's own: one that stands idle, a new one, or the first that others have done with."""
        give_up = time.monotonic() + self._seconds
        while True:
            db = self._kept()
            if db is None:
                try:
                    db = connect(self._address, full=self._full)
                except psycopg.OperationalError as error:
                    full = bool(self._used) or any(one in str(error) for one in _FULL)
                    if not full or time.monotonic() >= give_up:
                        raise
                    self._wait_for_one()
                    continue
                self._prepares = self._prepares and db.direct
            self._used.add(db)
            return db

    def _kept(self) -> Link | None:
        while True:
            try:
                db = self._idle.pop()
            except IndexError:
                return None
            began = db.pgconn.transaction_status != TransactionStatus.IDLE
            if db.stands():
                return db
            db.close()
            if began:
                raise psycopg.OperationalError("the connection was lost in the middle of a transaction")

    def _wait_for_one(self) -> None:
        ends, times = time.monotonic() + _ROOM_SECONDS, 0
        while not self._idle and time.monotonic() < ends:
            pause(times)
            times += 1

    def _failed(self, operation: str, error: Exception, *, lost: bool = False) -> LedgerError:
        found = self._error(operation, error)
        found.unsure = lost
        return found

    def _error(self, operation: str, error: Exception) -> LedgerError:
        said = plain_words(error, self._address.secret)
        if isinstance(error, (UnicodeError, errors.DataError, errors.CheckViolation)):
            return Unwritable(operation, self.where, f"a figure or a text is out of range ({said})")
        if isinstance(error, _BUSY):
            return Busy(operation, self.where, f"others kept it busy for {self._seconds:g} s ({said})")
        cause = next((words for kind, words in _CAUSES.items() if isinstance(error, kind)), said)
        if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
            _, refused, why = said.partition(_REFUSED)
            if refused:
                cause = f"the server refuses: {why.strip()}"
            elif _UNSAFE.search(said):
                fix = _TRUSTING if any(one in said for one in _TRUST) else ""
                cause = f"no safe connection: {_CONNECTING.sub('', said)}{fix}"
            elif _UNGIVEN in said:
                cause = f"the server asks for a password: give one by PGPASSWORD, ~/.pgpass or a service ({_UNGIVEN})"
            else:
                cause = f"the server cannot be reached: {said}"
        return LedgerError(operation, self.where, cause)


def _all(cursor: "psycopg.Cursor[Row]", query: str, values: Sequence[Any], *, prepare: bool = False) -> list[Row]:
    cursor.execute(query, values, prepare=prepare)  # pyright: ignore[reportArgumentType] - ours, none is made of texts from outside
    return cursor.fetchall()
