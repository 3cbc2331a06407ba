"""What a measured word means: green where nothing better is possible, else half or not at all."""

import re
from dataclasses import dataclass

COLUMNS = {
    "exhausted": "nothing left",
    "size": "too large",
    "booked": "booked",
    "broken": "broken off",
    "tools": "tool loop",
    "session": "`session()`",
    "own": "own session id",
}
"""The columns, by what measure.py calls them."""

GREEN, HALF, RED, NONE = "✅", "🟡", "❌", "—"

_TRIP = re.compile(r"Sentinel\w+ \((BaseException|Exception)\)")


@dataclass(frozen=True)
class Cell:
    """One cell: a sign, and a word where it says more."""

    sign: str
    word: str = ""

    def __str__(self) -> str:
        return f"{self.sign} {self.word}".strip()


def cell(column: str, measured: str | None, *, told: bool = True) -> Cell:
    """Judge what was measured. `told`: the provider tells usage to this kind of call."""
    if measured is None:
        return Cell(NONE)
    if column in ("exhausted", "size"):
        return _refused(measured)
    if column == "booked":
        return _booked(measured, told=told)
    if column == "broken":
        return Cell(GREEN, "at its quote") if measured == "once, estimated" else Cell(RED, measured)
    if column == "tools":
        return _tools(measured)
    return _session(measured)


def _refused(measured: str) -> Cell:
    sent, _, rest = measured.partition(" sent, ")
    trip = _TRIP.fullmatch(rest)
    if sent == "0" and trip:
        return Cell(GREEN, "soft" if trip[1] == "Exception" else "hard")
    if sent == "0":
        return Cell(HALF, f"0 sent, {rest}")
    return Cell(RED, f"{sent} sent, {'then tripped' if trip else rest}")


def _booked(measured: str, *, told: bool) -> Cell:
    if measured == "once, exact":
        return Cell(GREEN, "exact, once")
    if measured == "once, estimated":
        return Cell(HALF, "estimated, once") if told else Cell(GREEN, "counted, once")
    return Cell(HALF if measured.startswith("once") else RED, measured)


def _tools(measured: str) -> Cell:
    where, _, trip = measured.partition(", ")
    known = _TRIP.fullmatch(trip)
    if where == "before the body" and known:
        return Cell(GREEN, "before the body")
    return Cell(HALF if where == "at the next gate" and known else RED, where if known else measured)


def _session(measured: str) -> Cell:
    where, _, trip = measured.partition(", ")
    if where == "at the gate" and _TRIP.fullmatch(trip):
        return Cell(GREEN)
    return Cell(HALF if where == "when booked" else RED, where if not trip else measured)
