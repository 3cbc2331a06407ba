"""The table of roads in docs/frameworks.md, and what a measured word means there."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from conformance.cells import GREEN, HALF, RED, Cell

from .environments import ROADS, ROOM, UP, Roads
from .reasons import reason

if TYPE_CHECKING:
    from conformance.page import Notes

TITLES = {UP: "budget used up", ROOM: "with room"}

_REFUSED = re.compile(r"0 sent, Sentinel\w+ \((BaseException|Exception)\)")
_ANSWERED = re.compile(r"0 sent, 429 from the proxy")
_UNTOLD = re.compile(r"0 sent, .+")
_ESTIMATED = re.compile(r"1 sent, (by \w+|held|exact)(, then .+)?")


def cell(column: str, word: str) -> Cell:
    """Judge one call: green where nothing was sent and the caller was told, or where one was sent and booked exactly."""
    if column == UP:
        if found := _REFUSED.fullmatch(word):
            return Cell(GREEN, f"0 sent, {'soft' if found[1] == 'Exception' else 'hard'}")
        if _ANSWERED.fullmatch(word):
            return Cell(GREEN, word)
        return Cell(HALF if _UNTOLD.fullmatch(word) else RED, word)
    if word == "1 sent, exact":
        return Cell(GREEN, "exact")
    return Cell(HALF if _ESTIMATED.fullmatch(word) else RED, word)


def table(notes: "Notes", of: Iterable[Roads] = ROADS, what: str = "framework", to: str = "to") -> Iterator[str]:
    """A row for each provider of each framework, or for each SDK of each environment.

    Raises:
        LookupError: a cell is not green, and no footnote says why.
    """
    titles = [what, "releases", to, "calls", *TITLES.values()]
    yield "| " + " | ".join(titles) + " |"
    yield "|" + "---|" * len(titles)
    for one in of:
        found: dict[str, Any] = json.loads(one.results.read_text())
        tried = ", ".join(f"{package} {version}" for package, version in found["versions"].items())
        first = [one.why, f"{tried}; {found['date']}, Python {found['python']}"]
        for provider, kinds in found[UP].items():
            words = {UP: kinds, ROOM: found[ROOM][provider]}
            cells = [shown(one.program, provider, column, words[column], notes) for column in TITLES]
            yield "| " + " | ".join([*first, provider, ", ".join(kinds), *cells]) + " |"
            first = ["", ""]


def shown(program: str, provider: str, column: str, words: Mapping[str, str], notes: "Notes") -> str:
    """What holds for all calls of a row, and apart from it those that are short of green."""
    judged = {kind: cell(column, word) for kind, word in words.items()}
    green = sorted({str(one) for one in judged.values() if one.sign == GREEN})
    short: dict[str, list[str]] = {}
    for kind, one in judged.items():
        if one.sign != GREEN:
            mark = notes.mark(reason(program, provider, column, words[kind]))
            short.setdefault(f"{one}{mark}", []).append(kind)
    if not green and len(short) == 1:
        return next(iter(short))
    return "; ".join([*green, *(f"{', '.join(kinds)}: {word}" for word, kinds in short.items())])
