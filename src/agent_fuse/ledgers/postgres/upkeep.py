"""Upkeep: holds that nobody will settle any more, and what is too old to keep."""

from dataclasses import replace

from agent_fuse.account_names import OF, calendar, rolling
from agent_fuse.calls import RING_FENCE, Entry, Status
from agent_fuse.ledgers import codec
from agent_fuse.ledgers.base import Ledger, Settling
from agent_fuse.ledgers.owners import Owner, is_dead
from agent_fuse.ledgers.postgres import queries, rows
from agent_fuse.ledgers.postgres.connections import ServerConnections


def sweep(server: ServerConnections, ledger: Ledger, here: Owner, now: float) -> list[Entry]:
    """See Ledger. Processes of other machines are told dead by their pulse."""
    found: list[Entry] = []
    for row in server.ask("sweep", queries.OWNERS, (here.host,)):
        if is_dead(Owner(host=row[0], pid=row[1], started=row[2]), here=here):
            found += _presume(server, ledger, (queries.OF_OWNER, row, "owner died"), now)
    for row in server.ask("sweep", queries.SILENT_OWNERS, (here.host,)):
        found += _presume(server, ledger, (queries.OF_OWNER, row, "owner silent"), now)
    return found + _presume(server, ledger, (queries.OF_THE_PAST, (now, here.host), "expired"), now)


def _presume(server: ServerConnections, ledger: Ledger, which: tuple[str, codec.Row, str], now: float) -> list[Entry]:
    query, values, reason = which
    booked: list[Entry] = []
    while page := server.ask("sweep", query, values):
        for one in map(codec.hold, map(rows.got, page)):
            entry = replace(one.entry, status=Status.PRESUMED, reason=reason)
            if entry.operation == RING_FENCE:
                ledger.release(entry.id, now=now)
            elif ledger.settle(entry, one.accounts, one.amounts, now=now) is Settling.BOOKED:
                booked.append(entry)
    return booked


def prune(server: ServerConnections, before: float) -> int:
    """See Ledger."""
    dropped = 0
    while page := server.ask("prune", queries.PRUNE, (before,)):
        dropped += len(page)
    server.ask("prune", queries.PRUNE_NOTES, (before,))
    last = ""
    while names := [one for (one,) in server.ask("prune", queries.INTERVALS, (last,))]:
        for name in names:
            _drop_ended(server, name, before)
        last = names[-1]
    return dropped


def _drop_ended(server: ServerConnections, name: str, before: float) -> None:
    found = calendar(name)
    base, _, bucket = name.partition(OF)
    if found is not None:
        if found[0].leaves(found[2]) <= before:
            server.ask("prune", queries.DROP_IDLE, (name,))
    elif (window := rolling(base)) is not None and window.leaves(bucket) <= before:
        server.ask("prune", "SELECT agent_fuse.let_leave(%s, %s, %s)", (base, window.seconds, before))
