"""Accounts in SQL: what is settled and held on each, and what has left its window."""

from collections.abc import Iterator, Sequence
from operator import neg, sub

from agent_fuse.account_names import OF, booked_on, calendar, has_left, rolling, within
from agent_fuse.ledgers.codec import METERS, NO_ACCOUNT, NOTHING, WIDTH, Account, Figures
from agent_fuse.ledgers.sql import Connection

PAGE = 200
"""Rows read, presumed or pruned at a time: about a millisecond, so that nobody waits long."""


def marks(count: int) -> str:
    """Places for values."""
    return ", ".join("?" * count)


_SETTLED = [f"settled_{meter}" for meter in METERS]
_HELD = [f"held_{meter}" for meter in METERS]
_WRITTEN = [*_SETTLED, *_HELD, "refused", "since"]
_NAMES = {
    "account": ", ".join([*_WRITTEN, "controls"]),
    "settled": ", ".join(_SETTLED),
    "add_to_account": ", ".join(f"{one} = {one} + ?" for one in (*_SETTLED, *_HELD)),
    "written": ", ".join(_WRITTEN),
    "written_marks": marks(len(_WRITTEN)),
    "page": str(PAGE),
}


def _fill(statement: str) -> str:
    return statement.format_map(_NAMES)


FIRST_ACCOUNTS = _fill("SELECT name, {account} FROM accounts ORDER BY name LIMIT {page}")
NEXT_ACCOUNTS = _fill("SELECT name, {account} FROM accounts WHERE name > ? ORDER BY name LIMIT {page}")
INTERVALS = "SELECT name FROM accounts WHERE instr(name, char(31)) AND name > ? ORDER BY name LIMIT ?"
"""Accounts of intervals: `account_names.OF` is character 31."""
ACCOUNT = _fill("SELECT {account} FROM accounts WHERE name = ?")
_CHARGE = _fill("UPDATE accounts SET {add_to_account}, since = coalesce(since, ?) WHERE name = ?")
_SET_SINCE = "UPDATE accounts SET since = ? WHERE name = ?"
_SETTLED_BETWEEN = _fill("SELECT {settled} FROM accounts WHERE name >= ? AND name < ?")
_BUCKETS = _fill("SELECT name, {settled} FROM accounts WHERE name >= ? AND name < ? ORDER BY name")
_DROP_ACCOUNTS = "DELETE FROM accounts WHERE name >= ? AND name < ?"
_DROP_IDLE = f"{_DROP_ACCOUNTS} AND held_calls = 0 AND held_tool_calls = 0"
_NEW_ACCOUNT = _fill("INSERT INTO accounts ({written}, name) VALUES ({written_marks}, ?)")


def account(db: Connection, name: str) -> Account:
    """An account's figures, zeros where it is unknown."""
    return find(db, name) or NO_ACCOUNT


def read(db: Connection, name: str, now: float | None) -> Account:
    """An account's figures as they stand at `now`; zeros where it is unknown. Only reads."""
    found = account(db, name)
    window = rolling(name) if now is not None else None
    if window is None or now is None:
        return found
    gone = _left(db, name, window.oldest(now))
    return (*map(sub, found[:WIDTH], gone), *found[WIDTH:]) if gone is not None else found


def as_of(db: Connection, name: str, now: float) -> Account | None:
    """An account's figures at `now`, after what has left its window is taken off it."""
    figures = find(db, name)
    window = rolling(name) if figures is not None else None
    if figures is None or window is None:
        return figures
    oldest = window.oldest(now)
    gone = _left(db, name, oldest)
    if gone is None:
        return figures
    db.execute(_DROP_ACCOUNTS, (f"{name}{OF}", within(name, oldest)))
    charge(db, name, tuple(map(neg, gone)), NOTHING)
    return (*map(sub, figures[:WIDTH], gone), *figures[WIDTH:])


def _left(db: Connection, name: str, oldest: str) -> Figures | None:
    """What was settled in buckets before the `oldest` that counts; None where there are none."""
    rows = db.execute(_SETTLED_BETWEEN, (f"{name}{OF}", within(name, oldest))).fetchall()
    return tuple(map(sum, zip(*rows, strict=True))) if rows else None


def buckets(db: Connection, name: str) -> Iterator[tuple[str, Figures]]:
    """An account's buckets, the oldest first."""
    start = f"{name}{OF}"
    for bucket, *settled in db.execute(_BUCKETS, (start, f"{start}a")).fetchall():
        yield bucket[len(start) :], tuple(settled)


def open_account(db: Connection, name: str, figures: Account) -> None:
    """A new account. The first of a calendar's interval ends those two and more before: their calls are over."""
    db.execute(_NEW_ACCOUNT, (*figures, name))
    found = calendar(name)
    if found is not None:
        window, base, interval = found
        db.execute(_DROP_IDLE, (f"{base}{OF}", within(base, window.before(interval))))


def find(db: Connection, name: str) -> Account | None:
    """An account's figures, None where it is unknown."""
    return db.execute(ACCOUNT, (name,)).fetchone()


def begin(db: Connection, name: str, now: float) -> None:
    """The first call of an account was admitted."""
    db.execute(_SET_SINCE, (now, name))


def charge_all(db: Connection, names: Sequence[str], settled: Figures, now: float) -> None:
    """Book on accounts, those in a rolling window on their buckets too."""
    for name in names:
        on, bucket = booked_on(name)
        if bucket and has_left(name, now):
            continue
        charge(db, on, settled, NOTHING, now)
        if bucket:
            charge(db, bucket, settled, NOTHING)


def charge(db: Connection, name: str, settled: Figures, held: Figures, since: float | None = None) -> None:
    """Change one account, or make it."""
    db.execute(_CHARGE, (*settled, *held, since, name))
    if not db.changes():
        open_account(db, name, (*settled, *held, 0, since))


def drop_ended(db: Connection, names: Sequence[str], before: float) -> None:
    """Drop those accounts of intervals that ended by then, unless a call is open on them."""
    for name in names:
        found = calendar(name)
        base, _, bucket = name.partition(OF)
        if found is not None:
            if found[0].leaves(found[2]) <= before:
                db.execute(_DROP_IDLE, (name, f"{name}{OF}"))
        elif (window := rolling(base)) is not None and window.leaves(bucket) <= before:
            as_of(db, base, before)
