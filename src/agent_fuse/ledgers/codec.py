"""Rows: calls, accounts and holds as tuples of columns, and back."""

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, cast

from agent_fuse.calls import Entry, RefusedBy, Status
from agent_fuse.ledgers.base import AMOUNTS, Amounts, Balance, Hold, LedgerError

ENTRY = tuple(one.name for one in fields(Entry) if one.name != "refused_by")
"""Columns of a call, in order; those of what refused it are `REFUSED_BY`, which only the journal has."""

_REFUSED_BY = tuple(one.name for one in fields(RefusedBy))
REFUSED_BY = tuple(f"refused_{name}" for name in _REFUSED_BY)
"""Columns of what refused a call, in order; all NULL for every other call."""

METERS = tuple(meter.value for meter in AMOUNTS)
"""Columns of an amount, in order; an account's row is settled and held amounts, refused calls, since when, and how many
accounts are under control (on the account of everything)."""

PLACE = {meter: place for place, meter in enumerate(AMOUNTS)}
WIDTH = len(METERS)
STATUS = ENTRY.index("status")
REASON = ENTRY.index("reason")
OPERATION = ENTRY.index("operation")

Figures = tuple[int, ...]
"""Amounts, one for each of METERS."""
Account = tuple[Any, ...]
"""An account's row."""
Row = tuple[Any, ...]

NOTHING: Figures = (0,) * WIDTH
NO_ACCOUNT: Account = (*NOTHING, *NOTHING, 0, None, 0)
REFUSED = 2 * WIDTH
SINCE = REFUSED + 1
CONTROLS = SINCE + 1

NOT_REFUSED: Row = (None,) * len(REFUSED_BY)

entry_row = cast("Callable[[Entry], Row]", attrgetter(*ENTRY))
figures_of = cast("Callable[[Amounts], Figures]", attrgetter(*METERS))
_refused_by_row = cast("Callable[[RefusedBy], Row]", attrgetter(*_REFUSED_BY))


_STATUSES = {one.value: one for one in Status}


def _damaged(where: str, what: str) -> LedgerError:
    return LedgerError("read", where, f"{what}: the ledger is damaged; move its file away to start a new one")


def entry(row: Row) -> Entry:
    """A call from its columns, with or without those of what refused it. Raises LedgerError."""
    values = dict(zip(ENTRY, row, strict=False))
    status = _STATUSES.get(values["status"])
    if status is None:
        raise _damaged(f"line {row[0]!r}", f"{values['status']!r} is no status")
    values["status"] = status
    for later in ("saved_by", "user_id"):  # NULL in lines of versions that did not know it
        values[later] = values[later] or ""
    return Entry(**values, refused_by=refused_by(row[len(ENTRY) :]))


def refused_by(row: Sequence[Any]) -> RefusedBy | None:
    """What refused a call, from its columns; None where there are none, or they are NULL."""
    return RefusedBy(**dict(zip(_REFUSED_BY, row, strict=True))) if row and row[0] is not None else None


def refused_status(one: Entry) -> Status:
    """How a line stands that tells of a refusal."""
    return Status.REFUSED if one.status.is_booked else one.status


def refused_by_row(one: Entry) -> Row:
    """The columns of what refused a call."""
    return NOT_REFUSED if one.refused_by is None else _refused_by_row(one.refused_by)


def balance(row: Account) -> Balance:
    """An account from its columns."""
    usd, tokens, output_tokens, calls, tool_calls, *held = row[: 2 * WIDTH]
    settled = Amounts(usd=usd, tokens=tokens, output_tokens=output_tokens, calls=calls, tool_calls=tool_calls)
    return Balance(settled, amounts(tuple(held)), row[REFUSED], row[SINCE] or 0.0)


def is_held(row: Account) -> bool:
    """Whether a call is open on an account."""
    return any(row[WIDTH : 2 * WIDTH])


def amounts(row: Figures) -> Amounts:
    """Amounts from their columns."""
    usd, tokens, output_tokens, calls, tool_calls = row
    return Amounts(usd=usd, tokens=tokens, output_tokens=output_tokens, calls=calls, tool_calls=tool_calls)


def hold(row: Row) -> Hold:
    """A hold from its columns: the call, its accounts, its amounts, its expiry."""
    rest = len(ENTRY)
    return Hold(
        entry=entry(row[:rest]),
        accounts=unpack(row[rest]),
        amounts=amounts(row[rest + 1 : rest + 1 + WIDTH]),
        expires_at=row[rest + 1 + WIDTH],
    )


@lru_cache(maxsize=1024)
def pack(names: tuple[str, ...]) -> str:
    """Account names as one text, a JSON array. The calls of one session ask for the same ones again and again."""
    return json.dumps(names)


@lru_cache(maxsize=1024)
def unpack(text: str) -> tuple[str, ...]:
    """Account names from their text. Raises LedgerError."""
    try:
        return tuple(json.loads(text))
    except (TypeError, ValueError):
        raise _damaged("accounts", f"{text!r} is no list of names") from None


def once(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names without repeats, in order."""
    return names if len(set(names)) == len(names) else tuple(dict.fromkeys(names))
