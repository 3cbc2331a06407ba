"""Calls, holds and caps as the database's functions take them."""

import json
from collections.abc import Sequence
from typing import Any

from agent_fuse.account_names import OF, booked_on, calendar, rolling, within
from agent_fuse.calls import Entry
from agent_fuse.ledgers import codec
from agent_fuse.ledgers.base import Cap, Hold, Meter
from agent_fuse.ledgers.codec import METERS, PLACE, Figures

NUL = "\U000f0000"
"""Stands in the database for the one character that its texts cannot have."""

_PLACES = {**{meter: place + 1 for meter, place in PLACE.items()}, Meter.CONCURRENT: 6, Meter.SECONDS: 7}
"""Places as `agent_fuse.used` counts them."""


def put(text: str) -> str:
    """A text as it is kept."""
    return text.replace("\0", NUL) if "\0" in text else text


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


def line(entry: Entry, names: tuple[str, ...], places: Places, booked: Figures) -> str:
    """A journal line."""
    cells = dict(zip(codec.ENTRY, codec.entry_row(entry), strict=True))
    cells |= {"accounts": codec.pack(names), **places.cells()}
    cells |= {f"booked_{meter}": figure for meter, figure in zip(METERS, booked, strict=True)}
    return written(cells)


def refused_line(entry: Entry) -> str:
    """The journal line of a refused call."""
    cells = dict(zip(codec.ENTRY, codec.entry_row(entry), strict=True)) | {"status": "refused"}
    return written(cells | dict(zip(codec.REFUSED_BY, codec.refused_by_row(entry), strict=True)))


def hold(asked: Hold, names: tuple[str, ...], places: Places, figures: Figures, owner: codec.Row) -> str:
    """A hold."""
    cells = dict(zip(codec.ENTRY, codec.entry_row(asked.entry), strict=True))
    cells |= {"accounts": codec.pack(names), **places.cells(), "expires_at": asked.expires_at}
    cells |= {f"hold_{meter}": figure for meter, figure in zip(METERS, figures, strict=True)}
    return written(cells | dict(zip(("host", "pid", "started"), owner, strict=True)))


def written(cells: dict[str, Any]) -> str:
    """As JSON."""
    return json.dumps({name: put(one) if isinstance(one, str) else one for name, one in cells.items()})


def caps(those: Sequence[Cap], extras: Sequence[int]) -> tuple[list[str], list[int], list[int], list[int]]:
    """Their accounts, windows, places and amounts, topped up."""
    return (
        [put(one.account) for one in those],
        [seconds(one.account) for one in those],
        [_PLACES[one.meter] for one in those],
        [min(one.amount - one.kept + extra, 2**63 - 1) for one, extra in zip(those, extras, strict=True)],
    )
