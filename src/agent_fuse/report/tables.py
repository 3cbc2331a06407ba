"""Tables of the report: sorted by any column at a click, readable without."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent_fuse.report.tally import Lines
from agent_fuse.report.words import count, money, name, safe

MOST_ROWS = 200
"""Rows of a table; the rest is summed in its last line."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is shown, as HTML, and what it is sorted by; a number is shown to the right."""

    html: str
    value: str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """A table's head: titles, and which of them is sorted by at first, descending."""

    titles: tuple[str, ...]
    sorted_by: int = 1
    words: tuple[int, ...] = (0,)
    """Columns of names and sentences, which may be broken over lines."""


def draw(title: str, columns: Columns, rows: Sequence[Sequence[Cell]], *, foot: str = "") -> str:
    """A table with its caption."""
    kinds = ["words" if place in columns.words else "" for place in range(len(columns.titles))]
    numeric = [all(isinstance(row[place].value, int | float) for row in rows) for place in range(len(columns.titles))]
    head = "".join(
        f'<th role="columnheader" scope="col"{_kind(numeric[place])}{_order(place, columns.sorted_by)}>'
        f'<button type="button">{safe(text)}<span class="arrow" aria-hidden="true"></span></button></th>'
        for place, text in enumerate(columns.titles)
    )
    body = "".join(f'<tr role="row">{"".join(_cells(row, columns.titles, numeric, kinds))}</tr>' for row in rows)
    below = f'<p class="more">{foot}</p>' if foot else ""
    return (
        f'<div class="scroll" role="region" aria-label="{safe(title)}" tabindex="0">'
        f'<table class="sortable" role="table"><caption>{safe(title)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table></div>{below}'
    )


def spenders(title: str, what: str, lines: Lines, *, empty: str, money_matters: bool = True) -> str:
    """A table of who spent how much, the dearest first; tools, which cost nothing themselves, by their calls."""
    items = [(key, line) for key, line in lines.items() if key or line.cost or line.calls or line.refused]
    items.sort(key=lambda one: (-one[1].cost, -one[1].saved, -one[1].calls - one[1].tool_calls, one[0]))
    most = max((line.cost if money_matters else line.tool_calls for _, line in items), default=0)
    fees = any(line.fees for _, line in items)
    rows: list[list[Cell]] = []
    for key, line in items[:MOST_ROWS]:
        row = [Cell(name(key, empty), key.casefold())]
        if money_matters:
            row += [
                Cell(_bar(line.cost, most, money(line.cost)), line.cost),
                *([Cell(_sum(line.fees), line.fees)] if fees else []),
                Cell(f"{line.calls:,}", line.calls),
                Cell(f"{line.input_tokens:,}", line.input_tokens),
                Cell(f"{line.output_tokens:,}", line.output_tokens),
                Cell(_zero(line.refused), line.refused),
                Cell(_sum(line.saved), line.saved),
            ]
        else:
            row += [
                Cell(_bar(line.tool_calls, most, f"{line.tool_calls:,}"), line.tool_calls),
                Cell(_zero(line.refused), line.refused),
            ]
        rows.append(row)
    titles: tuple[str, ...] = ("calls", "refused")
    if money_matters:
        titles = ("spent", *(["of it fees"] if fees else []), "calls", "tokens in", "tokens out", "refused", "saved")
    rest = items[MOST_ROWS:]
    foot = ""
    if rest:
        spent = sum(line.cost for _, line in rest)
        foot = f"and {count(len(rest), 'more', 'more')}, {money(spent)} together; agent-fuse export has them all"
    return draw(title, Columns(titles=(what, *titles)), rows, foot=foot)


def _sum(nanos: int) -> str:
    return money(nanos) if nanos else '<span class="zero">0</span>'


def _zero(number: int) -> str:
    return f'<span class="bad">{number:,}</span>' if number else '<span class="zero">0</span>'


def _bar(amount: int, most: int, text: str) -> str:
    share = 100 * amount / most if most else 0
    bar = f'<span class="bar" aria-hidden="true"><span style="width:{share:.1f}%"></span></span>'
    return f'{bar}<span class="of-bar">{text}</span>'


def _kind(numeric: bool, kind: str = "") -> str:
    found = " ".join(filter(None, ("number" if numeric else "", kind)))
    return f' class="{found}"' if found else ""


def _order(place: int, sorted_by: int) -> str:
    return ' aria-sort="descending"' if place == sorted_by else ""


def _cells(row: Sequence[Cell], titles: Sequence[str], numeric: Sequence[bool], kinds: Sequence[str]) -> Iterable[str]:
    """Cells that say their title and role themselves: on a narrow page each row is a block, and no table any more."""
    for place, cell in enumerate(row):
        tag, role, scope = ("th", "rowheader", ' scope="row"') if place == 0 else ("td", "cell", "")
        yield (
            f'<{tag} role="{role}"{scope}{_kind(numeric[place], kinds[place])} data-title="{safe(titles[place])}" '
            f'data-value="{safe(str(cell.value))}">{cell.html}</{tag}>'
        )
