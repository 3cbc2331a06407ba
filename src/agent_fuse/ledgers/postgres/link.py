"""One connection: no wait on it is without end, and a pooler between is found out when it is made."""

import time
from collections.abc import Generator
from typing import Any, LiteralString, TypeVar

import psycopg

from agent_fuse.ledgers.postgres.address import ServerAddress
from agent_fuse.ledgers.postgres.functions import SYNCHRONOUS

T = TypeVar("T")
Row = tuple[Any, ...]

_NEVER = 2**31
"""Statements are prepared where that is asked for, and not after so many times."""
_GRACE_SECONDS = 1.0
"""A server that is well gives a statement up first."""
_INTERVAL = 0.1
_BEGIN: LiteralString = f"""SELECT pid = %(pid)s, CASE WHEN pid = %(pid)s THEN
        set_config('statement_timeout', %(milliseconds)s, false) || set_config('extra_float_digits', '1', false) END,
    CASE WHEN pid = %(pid)s AND %(full)s THEN set_config('{SYNCHRONOUS}', 'full', false)
        ELSE current_setting('{SYNCHRONOUS}', true) END,
    current_setting('extra_float_digits')
    FROM pg_catalog.pg_backend_pid() AS own(pid)"""
"""Asked at the start: it sets what is for this connection alone, where it is one of our own."""


class Unfit(psycopg.Error):
    """The server answers, and cannot keep the books; the message says why."""


class Link(psycopg.Connection[Row]):
    """A connection to the server."""

    seconds = 10.0
    """For an answer. The server's own time-out does not help where it, or the network to it, stands still."""
    direct = True
    """Whether nothing stands between that gives each transaction a connection of another."""

    def wait(self, gen: Generator[Any, Any, T], interval: float = _INTERVAL, *of: Any, **more: Any) -> T:
        """See psycopg. Raises OperationalError when the time is over; the connection is of no use then."""
        return super().wait(_until(gen, self.seconds), interval, *of, **more)

    def stands(self) -> bool:
        """Whether it is there still, as far as this side knows. It is asked nothing."""
        try:
            for _ in range(2):  # a server says why it goes, and goes
                self.pgconn.consume_input()
        except psycopg.Error:
            return False
        return True


def connect(address: ServerAddress, *, full: bool) -> Link:
    """A connection for statements of our own. Raises psycopg.Error.

    Where a pooler stands between, nothing may be set for a session nor prepared: both would be another's, and another's
    ours. It is found out by the number that it gives the connection, which is not that of the process that answers.

    Args:
        address: where.
        full: bookings are to wait for the server's disk as well.
    """
    db = Link.connect(address.conninfo, autocommit=True, prepare_threshold=_NEVER)
    try:
        db.seconds = address.seconds + _GRACE_SECONDS
        _begin(db, address, full=full)
    except BaseException:
        db.close()
        raise
    return db


def _begin(db: Link, address: ServerAddress, *, full: bool) -> None:
    encoding = db.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise Unfit(f"its encoding is {encoding}, which lacks letters; CREATE DATABASE … ENCODING 'UTF8'")
    asked = {"pid": db.info.backend_pid, "milliseconds": f"{max(int(address.seconds * 1000), 1)}", "full": full}
    with psycopg.Cursor(db) as cursor:
        cursor.execute(_BEGIN, asked)
        db.direct, _, synchronous, digits = cursor.fetchall()[0]
    if not db.direct and int(digits) < 1:
        raise Unfit("times would be cut off; ALTER DATABASE … SET extra_float_digits = 1")
    if full and synchronous != "full":
        raise Unfit(f"a pooler lets nobody set synchronous='full'; ALTER ROLE … SET {SYNCHRONOUS} = 'full'")


def _until(gen: Generator[Any, Any, T], seconds: float) -> Generator[Any, Any, T]:
    """The same steps, as long as there is time."""
    ends = time.monotonic() + seconds
    try:
        waits_for = next(gen)
        while True:
            ready = yield waits_for
            if not ready and time.monotonic() >= ends:
                raise psycopg.OperationalError(f"it did not answer in {seconds:g} s")
            waits_for = gen.send(ready)
    except StopIteration as done:
        return done.value
