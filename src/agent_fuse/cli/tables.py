"""Tables that fit: names are cut before figures are, and what is least needed is left out first."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

Cell = str | Text

_GAP = "  "
_NARROWEST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table."""

    title: str
    right: bool = False
    """Figures stand to the right."""
    shrink: bool = False
    """May be cut to fit."""
    optional: int = 0
    """Left out where there is no room, the highest first; 0 never."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its cells, and how it looks."""

    cells: tuple[Cell, ...]
    style: str = ""


@dataclass(frozen=True, slots=True)
class Heading:
    """A line of its own between rows."""

    text: str


def draw(out: Console, columns: Sequence[Column], rows: Sequence[Row | Heading]) -> None:
    """Print a table: fitted to a terminal, whole in a pipe (headings left out there)."""
    real = [row for row in rows if isinstance(row, Row)]
    widths = [
        max([cell_len(column.title), *(cell_len(str(row.cells[place])) for row in real)])
        for place, column in enumerate(columns)
    ]
    shown = _fit(columns, widths, out.width) if out.is_terminal else list(enumerate(widths))
    _line(out, columns, shown, tuple(column.title for column in columns), "bold")
    if out.is_terminal:
        rule = "─" if out.encoding.startswith("utf") else "-"
        _print(out, Text(rule * min(sum(width for _, width in shown) + len(_GAP) * (len(shown) - 1), out.width), "dim"))
    for row in rows:
        if isinstance(row, Row):
            _line(out, columns, shown, row.cells, row.style)
        elif out.is_terminal:
            _print(out, Text(row.text, "bold"))


def _fit(columns: Sequence[Column], widths: list[int], room: int) -> list[tuple[int, int]]:
    """Places and widths of the columns that are shown."""
    shown = list(enumerate(widths))
    while True:
        over = sum(width for _, width in shown) + len(_GAP) * (len(shown) - 1) - room
        slack = sum(max(width - _least(columns[place], width), 0) for place, width in shown)
        optional = [place for place, _ in shown if columns[place].optional]
        if over <= slack or not optional:
            break
        worst = max(optional, key=lambda place: columns[place].optional)
        shown = [(place, width) for place, width in shown if place != worst]
    while over > 0:
        place, width = max(
            ((place, width) for place, width in shown if width > _least(columns[place], width)),
            key=lambda one: one[1],
            default=(-1, 0),
        )
        if place < 0:
            break
        shown = [(one, width - 1 if one == place else size) for one, size in shown]
        over -= 1
    return shown


def _least(column: Column, width: int) -> int:
    return min(width, max(cell_len(column.title), _NARROWEST)) if column.shrink else width


def _line(
    out: Console, columns: Sequence[Column], shown: list[tuple[int, int]], cells: tuple[Cell, ...], style: str
) -> None:
    line = Text(style=style)
    for number, (place, width) in enumerate(shown):
        if number:
            line.append(_GAP)
        cell = cells[place]
        text = cell if isinstance(cell, Text) else Text(_cut(out, cell, width))
        blank = " " * (width - cell_len(str(text)))
        line.append(blank if columns[place].right else "")
        line.append(text)
        line.append("" if columns[place].right else blank)
    line.rstrip()
    _print(out, line)


def _cut(out: Console, text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    mark = "…" if out.encoding.startswith("utf") else "~"
    return set_cell_size(text, width - 1).rstrip() + mark


def _print(out: Console, line: Text) -> None:
    out.print(line, no_wrap=True, overflow="crop" if out.is_terminal else "ignore", crop=out.is_terminal)
