"""Accounts and journal lines, however many, read a page at a time."""

import math
from collections.abc import Iterator

from agent_fuse.account_names import booked_on
from agent_fuse.calls import Entry
from agent_fuse.ledgers import codec
from agent_fuse.ledgers.base import Balance
from agent_fuse.ledgers.postgres import queries, rows
from agent_fuse.ledgers.postgres.connections import ServerConnections


def accounts(server: ServerConnections) -> Iterator[tuple[str, Balance]]:
    """Every account and its balance, buckets left out."""
    page = server.ask("accounts", queries.ACCOUNTS_FROM, ("",))
    while page:
        for name, *figures in map(rows.got, page):
            if not booked_on(name)[1]:
                yield name, codec.balance(tuple(figures))
        page = server.ask("accounts", queries.ACCOUNTS_AFTER, (page[-1][0],))


def journal(server: ServerConnections, since: float, limit: int) -> Iterator[Entry]:
    """Journal lines at or after `since`, newest first."""
    at, last, left = math.inf, "", limit
    while left > 0 and (page := server.ask("journal", queries.LINES, (since, at, last, min(left, queries.PAGE)))):
        for row in page:
            yield codec.entry(rows.got(row))
        last, at = page[-1][:2]
        left -= len(page)
