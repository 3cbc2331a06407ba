"""Copying: all that is in one ledger into an empty one of any kind, checked figure by figure before it is kept."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agent_fuse.ledgers import codec
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.ledgers.keeping import ACCOUNTS, JOURNAL, PAGE, TABLES, Filling, Keeper, LedgerTable, WholeLedger
from agent_fuse.ledgers.owners import Owner, is_dead, this_process
from agent_fuse.mistakes import ConfigurationError

Progress = Callable[[str, int, int], None]
"""Hears which table is copied, how many rows are in, and how many there are in all."""

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied, and found again."""

    rows: dict[str, int]
    """By table."""
    cost: int
    """Nano-dollars of all journal lines."""


def copy(source: Keeper, target: Keeper, told: Progress, *, now: float, anyway: bool = False) -> Copied:
    """Copy accounts, journal, open calls, notes and controls, all as they stood at one moment, or nothing.

    An open call is copied as open: whatever its process books later is booked in the source alone, and the copy
    presumes it spent when it expires.

    Raises:
        ConfigurationError: the source has calls of processes that live, unless `anyway`; the target is not empty.
        LedgerError: one of them fails, or what was written is not what was read. Nothing is kept.
    """
    with source.whole() as whole:
        alive = sum(1 for one in _owners(whole, now) if not is_dead(one, here=this_process()))
        if alive and not anyway:
            whose = "a process that may be" if alive == 1 else f"{alive} processes that may be"
            raise ConfigurationError(
                f"ledger {source.where} has open calls of {whose} at work: end it first, or copy with --anyway "
                "(they go on in the old one)"
            )
        return target.fill(lambda filling: _fill(whole, filling, target.where, told))


def pages(whole: WholeLedger, table: LedgerTable) -> Iterator[list[codec.Row]]:
    """All rows of a table in the order of its key, a page at a time."""
    columns, key = ", ".join(table.columns), ", ".join(table.key)
    places = [table.columns.index(one) for one in table.key]
    query = f"SELECT {columns} FROM {table.name} ORDER BY {key} LIMIT {PAGE}"  # noqa: S608 - columns
    after = (
        f"SELECT {columns} FROM {table.name} WHERE ({key}) > ({', '.join('?' * len(places))}) "  # noqa: S608 - columns
        f"ORDER BY {key} LIMIT {PAGE}"
    )
    page = whole.ask(query)
    while page:
        yield page
        page = whole.ask(after, [page[-1][place] for place in places])


def _owners(whole: WholeLedger, now: float) -> Iterator[Owner]:
    """Of open calls; work that goes on at a provider has none."""
    query = "SELECT DISTINCT host, pid, started FROM holds WHERE expires_at > ? AND host <> ''"
    for host, pid, started in whole.ask(query, (now,)):
        yield Owner(host=host, pid=pid, started=started)


def _fill(whole: WholeLedger, filling: Filling, where: str, told: Progress) -> Copied:
    counts = {table.name: _count(whole, table) for table in TABLES}
    lines, cost = _sums(whole)
    in_all, done = sum(counts.values()), 0
    for table in TABLES:
        told(table.name, done, in_all)
        for page in pages(whole, table):
            filling.put(table, page)
            done += len(page)
            told(table.name, done, in_all)
    for table in TABLES:
        _same(f"rows of {table.name}", _count(filling, table), counts[table.name], where)
    _same("lines and nano-dollars of the journal", _sums(filling), (lines, cost), where)
    for page in pages(whole, ACCOUNTS):
        for start in range(0, len(page), _AT_ONCE):
            some = page[start : start + _AT_ONCE]
            found = _accounts(filling, [row[0] for row in some])
            for row in some:
                _same(f"figures of {row[0]}", found.get(row[0]), tuple(row), where)
    return Copied(rows=counts, cost=cost)


def _count(books: WholeLedger | Filling, table: LedgerTable) -> int:
    return int(books.ask(f"SELECT COUNT(*) FROM {table.name}")[0][0])  # noqa: S608 - one of ours


def _sums(books: WholeLedger | Filling) -> tuple[int, int]:
    lines, cost = books.ask(f"SELECT COUNT(*), COALESCE(CAST(SUM(cost) AS BIGINT), 0) FROM {JOURNAL.name}")[0]  # noqa: S608
    return int(lines), int(cost)


def _accounts(filling: Filling, names: Sequence[str]) -> dict[str, codec.Row]:
    query = f"SELECT {', '.join(ACCOUNTS.columns)} FROM accounts WHERE name IN ({', '.join('?' * len(names))})"  # noqa: S608
    return {row[0]: tuple(row) for row in filling.ask(query, names)}


def _same(what: str, found: object, meant: object, where: str) -> None:
    if found != meant:
        raise LedgerError("copy", where, f"the {what} should be {meant} and are {found}: nothing was kept")
