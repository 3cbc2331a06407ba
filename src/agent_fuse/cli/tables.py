"""Tables that fit: names are cut before figures are, and what is least needed is left out first."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

Cell = str | Text

NARROW = 60
"""Columns of a terminal below which titles and times are short."""

_GAP = "  "
_NARROWEST = 6
_MANY = 1_000
"""Names in a column beyond which they are cut without a look at each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table."""

    title: str
    short: str = ""
    """Its title on a narrow terminal, where that is another."""
    right: bool = False
    """Figures stand to the right."""
    shrink: bool = False
    """May be cut to fit."""
    least: int = _NARROWEST
    """Width to which it is cut; only where that still does not fit, further."""
    optional: int = 0
    """Left out where there is no room, the highest first; 0 never."""

    def titled(self, out: Console) -> str:
        """Its title here."""
        return self.short if self.short and out.is_terminal and out.width < NARROW else self.title


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: its cells, and how it looks."""

    cells: tuple[Cell, ...]
    style: str = ""


@dataclass(frozen=True, slots=True)
class Heading:
    """A line of its own between rows."""

    text: str


def draw(out: Console, columns: Sequence[Column], rows: Sequence[TableRow | Heading]) -> None:
    """Print a table: fitted to a terminal, whole in a pipe (headings left out there)."""
    real = [row for row in rows if isinstance(row, TableRow)]
    titles = tuple(column.titled(out) for column in columns)
    widths = [
        max([cell_len(titles[place]), *(cell_len(str(row.cells[place])) for row in real)])
        for place in range(len(columns))
    ]
    shown = _fit(columns, widths, out.width) if out.is_terminal else list(enumerate(widths))
    cut: dict[int, dict[str, str]] = {}
    for place, width in shown:
        names = {cell for row in real if isinstance(cell := row.cells[place], str)}
        cut[place] = {**shorten(names, width, _mark(out)), titles[place]: _cut(titles[place], width, _mark(out))}
    _line(out, columns, shown, cut, TableRow(titles, "bold"))
    if out.is_terminal:
        rule = "─" if out.encoding.startswith("utf") else "-"
        _print(out, Text(rule * min(sum(width for _, width in shown) + len(_GAP) * (len(shown) - 1), out.width), "dim"))
    for row in rows:
        if isinstance(row, TableRow):
            _line(out, columns, shown, cut, row)
        elif out.is_terminal:
            _print(out, Text(row.text, "bold"))


def shorten(names: Collection[str], width: int, mark: str = "…") -> dict[str, str]:
    """Each name within so many columns, cut where it must be: at its end, or where that leaves them told apart."""
    long = [name for name in names if cell_len(name) > width]
    whole = {name: name for name in names}
    best = whole | {name: _cut(name, width, mark) for name in long}
    if len(names) > _MANY:
        return best
    for tail in range(1, width - 1):
        if len(set(best.values())) == len(whole):
            return best
        found = whole | {name: _middle(name, width, tail, mark) for name in long}
        if len(set(found.values())) > len(set(best.values())):
            best = found
    alike: dict[str, list[str]] = {}
    for name, text in best.items():
        alike.setdefault(text, []).append(name)
    for group in alike.values():
        if len(group) > 1:  # alike at both ends: what stands where they part is shown
            start = next(place for place, signs in enumerate(zip_longest(*group)) if len(set(signs)) > 1)
            best |= {name: mark + _cut(name[start:], width - 1, mark) for name in group if name in long}
    return best


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
    for hard in (False, True):
        while over > 0:
            place, width = max(
                ((place, width) for place, width in shown if width > _least(columns[place], width, hard=hard)),
                key=lambda one: one[1],
                default=(-1, 0),
            )
            if place < 0:
                break
            shown = [(one, width - 1 if one == place else size) for one, size in shown]
            over -= 1
    return shown


def _least(column: Column, width: int, *, hard: bool = False) -> int:
    return min(width, _NARROWEST if hard else column.least) if column.shrink else width


def _line(
    out: Console,
    columns: Sequence[Column],
    shown: list[tuple[int, int]],
    cut: dict[int, dict[str, str]],
    row: TableRow,
) -> None:
    line = Text(style=row.style)
    for number, (place, width) in enumerate(shown):
        if number:
            line.append(_GAP)
        cell = row.cells[place]
        text = cell if isinstance(cell, Text) else Text(cut[place][cell])
        blank = " " * (width - cell_len(str(text)))
        line.append(blank if columns[place].right else "")
        line.append(text)
        line.append("" if columns[place].right else blank)
    line.rstrip()
    _print(out, line)


def _mark(out: Console) -> str:
    return "…" if out.encoding.startswith("utf") else "~"


def _cut(text: str, width: int, mark: str) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + mark


def _middle(text: str, width: int, tail: int, mark: str) -> str:
    end = text[len(text) - tail :]
    while cell_len(end) > tail:
        end = end[1:]
    return set_cell_size(text, width - 1 - cell_len(end)).rstrip() + mark + end


def _print(out: Console, line: Text) -> None:
    out.print(line, no_wrap=True, overflow="crop" if out.is_terminal else "ignore", crop=out.is_terminal)
