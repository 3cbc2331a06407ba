"""Calls, holds and caps as the database's functions take them."""

import json
import re
from collections.abc import Sequence
from typing import Any

from agent_fuse.account_names import OF, booked_on, calendar, rolling, within
from agent_fuse.calls import Entry
from agent_fuse.ledgers import codec
from agent_fuse.ledgers.base import Cap, Hold, Meter
from agent_fuse.ledgers.codec import METERS, PLACE, Figures

NUL = "\U000f0000"
"""Stands in the database for the one character that its texts cannot have."""

_NUL = json.dumps(NUL)[1:-1].replace("\\", r"\\")
_ZERO = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_HOLD = tuple(f"hold_{meter}" for meter in METERS)
_BOOKED = tuple(f"booked_{meter}" for meter in METERS)
_PLACES = {**{meter: place + 1 for meter, place in PLACE.items()}, Meter.CONCURRENT: 6, Meter.SECONDS: 7}
"""Places as `agent_fuse.used` counts them."""


def put(text: str) -> str:
    """A text as it is kept."""
    return text.replace("\0", NUL) if "\0" in text else text


def unput(text: str) -> str:
    """A text as it was given."""
    return text.replace(NUL, "\0")


def got(row: Sequence[Any]) -> codec.Row:
    """A row as it was given."""
    return tuple(one.replace(NUL, "\0") if isinstance(one, str) and NUL in one else one for one in row)


class Places:
    """Where a call is booked: accounts in the order in which they are locked, with buckets and windows."""

    def __init__(self, names: Sequence[str]) -> None:
        parted = {put(booked_on(name)[0]): name for name in names}
        self.accounts = sorted(parted)
        whole = [parted[one] for one in self.accounts]
        self.buckets = [put(booked_on(name)[1]) for name in whole]
        self.windows = [seconds(name.partition(OF)[0]) if booked_on(name)[1] else seconds(name) for name in whole]

    def earlier(self) -> list[list[str] | None]:
        """Of a calendar's intervals: between which names the earlier ones are that end when it begins."""
        return [
            [f"{found[1]}{OF}", within(found[1], found[0].before(found[2]))] if (found := calendar(name)) else None
            for name in self.accounts
        ]

    def cells(self) -> dict[str, Any]:
        """The columns."""
        return {
            "on_accounts": self.accounts,
            "buckets": self.buckets,
            "windows": self.windows,
            "earlier": self.earlier(),
        }


def seconds(name: str) -> int:
    """How long an account's window rolls; 0 where it has none."""
    window = rolling(name)
    return window.seconds if window else 0


def line(entry: Entry, names: tuple[str, ...], places: Places, booked: Figures) -> dict[str, Any]:
    """A journal line."""
    cells = dict(zip(codec.ENTRY, codec.entry_row(entry), strict=True))
    cells |= {"accounts": codec.pack(names), **places.cells()}
    return cells | dict(zip(_BOOKED, booked, strict=True))


def refused_line(entry: Entry) -> str:
    """The journal line of a refused call."""
    cells = dict(zip(codec.ENTRY, codec.entry_row(entry), strict=True)) | {"status": codec.refused_status(entry)}
    return written(cells | dict(zip(codec.REFUSED_BY, codec.refused_by_row(entry), strict=True)))


def hold(asked: Hold, names: tuple[str, ...], places: Places, figures: Figures, owner: codec.Row) -> dict[str, Any]:
    """A hold."""
    cells = dict(zip(codec.ENTRY, codec.entry_row(asked.entry), strict=True))
    cells |= {"accounts": codec.pack(names), **places.cells(), "expires_at": asked.expires_at}
    cells |= zip(_HOLD, figures, strict=True)
    return cells | dict(zip(("host", "pid", "started"), owner, strict=True))


def written(cells: Any) -> str:
    """As JSON."""
    text = json.dumps(cells)
    return _ZERO.sub(rf"\1{_NUL}", text) if "\\u0000" in text else text


def caps(those: Sequence[Cap], extras: Sequence[int] = ()) -> tuple[str, str, str, str]:
    """Their accounts, windows, places and amounts, topped up, written as arrays: the driver takes longer to do so."""
    more = extras or (0,) * len(those)
    return (
        texts([put(one.account) for one in those]),
        numbers([seconds(one.account) for one in those]),
        numbers([_PLACES[one.meter] for one in those]),
        numbers([min(one.amount - one.kept + extra, 2**63 - 1) for one, extra in zip(those, more, strict=True)]),
    )


def numbers(those: Sequence[int]) -> str:
    """An array of the database, written."""
    return f"{{{','.join(map(str, those))}}}"


def texts(those: Sequence[str]) -> str:
    """The same of texts."""
    quoted = (one.replace("\\", r"\\").replace('"', r"\"") for one in those)
    return "{" + ",".join(f'"{one}"' for one in quoted) + "}"
