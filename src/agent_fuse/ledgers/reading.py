"""Reading the books from outside: filtered and summed, without a lock, and never making or changing the file."""

import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import apsw

from agent_fuse.account_names import OF, booked_on, escaped, key_of, window_of, within
from agent_fuse.calls import Entry, Status
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers import account_rows, anchor, codec, control_rows, transactions
from agent_fuse.ledgers.anchor import Anchor
from agent_fuse.ledgers.base import Balance, LedgerError, Meter
from agent_fuse.ledgers.controls import Control
from agent_fuse.ledgers.controls import read as read_controls
from agent_fuse.ledgers.migrations import NotOurs, version
from agent_fuse.ledgers.selecting import ANY, EVERY_STATUS, Refused, Selection, Sums
from agent_fuse.ledgers.sql import FAILURES, Connection, words
from agent_fuse.windows import Rolling

__all__ = ["EVERY_STATUS", "TOOL", "Fact", "Reader", "Refused", "Selection", "Sums", "open_reader"]

T = TypeVar("T")

Fact = tuple[str, float, str, str, str, str, str, str, int, int | None, int | None, str, int]
"""id, at, status, session, agent, model, operation, tool, cost, input tokens, output tokens, reason, fee."""

TOOL = "execute_tool"
"""`gen_ai.operation.name` of a tool action."""

_REFUSED_BY = ", ".join(codec.REFUSED_BY)
_KEEPS_REFUSED_BY = 2
"""The version of the tables from which on the journal says what refused a call."""
_KEEPS_BILL = 3
"""The version from which on it says what of a cost is fees, and whose figure the cost is."""
_BILL = {"fee": "0", "source": "''", "computed": "NULL"}
"""What older calls say there, by column."""
_KEEPS_SINCE = 4
"""The version from which on accounts say when their first call was admitted."""
_KEEPS_CONTROLS = 5
_BUSY_MILLISECONDS = 2_000
_FACTS = 10_000
_SUMS = """
    SUM(status != 'refused' AND operation != 'execute_tool'), SUM(status != 'refused' AND operation = 'execute_tool'),
    SUM(status = 'refused'), SUM(IIF(status = 'refused', 0, cost)), SUM(IIF(status = 'refused', cost, 0)),
    SUM(IIF(status = 'refused', 0, COALESCE(input_tokens, 0))),
    SUM(IIF(status = 'refused', 0, COALESCE(output_tokens, 0))), MIN(at), MAX(at)"""
_FIRST = ("calls", "tool_calls", "refused", "cost", "saved", "input_tokens", "output_tokens", "first", "last")


class Reader:
    """One ledger file, open for reading, also in the process that writes it. Closed by `close`, or `with`.

    Every method raises LedgerError; none keeps a transaction open for long. One thread at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._anchor: Anchor | None = None
        self._db, found = self._connect(path)
        # A ledger that no fuse of this version has opened yet is read as it is: a reader changes nothing.
        self._keeps_refused_by = found >= _KEEPS_REFUSED_BY
        absent: Mapping[str, str] = {} if found >= _KEEPS_BILL else _BILL
        call = ", ".join(absent.get(column, column) for column in codec.ENTRY)
        self._entry = f"{call}, {_REFUSED_BY}" if self._keeps_refused_by else call
        self._keeps_controls = found >= _KEEPS_CONTROLS
        self._fee = absent.get("fee", "fee")
        self._columns = account_rows.COLUMNS
        for column, version_ in (("since", _KEEPS_SINCE), ("controls", _KEEPS_CONTROLS)):
            if found < version_:
                self._columns = self._columns.replace(column, "NULL")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self, path: Path) -> tuple[Connection, int]:
        if path.is_dir():
            raise LedgerError("open", str(path), "it is a folder; name the file of the ledger in it")
        db: Connection | None = None
        held: Anchor | None = None
        try:
            held = anchor.hold(str(path), _BUSY_MILLISECONDS / 1000)
            db = cast("Connection", apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY))
            db.set_busy_timeout(_BUSY_MILLISECONDS)
            found = version(db)
        except (*FAILURES, NotOurs) as error:
            anchor.let_go(held, db.close if db is not None else anchor.nothing)
            missing = isinstance(error, FileNotFoundError)
            cause = "there is no such file; name another one with --db" if missing else words(error)
            raise LedgerError("open", str(path), cause) from (None if missing else error)
        if not found:
            anchor.let_go(held, db.close)
            raise LedgerError("open", str(path), "it is empty: no fuse has written to it yet; start one first")
        self._anchor = held
        return db, found

    def close(self) -> None:
        """Close the file."""
        held, self._anchor = self._anchor, None
        anchor.let_go(held, self._db.close)

    def __del__(self) -> None:
        if self._anchor is not None:
            self.close()

    def balances(self, accounts: Sequence[str], *, now: float | None = None) -> dict[str, Balance]:
        """These accounts, zero where unknown; those in a rolling window as they stand at `now` (the clock's)."""
        at = time.time() if now is None else now
        return self._do(lambda: {name: self._balance(name, at) for name in accounts})

    def _balance(self, name: str, now: float) -> Balance:
        figures = account_rows.read(self._db, name, now, self._columns)
        return codec.balance(figures)

    def accounts(self, scope: str, meter: Meter, limit: int, *, now: float | None = None) -> list[tuple[str, Balance]]:
        """Accounts per one key (`session`, `user.id@1h`, ...), those with the most of a meter first.

        Of a window, those of the interval of `now`.
        """
        at = time.time() if now is None else now
        which, values = _of_scope(scope, at)
        most = {Meter.CONCURRENT: "held_calls", Meter.SECONDS: "-since"}.get(meter, f"settled_{meter} + held_{meter}")
        query = f"SELECT name FROM accounts WHERE {which} ORDER BY {most} DESC, name LIMIT ?"  # noqa: S608 - columns
        names = [name for (name,) in self._all(query, (*values, limit))]
        return sorted(self.balances(names, now=at).items(), key=lambda one: (-sum(one[1].used(meter, at)), one[0]))

    def count_accounts(self, scope: str, *, now: float | None = None) -> int:
        """How many accounts there are per one key; of a window, in the interval of `now`."""
        which, values = _of_scope(scope, time.time() if now is None else now)
        return int(self._all(f"SELECT COUNT(*) FROM accounts WHERE {which}", values)[0][0])  # noqa: S608 - conditions

    def controls(self) -> list[Control]:
        """What is stopped or topped up, by account."""
        if not self._keeps_controls:
            return []
        found = read_controls(self._do(lambda: control_rows.in_force(self._db)))
        return sorted(found.by_account.values(), key=lambda one: one.account)

    def knows(self, account: str) -> bool:
        """Whether there is such an account, or the journal names its session, agent, model, tool or provider."""
        key, value = key_of(account)
        if key in ("session", "agent", "model", "tool", "provider"):
            query = f"SELECT 1 FROM journal WHERE {key} = ? LIMIT 1"  # noqa: S608 - one of those columns
            if self._all(query, (value,)):
                return True
        return self.has_account(account)

    def has_account(self, name: str) -> bool:
        """Whether anything was ever booked, held or refused on it, or on one of its windows."""
        key, value = key_of(name)
        windowed = f"{_literal(escaped(key))}@*={_literal(value)}"
        query = "SELECT 1 FROM accounts WHERE name = ? OR name GLOB ? OR name GLOB ? LIMIT 1"
        return bool(self._all(query, (name, windowed, f"{windowed}{OF}*")))

    def account_names(self, limit: int) -> list[str]:
        """Names of accounts, the largest in USD first."""
        query = "SELECT name FROM accounts ORDER BY settled_usd + held_usd DESC, name LIMIT ?"
        return [name for (name,) in self._all(query, (limit,)) if not booked_on(name)[1]]

    def open_calls(self) -> tuple[int, int]:
        """How many calls are open, and the nano-dollars they hold."""
        calls, held = self._all("SELECT COUNT(*), COALESCE(SUM(hold_usd), 0) FROM holds", ())[0]
        return int(calls), int(held)

    def notes(self, prefix: str) -> dict[str, bytes]:
        """Notes whose key begins with `prefix`, an ASCII text."""
        after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        found = self._all("SELECT key, value FROM notes WHERE key >= ? AND key < ?", (prefix, after))
        return {key: bytes(value) for key, value in found}

    def entries(self, which: Selection = ANY, *, limit: int | None = None) -> Iterator[Entry]:
        """Journal lines, newest first, read a page at a time."""
        condition, values = which.where()
        query = (
            f"SELECT {self._entry} FROM journal WHERE {condition} AND (at, id) < (?, ?) "  # noqa: S608 - columns
            "ORDER BY at DESC, id DESC LIMIT ?"
        )
        left = transactions.LARGEST if limit is None else limit
        at, last = math.inf, ""
        while left > 0 and (page := self._all(query, (*values, at, last, min(left, account_rows.PAGE)))):
            for row in page:
                yield codec.entry(row)
            last, at = page[-1][:2]
            left -= len(page)

    def facts(self, since: float = 0.0, until: float | None = None) -> Iterator[Fact]:
        """All lines from `since` to before `until`, oldest first, as plain tuples; read a page at a time."""
        query = (
            "SELECT id, at, status, session, agent, model, operation, tool, cost, input_tokens, output_tokens, "  # noqa: S608 - a column
            f"reason, {self._fee} FROM journal WHERE (at, id) > (?, ?) AND at < ? ORDER BY at, id LIMIT ?"
        )
        at, last = math.nextafter(since, -math.inf), "\U0010ffff"
        end = math.inf if until is None else until
        while page := self._all(query, (at, last, end, _FACTS)):
            yield from cast("list[Fact]", page)
            last, at = page[-1][:2]

    def times(self, since: float = 0.0, until: float | None = None) -> tuple[float, float] | None:
        """When the first and the last line from `since` to before `until` began; None without one."""
        end = math.inf if until is None else until
        first, last = self._all(
            "SELECT (SELECT at FROM journal WHERE at >= ? AND at < ? ORDER BY at LIMIT 1), "
            "(SELECT MAX(at) FROM journal WHERE at < ?)",
            (since, end, end),
        )[0]
        return None if first is None else (first, last)

    def refused(self, which: Selection) -> list[Refused]:
        """Refused calls, summed by the limit and account that refused them; the most first."""
        condition, values = replace(which, statuses=frozenset([Status.REFUSED])).where()
        columns, groups = "", "reason"
        if self._keeps_refused_by:
            # Where it was no limit, each tool's loop is a matter of its own.
            columns = f", {_REFUSED_BY}"
            groups = "reason, refused_limit, refused_per, refused_value, IIF(refused_limit = '', tool, '')"
        # SQLite takes the columns that are not summed from the row that has the MAX.
        query = (
            f"SELECT reason, COUNT(*), SUM(cost), MAX(at), session, tool{columns} FROM journal "  # noqa: S608 - columns
            f"WHERE {condition} GROUP BY {groups} ORDER BY COUNT(*) DESC, MAX(at) DESC"
        )
        return [
            Refused(
                reason=reason,
                by=codec.refused_by(by),
                count=count,
                saved=saved,
                last=last,
                session=session,
                tool=tool,
            )
            for reason, count, saved, last, session, tool, *by in self._all(query, values)
        ]

    def count_lines(self, before: float) -> int:
        """Journal lines older than `before`."""
        return int(self._all("SELECT COUNT(*) FROM journal WHERE at < ?", (before,))[0][0])

    def steps(self, before: float, every: int) -> Iterator[float]:
        """Times that part the lines older than `before` into stretches of about `every` lines; the last is `before`."""
        query = "SELECT at FROM journal WHERE at >= ? AND at < ? ORDER BY at LIMIT 1 OFFSET ?"
        at = 0.0
        while found := self._all(query, (at, before, every)):
            at = max(float(found[0][0]), math.nextafter(at, math.inf))
            yield at
        yield before

    def sums(self, which: Selection, by: str, *, limit: int = -1) -> list[tuple[str, Sums]]:
        """Lines summed by `session`, `agent`, `model` or `tool`, the latest first; agents and models for sessions."""
        if by not in ("session", "agent", "model", "tool"):
            raise ValueError(f"by is {by!r}; it must be session, agent, model or tool")
        condition, values = which.where()
        more = ", json_group_array(DISTINCT agent), json_group_array(DISTINCT model)" if by == "session" else ""
        query = (
            f"SELECT {by}, {_SUMS}{more} FROM journal WHERE {condition} "  # noqa: S608 - columns
            f"GROUP BY {by} ORDER BY MAX(at) DESC, {by} LIMIT ?"
        )
        return [(row[0], _sums(row[1:])) for row in self._all(query, (*values, limit))]

    def _all(self, query: str, values: Sequence[Any]) -> list[codec.Row]:
        return self._do(lambda: self._db.execute(query, values).fetchall())

    def _do(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except FAILURES as error:
            raise LedgerError("read", str(self.path), words(error)) from error


def _literal(text: str) -> str:
    """A text as GLOB finds it, whatever marks are in it."""
    return re.sub(r"[*?[]", r"[\g<0>]", text)


def _of_scope(scope: str, now: float) -> tuple[str, tuple[str, ...]]:
    """The condition for accounts per one key, in SQL, and its values."""
    # `=` and the character after it: all names that begin with the key.
    begin, end = (scope, f"{scope}{OF}a") if scope.startswith("all@") else (f"{scope}=", f"{scope}>")
    window = window_of(begin)
    if window is None:
        return "name >= ? AND name < ?", (begin, end)
    if isinstance(window, Rolling):
        return "name >= ? AND name < ? AND NOT instr(name, char(31))", (begin, end)
    return "name >= ? AND name < ? AND name GLOB ?", (begin, end, f"*{within('', window.interval(now))}")


def _sums(row: codec.Row) -> Sums:
    names = [tuple(sorted(name for name in codec.unpack(part) if name)) for part in row[len(_FIRST) :]] or [(), ()]
    return Sums(**dict(zip(_FIRST, row, strict=False)), agents=names[0], models=names[1])


def open_reader(url: str | os.PathLike[str]) -> Reader:
    """Open the ledger at a path or `sqlite:///` URL for reading; it must exist.

    Raises:
        ConfigurationError: the URL names no ledger that another process can read. LedgerError: it cannot be opened.
    """
    text = os.fspath(url)
    path = text.removeprefix("sqlite:///")
    if "://" in path or not path.strip():
        raise ConfigurationError(f"ledger is {text!r}; only a path or sqlite:///path can be read by another process")
    return Reader(Path(path).expanduser().absolute())
