"""Controls in SQL: what is in force for accounts, and how many are, on the account that every call reads."""

from collections.abc import Iterable, Sequence
from functools import partial

from agent_fuse.account_names import ALL, plain
from agent_fuse.ledgers import codec
from agent_fuse.ledgers.account_rows import account, buckets, find, open_account, read
from agent_fuse.ledgers.base import Cap, Refusal, tightest
from agent_fuse.ledgers.codec import CONTROLS, NOTHING
from agent_fuse.ledgers.controls import NONE, Controls
from agent_fuse.ledgers.controls import read as read_controls
from agent_fuse.ledgers.judging import beside, short, stopped, used_now
from agent_fuse.ledgers.sql import Connection

_ONE = "SELECT control FROM controls WHERE account = ?"
_EVERY = "SELECT account, control FROM controls"
_SET = "INSERT OR REPLACE INTO controls (account, control) VALUES (?, ?)"
_DROP = "DELETE FROM controls WHERE account = ?"
_COUNT = "UPDATE accounts SET controls = (SELECT count(*) FROM controls) WHERE name = ?"


def in_force(db: Connection, accounts: Iterable[str] | None = None) -> dict[str, str]:
    """What is in force, by account, for these (named without windows) or for all."""
    if accounts is None:
        return dict(db.execute(_EVERY).fetchall())
    rows = ((name, db.execute(_ONE, (name,)).fetchone()) for name in dict.fromkeys(accounts))
    return {name: row[0] for name, row in rows if row is not None}


def of_call(db: Connection, everything: codec.Account, accounts: Iterable[str]) -> Controls:
    """What is in force for a call's accounts; `everything` is the row of all."""
    return read_controls(in_force(db, map(plain, accounts))) if everything[CONTROLS] else NONE


def decide(db: Connection, account: str, before: str | None, after: str | None) -> bool:
    """Put something in force for an account, if what is in force is still `before`."""
    if in_force(db, (account,)).get(account) != before:
        return False
    if after is None:
        db.execute(_DROP, (account,))
    else:
        db.execute(_SET, (account, after))
    recount(db)
    return True


def recount(db: Connection) -> None:
    """Say on the account of everything how many accounts are under control."""
    if find(db, ALL) is None:
        open_account(db, ALL, (*NOTHING, *NOTHING, 0, None))
    db.execute(_COUNT, (ALL,))


def used_up(db: Connection, caps: Sequence[Cap], subjects: Iterable[str], now: float) -> Refusal | None:
    """Why no call goes now: a stop, or the tightest cap of which nothing is left. Only reads."""
    of = partial(buckets, db)
    accounts = (*(cap.account for cap in caps), *subjects)
    controls = of_call(db, account(db, ALL), accounts)
    used = used_now(partial(find, db))

    def refused(cap: Cap) -> Refusal | None:
        there = beside(NOTHING, controls.kept(cap.account, used, now))
        return short(cap, read(db, cap.account, now), None, there, now=now, buckets=of, controls=controls)

    return stopped(controls, accounts) or tightest(refused(cap) for cap in caps)
