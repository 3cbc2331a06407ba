"""Reading books that are kept in SQL: the same questions in every store, apart from its ways with texts."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import sub
from typing import Any, Self, cast

from agent_fuse.account_names import OF, booked_on, escaped, key_of, rolling, window_of, within
from agent_fuse.calls import NOT_BOOKED, Entry, Status
from agent_fuse.ledgers import codec
from agent_fuse.ledgers.base import Balance, Hold, Meter
from agent_fuse.ledgers.codec import METERS, NO_ACCOUNT, WIDTH
from agent_fuse.ledgers.controls import Control
from agent_fuse.ledgers.controls import read as read_controls
from agent_fuse.ledgers.selecting import ANY, Fact, Refused, Saved, Selection, Sums, literal
from agent_fuse.windows import Rolling

SAVED = ("saved", "saved_by")
USER = "user_id"
"""Columns that books of an older version lack."""
PAGE = 200
"""Lines of a journal read at a time."""
_NAMES = 1_000
"""Accounts asked for at a time."""

_FACTS = 10_000
_LARGEST = 2**63 - 1
_REFUSED_BY = ", ".join(codec.REFUSED_BY)
_SETTLED = ", ".join(f"settled_{meter}" for meter in METERS)
_IS_BOOKED = "status NOT IN ('refused', 'would_refuse')"
_BOOKED = f"FILTER (WHERE {_IS_BOOKED})"
_HOLD = f"accounts, {', '.join(f'hold_{meter}' for meter in METERS)}, expires_at"
_SUMS = f"""
    COUNT(*) FILTER (WHERE {_IS_BOOKED} AND operation <> 'execute_tool'),
    COUNT(*) FILTER (WHERE {_IS_BOOKED} AND operation = 'execute_tool'),
    COUNT(*) FILTER (WHERE status = 'refused'),
    COALESCE(CAST(SUM(cost) {_BOOKED} AS BIGINT), 0),
    COALESCE(CAST(SUM(cost) FILTER (WHERE status = 'refused') AS BIGINT), 0),
    COALESCE(CAST(SUM(input_tokens) {_BOOKED} AS BIGINT), 0),
    COALESCE(CAST(SUM(output_tokens) {_BOOKED} AS BIGINT), 0), MIN(at), MAX(at)"""
_FIRST = ("calls", "tool_calls", "refused", "cost", "saved", "input_tokens", "output_tokens", "first", "last")


class SqlReader(ABC):
    """See `readers.Reader`. A store says how it is asked (`_all`), and how it matches and lists texts."""

    _call = ", ".join(codec.ENTRY)
    """Columns of a call, or what stands for those that books of an older version lack."""
    _fee = "fee"
    _account = ", ".join([f"{what}_{one}" for what in ("settled", "held") for one in METERS] + ["refused", "since"])
    _since = "since"
    _keeps_refused_by = True
    _keeps_controls = True
    _keeps_saved = True
    _keeps_user = True

    @abstractmethod
    def close(self) -> None:
        """See Reader."""

    @abstractmethod
    def _all(self, query: str, values: Sequence[Any] = ()) -> list[codec.Row]:
        """All rows of a query, which has `?` where values go. Raises LedgerError."""

    @abstractmethod
    def _matching(self, column: str, pattern: str) -> tuple[str, str]:
        """The condition, and its value, for a column of names and a pattern of `*`, `?` and `[…]`."""

    @abstractmethod
    def _names(self, column: str) -> str:
        """The expression for all that stands in a column of a group, each once, as a JSON array."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def balances(self, accounts: Sequence[str], *, now: float | None = None) -> dict[str, Balance]:
        """See Reader."""
        at = time.time() if now is None else now
        rows: dict[str, codec.Row] = {}
        for start in range(0, len(accounts), _NAMES):
            some = tuple(accounts[start : start + _NAMES])
            query = f"SELECT name, {self._account} FROM accounts WHERE name IN ({', '.join('?' * len(some))})"  # noqa: S608 - columns
            rows.update((row[0], row[1:]) for row in self._all(query, some))
        return {name: self._balance(name, rows.get(name, NO_ACCOUNT), at) for name in accounts}

    def _balance(self, name: str, found: codec.Row, now: float) -> Balance:
        window = rolling(name)
        if window is not None:
            query = f"SELECT {_SETTLED} FROM accounts WHERE name >= ? AND name < ?"  # noqa: S608 - columns
            for gone in self._all(query, (f"{name}{OF}", within(name, window.oldest(now)))):
                found = (*map(sub, found[:WIDTH], gone), *found[WIDTH:])
        return codec.balance(found)

    def accounts(self, scope: str, meter: Meter, limit: int, *, now: float | None = None) -> list[tuple[str, Balance]]:
        """See Reader."""
        at = time.time() if now is None else now
        which, values = self._of_scope(scope, at)
        figures = {Meter.CONCURRENT: "held_calls", Meter.SECONDS: f"-{self._since}"}
        most = figures.get(meter, f"settled_{meter} + held_{meter}")
        query = f"SELECT name FROM accounts WHERE {which} ORDER BY {most} DESC NULLS LAST, name LIMIT ?"  # noqa: S608 - columns
        names = [name for (name,) in self._all(query, (*values, limit))]
        return sorted(self.balances(names, now=at).items(), key=lambda one: (-sum(one[1].used(meter, at)), one[0]))

    def count_accounts(self, scope: str, *, now: float | None = None) -> int:
        """See Reader."""
        which, values = self._of_scope(scope, time.time() if now is None else now)
        return int(self._all(f"SELECT COUNT(*) FROM accounts WHERE {which}", values)[0][0])  # noqa: S608 - conditions

    def controls(self) -> list[Control]:
        """See Reader."""
        if not self._keeps_controls:
            return []
        found = read_controls(dict(self._all("SELECT account, control FROM controls")))
        return sorted((one for one in found.by_account.values() if one.is_decided), key=lambda one: one.account)

    def knows(self, account: str) -> bool:
        """See Reader."""
        key, value = key_of(account)
        if key in ("session", "agent", "model", "tool", "provider"):
            query = f"SELECT 1 FROM journal WHERE {key} = ? LIMIT 1"  # noqa: S608 - one of those columns
            if self._all(query, (value,)):
                return True
        return self.has_account(account)

    def has_account(self, name: str) -> bool:
        """See Reader."""
        key, value = key_of(name)
        pattern = f"{literal(escaped(key))}@*={literal(value)}"
        windowed, one = self._matching("name", pattern)
        interval, other = self._matching("name", f"{pattern}{OF}*")
        query = f"SELECT 1 FROM accounts WHERE name = ? OR {windowed} OR {interval} LIMIT 1"  # noqa: S608 - conditions
        return bool(self._all(query, (name, one, other)))

    def account_names(self, limit: int) -> list[str]:
        """See Reader."""
        query = "SELECT name FROM accounts ORDER BY settled_usd + held_usd DESC, name LIMIT ?"
        found = self._all(query, (limit,))
        return [name for (name,) in found if name is not None and not booked_on(name)[1]]  # None in a damaged file

    def open_calls(self) -> tuple[int, int]:
        """See Reader."""
        calls, held = self._all("SELECT COUNT(*), COALESCE(CAST(SUM(hold_usd) AS BIGINT), 0) FROM holds")[0]
        return int(calls), int(held)

    def holds(self, limit: int) -> list[Hold]:
        """See Reader."""
        query = f"SELECT {self._call}, {_HOLD} FROM holds ORDER BY at, id LIMIT ?"  # noqa: S608 - columns
        return [codec.hold(row) for row in self._all(query, (limit,))]

    def notes(self, prefix: str) -> dict[str, bytes]:
        """See Reader."""
        found = self._all("SELECT key, value FROM notes WHERE key >= ? AND key < ?", _from_to(prefix))
        return {key: bytes(value) for key, value in found}

    def notes_stand(self, prefix: str) -> tuple[int, float]:
        """See Reader."""
        query = "SELECT COUNT(*), COALESCE(SUM(at), 0.0) FROM notes WHERE key >= ? AND key < ?"
        count, times = self._all(query, _from_to(prefix))[0]
        return int(count), float(times)

    def entries(self, which: Selection = ANY, *, limit: int | None = None) -> Iterator[Entry]:
        """See Reader."""
        condition, values = self._where(which)
        columns = f"{self._call}, {_REFUSED_BY}" if self._keeps_refused_by else self._call
        query = (
            f"SELECT {columns} FROM journal WHERE {condition} AND (at, id) < (?, ?) "  # noqa: S608 - columns
            "ORDER BY at DESC, id DESC LIMIT ?"
        )
        left = _LARGEST if limit is None else limit
        at, last = math.inf, ""
        while left > 0 and (page := self._all(query, (*values, at, last, min(left, PAGE)))):
            for row in page:
                yield codec.entry(row)
            last, at = page[-1][:2]
            left -= len(page)

    def facts(self, since: float = 0.0, until: float | None = None) -> Iterator[Fact]:
        """See Reader."""
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
        """See Reader."""
        end = math.inf if until is None else until
        first, last = self._all(
            "SELECT (SELECT at FROM journal WHERE at >= ? AND at < ? ORDER BY at LIMIT 1), "
            "(SELECT MAX(at) FROM journal WHERE at < ?)",
            (since, end, end),
        )[0]
        return None if first is None else (first, last)

    def since_last(self, lines: int) -> float:
        """See Reader."""
        found = self._all("SELECT at FROM journal ORDER BY at DESC, id DESC LIMIT 1 OFFSET ?", (lines - 1,))
        return float(found[0][0]) if found else 0.0

    def refused(self, which: Selection) -> list[Refused]:
        """See Reader."""
        statuses = which.statuses if which.statuses < NOT_BOOKED else frozenset([Status.REFUSED])
        condition, values = self._where(replace(which, statuses=statuses))
        columns, groups = "", "reason"
        if self._keeps_refused_by:
            # Where it was no limit, each tool's loop is a matter of its own.
            columns = f", {_REFUSED_BY}"
            groups = (
                "reason, refused_limit, refused_per, refused_value, CASE WHEN refused_limit = '' THEN tool ELSE '' END"
            )
        query = f"""
            SELECT reason, count, saved, at, session, tool{columns} FROM (
                SELECT reason, at, session, tool{columns},
                    COUNT(*) OVER one AS count, CAST(SUM(cost) OVER one AS BIGINT) AS saved,
                    ROW_NUMBER() OVER (PARTITION BY {groups} ORDER BY at DESC, id DESC) AS place
                FROM journal WHERE {condition} WINDOW one AS (PARTITION BY {groups})) AS numbered
            WHERE place = 1 ORDER BY count DESC, at DESC"""  # noqa: S608 - columns
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

    def saved(self, which: Selection) -> list[Saved]:
        """See Reader."""
        if not self._keeps_saved:
            return []
        condition, values = self._where(which)
        query = (
            "SELECT saved_by, COUNT(*), CAST(SUM(saved) AS BIGINT) FROM journal "  # noqa: S608 - conditions
            f"WHERE saved IS NOT NULL AND {_IS_BOOKED} AND {condition} GROUP BY saved_by ORDER BY 3 DESC, 1"
        )
        return [Saved(by=by, count=count, saved=saved) for by, count, saved in self._all(query, values)]

    def booked(self, which: Selection) -> tuple[int, int]:
        """See Reader."""
        condition, values = self._where(which)
        sums = ", ".join(f"COALESCE(CAST(SUM({column}) AS BIGINT), 0)" for column in ("cost", self._fee))
        query = f"SELECT {sums} FROM journal WHERE {_IS_BOOKED} AND {condition}"  # noqa: S608 - conditions
        cost, fee = self._all(query, values)[0]
        return int(cost), int(fee)

    def count_lines(self, before: float) -> int:
        """See Reader."""
        return int(self._all("SELECT COUNT(*) FROM journal WHERE at < ?", (before,))[0][0])

    def steps(self, before: float, every: int) -> Iterator[float]:
        """See Reader."""
        query = "SELECT at FROM journal WHERE at >= ? AND at < ? ORDER BY at LIMIT 1 OFFSET ?"
        at = 0.0
        while found := self._all(query, (at, before, every)):
            at = max(float(found[0][0]), math.nextafter(at, math.inf))
            yield at
        yield before

    def sums(self, which: Selection, by: str, *, limit: int | None = None) -> list[tuple[str, Sums]]:
        """See Reader."""
        if by not in ("session", "agent", "model", "tool"):
            raise ValueError(f"by is {by!r}; it must be session, agent, model or tool")
        condition, values = self._where(which)
        more = f", {self._names('agent')}, {self._names('model')}" if by == "session" else ""
        query = (
            f"SELECT {by}, {_SUMS}{more} FROM journal WHERE {condition} "  # noqa: S608 - columns
            f"GROUP BY {by} ORDER BY MAX(at) DESC, {by} LIMIT ?"
        )
        most = _LARGEST if limit is None else limit
        return [(row[0], _sums(row[1:])) for row in self._all(query, (*values, most))]

    def _where(self, which: Selection) -> tuple[str, list[Any]]:
        """The condition in SQL, and its values."""
        return which.where(self._matching, user=f"COALESCE({USER}, '')" if self._keeps_user else "''")

    def _of_scope(self, scope: str, now: float) -> tuple[str, tuple[str, ...]]:
        """The condition for accounts per one key, in SQL, and its values."""
        # `=` and the character after it: all names that begin with the key.
        begin, end = (scope, f"{scope}{OF}a") if scope.startswith("all@") else (f"{scope}=", f"{scope}>")
        window = window_of(begin)
        if window is None:
            return "name >= ? AND name < ?", (begin, end)
        if isinstance(window, Rolling):
            return "name >= ? AND name < ? AND name NOT LIKE ?", (begin, end, f"%{OF}%")
        term, value = self._matching("name", f"*{within('', window.interval(now))}")
        return f"name >= ? AND name < ? AND {term}", (begin, end, value)


def _from_to(prefix: str) -> tuple[str, str]:
    """Between which keys those lie that begin with it."""
    return prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _sums(row: codec.Row) -> Sums:
    names = [tuple(sorted(name for name in codec.unpack(part) if name)) for part in row[len(_FIRST) :]] or [(), ()]
    return Sums(**dict(zip(_FIRST, row, strict=False)), agents=names[0], models=names[1])
