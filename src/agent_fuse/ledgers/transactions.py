"""The books in SQL: what one transaction reads and writes of accounts, holds and journal lines."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from operator import add, neg, sub
from typing import TypeVar

from agent_fuse.account_names import ALL, booked_on, has_left
from agent_fuse.calls import RING_FENCE, Entry, Status
from agent_fuse.ledgers import codec, control_rows
from agent_fuse.ledgers.account_rows import (
    ACCOUNT,
    PAGE,
    as_of,
    begin,
    buckets,
    charge,
    charge_all,
    find,
    marks,
    open_account,
    read,
)
from agent_fuse.ledgers.base import Balance, Cap, Hold, Refusal, Reservation, Settling, tightest
from agent_fuse.ledgers.codec import (
    CONTROLS,
    ENTRY,
    METERS,
    NO_ACCOUNT,
    NOT_REFUSED,
    NOTHING,
    PLACE,
    REASON,
    REFUSED,
    REFUSED_BY,
    SINCE,
    STATUS,
    WIDTH,
    Account,
    Figures,
    Row,
)
from agent_fuse.ledgers.controls import NONE
from agent_fuse.ledgers.judging import beside, short, stopped, used_after
from agent_fuse.ledgers.sql import Connection

T = TypeVar("T")

LARGEST = 2**63 - 1
"""Largest integer of the tables."""

_NO_BOOKING: Row = (None,) * (1 + WIDTH)


_NAMES = {
    "set_held": ", ".join(f"held_{one} = ?" for one in METERS),
    "no_hold": ", ".join(["NULL"] * (1 + WIDTH)),
    "add_settled": ", ".join(f"settled_{one} = settled_{one} + ?" for one in METERS),
    "add_held": ", ".join(f"held_{one} = held_{one} + ?" for one in METERS),
    "call": ", ".join(ENTRY),
    "refused_by": ", ".join(REFUSED_BY),
    "refused_marks": marks(len(ENTRY) + len(REFUSED_BY)),
    "hold": "accounts, " + ", ".join(f"hold_{meter}" for meter in METERS),
    "booked": "accounts, " + ", ".join(f"booked_{meter}" for meter in METERS),
    "whole_hold": ", ".join(
        [*ENTRY, "accounts", *(f"hold_{meter}" for meter in METERS), "expires_at", "host", "pid", "started"]
    ),
    "hold_marks": marks(len(ENTRY) + 1 + WIDTH + 4),
    "line_marks": marks(len(ENTRY) + 1 + WIDTH),
    "whole_marks": marks(len(ENTRY) + 1 + WIDTH + len(REFUSED_BY)),
    "page": str(PAGE),
}


def _fill(statement: str) -> str:
    return statement.format_map(_NAMES)


HOLDS = _fill("SELECT {call}, {hold}, expires_at FROM holds ORDER BY at, id")
LINES = _fill(
    "SELECT {call}, {refused_by} FROM journal WHERE at >= ? AND (at, id) < (?, ?) ORDER BY at DESC, id DESC LIMIT ?"
)
OWNERS = "SELECT DISTINCT host, pid, started FROM holds"
EXPIRED = "SELECT 1 FROM holds WHERE expires_at <= ? LIMIT 1"
OF_OWNER = _fill("SELECT {call}, {hold} FROM holds WHERE host = ? AND pid = ? AND started = ? LIMIT {page}")
OF_THE_PAST = _fill("SELECT {call}, {hold} FROM holds WHERE expires_at <= ? LIMIT {page}")
PRUNE = _fill(
    "DELETE FROM journal WHERE (at, id) IN (SELECT at, id FROM journal WHERE at < ? ORDER BY at, id LIMIT {page})"
)
PRUNE_NOTES = _fill(
    "DELETE FROM notes WHERE key IN "
    "(SELECT key FROM notes WHERE at < ? AND key NOT GLOB 'caps/*' AND key <> 'loops/key' LIMIT {page})"
)
"""Posted caps and the key of the hashes are no history: they stay."""
_SET_HELD = _fill("UPDATE accounts SET {set_held} WHERE name = ?")
_COUNT_REFUSED = "UPDATE accounts SET refused = refused + 1 WHERE name = ?"
_FIND_HOLD = _fill("SELECT {hold} FROM holds WHERE id = ?")
_NEW_HOLD = _fill(
    "INSERT INTO holds ({whole_hold}) SELECT {hold_marks} "
    "WHERE NOT EXISTS (SELECT 1 FROM journal WHERE id = ? AND status <> 'refused') ON CONFLICT DO NOTHING"
)
_HOLD_ON = _fill("UPDATE accounts SET {add_held} WHERE name = ?")
_SETTLE_ON = _fill("UPDATE accounts SET {add_settled}, {add_held} WHERE name = ?")
_SET_HOLD = _fill("INSERT OR REPLACE INTO holds ({whole_hold}) VALUES ({hold_marks})")
_DROP_HOLD = "DELETE FROM holds WHERE id = ?"
_ADD_LINE = _fill("INSERT INTO journal ({call}, {booked}) VALUES ({line_marks}) ON CONFLICT DO NOTHING")
_ADD_REFUSED = _fill("INSERT INTO journal ({call}, {refused_by}) VALUES ({refused_marks}) ON CONFLICT DO NOTHING")
_FIND_STATUS = "SELECT status FROM journal WHERE id = ?"
_FIND_CALL = _fill(
    "SELECT NULL, {hold} FROM holds WHERE id = ?1 UNION ALL SELECT status, {no_hold} FROM journal WHERE id = ?1"
)
"""A call's hold, then its journal line: one statement, which for a new call finds nothing."""
_FIND_LINE = _fill("SELECT status, {booked} FROM journal WHERE id = ?")
_SET_LINE = _fill("UPDATE journal SET ({call}, {booked}, {refused_by}) = ({whole_marks}) WHERE id = ?")
# A RETURNING clause or an IN list would save a statement each, and cost more: SQLite makes a table in memory for them.


def reserve(db: Connection, hold: Hold, line: Row, asked: Figures, owner: Row, *, now: float) -> Reservation | Refusal:
    """Take a hold, or take its place if the call has one, when all caps admit it."""
    names = codec.once(hold.accounts)
    found: dict[str, Account] = {}
    for name in names:
        if booked_on(name)[0] != name:  # something may have left its window
            return _reserve_again(db, hold, line, asked, owner, now=now)
        found[name] = db.execute(ACCOUNT, (name,)).fetchone() or NO_ACCOUNT
    if found.get(ALL, NO_ACCOUNT)[CONTROLS]:
        return _reserve_again(db, hold, line, asked, owner, now=now)
    for cap in hold.caps:
        figures = found.get(cap.account)
        place = PLACE.get(cap.meter)
        most = cap.amount - cap.kept
        if figures is None or place is None or figures[place] + figures[WIDTH + place] + asked[place] > most:
            return _reserve_again(db, hold, line, asked, owner, now=now)
    db.execute(_NEW_HOLD, (*line, codec.pack(names), *asked, hold.expires_at, *owner, line[0]))
    if not db.changes():
        return _reserve_again(db, hold, line, asked, owner, now=now)
    for name, figures in found.items():
        if figures is NO_ACCOUNT:
            open_account(db, name, (*NOTHING, *asked, 0, now))
        else:
            db.execute(_HOLD_ON, (*asked, name))
    return Reservation(line[0], Balances(found, asked))


def _reserve_again(
    db: Connection, hold: Hold, line: Row, asked: Figures, owner: Row, *, now: float
) -> Reservation | Refusal:
    """The same for a call that may have a hold or a booking already, and where a cap may not admit it."""
    names = codec.once(hold.accounts)
    on = [booked_on(name)[0] for name in names]
    before: dict[str, Figures] = {}
    known = db.execute(_FIND_CALL, (line[0],)).fetchall()
    if known:
        if known[0][0] is None:
            before = dict.fromkeys((booked_on(name)[0] for name in codec.unpack(known[0][1])), known[0][2:])
        elif known[0][0] != Status.REFUSED:
            return Reservation(line[0], {name: codec.balance(read(db, name, now)) for name in on})
    found = {name: as_of(db, name, now) for name in on}
    refused = _refused(db, hold, found, asked, before, now=now)
    if refused is not None:
        return refused
    after: dict[str, Account] = {}
    for name, figures in found.items():
        change = tuple(map(sub, asked, before.get(name, NOTHING)))
        if figures is None:
            after[name] = (*NOTHING, *change, 0, now)
            open_account(db, name, after[name])
        else:
            held_now = tuple(map(add, figures[WIDTH : 2 * WIDTH], change))
            after[name] = (*figures[:WIDTH], *held_now, figures[REFUSED], figures[SINCE] or now)
            db.execute(_SET_HELD, (*held_now, name))
            if figures[SINCE] is None:
                begin(db, name, now)
    for name, mine in before.items():
        if name not in found:
            charge(db, name, NOTHING, tuple(map(neg, mine)))
    db.execute(_SET_HOLD, (*line, codec.pack(names), *asked, hold.expires_at, *owner))
    return Reservation(line[0], {name: codec.balance(figures) for name, figures in after.items()})


def _refused(
    db: Connection,
    hold: Hold,
    found: Mapping[str, Account | None],
    asked: Figures,
    mine: Mapping[str, Figures],
    *,
    now: float,
) -> Refusal | None:
    """What refuses what is asked of the accounts found: a stop, or the tightest cap; `mine` is what the call holds."""
    controls, everything = NONE, found.get(ALL) or NO_ACCOUNT
    if everything[CONTROLS]:
        accounts = (*hold.accounts, *hold.subjects())
        controls = control_rows.of_call(db, everything, (*accounts, *(cap.account for cap in hold.caps)))
        stop = stopped(controls, accounts)
        if stop is not None:
            return stop

    used = used_after(partial(find, db), asked, found, next(iter(mine.values()), NOTHING), mine)

    def refused(cap: Cap) -> Refusal | None:
        name = cap.account
        row, requested = (found[name], asked) if name in found else (as_of(db, name, now), NOTHING)
        there = beside(mine.get(name, NOTHING), controls.kept(name, used, now))
        of = partial(buckets, db)
        return short(cap, row, requested, there, now=now, buckets=of, controls=controls, stands=hold.place)

    return tightest(refused(cap) for cap in hold.caps)


def count(db: Connection, hold: Hold, line: Row, asked: Figures, now: float) -> Reservation | Refusal:
    """Book a call at once, in place of the hold if it has one, when all caps admit it."""
    names = codec.once(hold.accounts)
    on = [booked_on(name)[0] for name in names]
    before, mine = _hold(db, line[0]) or ((), NOTHING)
    if not _is_booked(db, line[0]):
        found = {name: as_of(db, name, now) for name in on}
        held = dict.fromkeys((booked_on(name)[0] for name in before), mine)
        refused = _refused(db, hold, found, asked, held, now=now)
        if refused is not None:
            return refused
        if before:
            release(db, line[0])
        book(db, line, names, asked, now)
    return Reservation(line[0], {name: codec.balance(read(db, name, now)) for name in on})


def change_note(db: Connection, key: str, change: Callable[[bytes | None], tuple[bytes | None, T]], now: float) -> T:
    """Read a note, change it, write it."""
    found = db.execute("SELECT value FROM notes WHERE key = ?", (key,)).fetchone()
    value, answer = change(found[0] if found else None)
    if value is None:
        db.execute("DELETE FROM notes WHERE key = ?", (key,))
    else:
        db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (key, now, value))
    return answer


class Balances(Mapping[str, Balance]):
    """Accounts after a hold was taken on each; most are asked for few of them."""

    def __init__(self, before: Mapping[str, Account], held: Figures) -> None:
        self._before = before
        self._held = held
        self._read: dict[str, Balance] = {}

    def __getitem__(self, name: str) -> Balance:
        found = self._read.get(name)
        if found is None:
            figures = self._before[name]
            held = tuple(map(add, figures[WIDTH : 2 * WIDTH], self._held))
            found = self._read[name] = codec.balance((*figures[:WIDTH], *held, *figures[2 * WIDTH :]))
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._before)

    def __len__(self) -> int:
        return len(self._before)


def release(db: Connection, id: str) -> bool:
    """Give a call's hold back, if it has one."""
    found = _hold(db, id)
    if found is None:
        return False
    db.execute(_DROP_HOLD, (id,))
    for name in found[0]:
        charge(db, booked_on(name)[0], NOTHING, tuple(map(neg, found[1])))
    return True


def book(db: Connection, line: Row, names: tuple[str, ...], figures: Figures, now: float) -> Settling:
    """Free the call's hold, if it has one, and book the call, on the hold's accounts rather than on `names`."""
    held = _hold(db, line[0])
    names = held[0] if held is not None else codec.once(names)
    provisional = line[STATUS] != Status.SETTLED
    db.execute(_ADD_LINE, line + ((codec.pack(names), *figures) if provisional else _NO_BOOKING))
    if not db.changes():
        if held is not None:
            release(db, line[0])
        return _book_again(db, line, names, figures, now)
    if held is None:
        charge_all(db, names, figures, now)
        return Settling.BOOKED
    db.execute(_DROP_HOLD, (line[0],))
    freed = tuple(map(neg, held[1]))
    for name in names:  # they are there: the hold is on them
        on, bucket = booked_on(name)
        left = bool(bucket) and has_left(name, now)
        db.execute(_SETTLE_ON, (*(NOTHING if left else figures), *freed, on))
        if bucket and not left:
            charge(db, bucket, figures, NOTHING)
    return Settling.BOOKED


def refuse(db: Connection, line: Row, by: Row, names: tuple[str, ...]) -> None:
    """Write a refused call down, with what refused it, and count it, once."""
    db.execute(_ADD_REFUSED, line + by)
    if db.changes():
        for name in names:
            on, _ = booked_on(name)
            db.execute(_COUNT_REFUSED, (on,))
            if not db.changes():
                open_account(db, on, (*NOTHING, *NOTHING, 1, None))


def presume(db: Connection, which: str, values: Row, reason: str, now: float) -> tuple[int, list[Entry]]:
    """Book the page of holds that the query `which` finds, at their quotes; free those whose call was booked already.

    Returns how many holds there were, and the calls booked.
    """
    page = db.execute(which, values).fetchall()
    booked: list[Entry] = []
    for row in page:
        cells = list(row[: len(ENTRY)])
        if cells[codec.OPERATION] == RING_FENCE:
            release(db, row[0])
            continue
        cells[STATUS], cells[REASON] = Status.PRESUMED, reason
        line = tuple(cells)
        if book(db, line, (), row[len(ENTRY) + 1 :], now) is Settling.BOOKED:
            booked.append(codec.entry(line))
    return len(page), booked


def _is_booked(db: Connection, id: str) -> bool:
    found = db.execute(_FIND_STATUS, (id,)).fetchone()
    return found is not None and found[0] != Status.REFUSED


def _hold(db: Connection, id: str) -> tuple[tuple[str, ...], Figures] | None:
    found: Row | None = db.execute(_FIND_HOLD, (id,)).fetchone()
    return None if found is None else (codec.unpack(found[0]), found[1:])


def _book_again(db: Connection, line: Row, names: tuple[str, ...], figures: Figures, now: float) -> Settling:
    """The journal has the call: correct it if this is the real figure that it waits for, or if it was refused."""
    status, accounts, *booked = db.execute(_FIND_LINE, (line[0],)).fetchone() or (Status.SETTLED, None)
    real = line[STATUS] == Status.SETTLED
    if status == Status.SETTLED or (status != Status.REFUSED and not real):
        return Settling.UNCHANGED
    if status == Status.REFUSED:
        change = figures
    else:
        names = codec.unpack(accounts)
        change = tuple(map(sub, figures, booked))
    db.execute(_SET_LINE, (*line, *(_NO_BOOKING if real else (codec.pack(names), *figures)), *NOT_REFUSED, line[0]))
    charge_all(db, names, change, now)
    return Settling.BOOKED if status == Status.REFUSED else Settling.CORRECTED
