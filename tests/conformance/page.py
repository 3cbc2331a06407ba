"""Makes docs/enforcement.md from the stored results; says nothing that was not measured."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from frameworks.roads.environments import SDKS
from frameworks.roads.page import table

from .cells import COLUMNS, GREEN, NONE, Cell, cell
from .environments import ENVIRONMENTS, HERE, ROOT
from .reasons import Reason, reason
from .setups import SETUPS
from .text import INTRODUCTION, LEGEND, ON_THE_WIRE, UNSTOPPABLE

PAGE = ROOT / "docs" / "enforcement.md"
MODES = {"gate": "request gate on", "spans": "spans only"}
STOPPED = {"before the body": "before the call", "at the next gate": "at the next gate", "not at all": "never"}
"""What measure.py says of a tool loop, and what the page does; the earliest first."""
UNTOLD = frozenset({"chat stream without usage", "chat-completions model, stream"})
"""Kinds to which the provider tells no usage: counting is the best there is."""

Rows = Mapping[str, Mapping[str, str]]


def results() -> dict[str, dict[str, Any]]:
    """The stored results, in the order of the environments."""
    return {one.name: json.loads((HERE / "results" / f"{one.name}.json").read_text()) for one in ENVIRONMENTS}


def page() -> str:
    """The whole page.

    Raises:
        LookupError: a cell is not green, and no footnote says why.
    """
    stored, notes = results(), Notes()
    tables = [line for name, found in stored.items() for line in _environment(name, found, notes)]
    wire = [ON_THE_WIRE, *table(notes, SDKS, "SDKs", "SDK"), ""]
    lines = [
        INTRODUCTION,
        "## At a glance",
        "",
        *_glance(stored),
        "",
        LEGEND,
        *tables,
        *wire,
        UNSTOPPABLE,
        *notes.lines(),
    ]
    return "\n".join(lines).rstrip() + "\n"


class Notes:
    """The footnotes that the page needs, in the order of their first use."""

    def __init__(self) -> None:
        self._used: dict[str, Reason] = {}

    def mark(self, found: Reason) -> str:
        self._used[found.key] = found
        return f"[^{found.key}]"

    def lines(self) -> Iterator[str]:
        for found in self._used.values():
            yield f"[^{found.key}]: {found.text}"


def judged(setup: str, mode: str, rows: Rows) -> Iterator[tuple[str, str, str | None, Cell]]:
    """Every cell of one table: kind, column, what was measured, and what it means."""
    del setup, mode
    for kind, measured in rows.items():
        for column in COLUMNS:
            word = measured.get(column)
            yield kind, column, word, cell(column, word, told=kind not in UNTOLD)


def _glance(stored: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| set-up | releases | request gate on | spans only | a tool loop is stopped |"
    yield "|---|---|---|---|---|"
    for environment, found in stored.items():
        for setup, entry in found.items():
            link = f"[{SETUPS[setup].title}](#{_anchor(environment, setup)})"
            counts = [_count(setup, mode, entry.get(mode)) for mode in MODES]
            yield f"| {link} | {_versions(entry)} | {counts[0]} | {counts[1]} | {loops(entry)} |"


def loops(entry: Mapping[str, Any]) -> str:
    """Where the trip of a tool loop comes: the latest that was seen of any kind of call; by spans alone where that differs."""
    found: list[str] = []
    for mode in MODES:
        words = [one["tools"].partition(", ")[0] for one in entry.get(mode, {}).values() if "tools" in one]
        places = [STOPPED.get(word, "never") for word in words]
        found += [max(places, key=list(STOPPED.values()).index)] if places else []
    if not found:
        return NONE
    return found[0] if len(set(found)) == 1 else f"{found[0]}; by spans alone {found[1]}"


def _count(setup: str, mode: str, rows: Rows | None) -> str:
    if rows is None:
        return NONE
    signs = Counter(one.sign for _, _, _, one in judged(setup, mode, rows) if one.sign != NONE)
    return f"{GREEN if signs[GREEN] == signs.total() else ''} {signs[GREEN]} of {signs.total()}".strip()


def _versions(entry: Mapping[str, Any]) -> str:
    return ", ".join(f"{_short(name)} {version}" for name, version in entry["versions"].items())


def _short(package: str) -> str:
    return package.removeprefix("opentelemetry-")


def _anchor(environment: str, setup: str) -> str:
    return f"{environment}-{setup}".replace("+", "-")


def _environment(name: str, found: Mapping[str, Any], notes: Notes) -> Iterator[str]:
    why = next(one.why for one in ENVIRONMENTS if one.name == name)
    yield f"## Environment `{name}`"
    yield ""
    yield f"{why[0].upper()}{why[1:]}. Exact releases: `tests/conformance/environments/{name}.txt`."
    yield ""
    for setup, entry in found.items():
        yield f'### <a id="{_anchor(name, setup)}"></a>{SETUPS[setup].title}'
        yield ""
        yield _versions(entry)
        yield ""
        yield from _table(name, setup, entry, notes)
        yield ""


def _table(environment: str, setup: str, entry: Mapping[str, Any], notes: Notes) -> Iterator[str]:
    """Rows with the same cells are one row."""
    merged: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for mode, title in MODES.items():
        for kind in entry.get(mode, {}):
            cells = tuple(_shown(environment, setup, mode, kind, entry[mode][kind], notes))
            merged.setdefault((title, cells), []).append(kind)
    used = [place for place in range(len(COLUMNS)) if any(cells[place] != NONE for _, cells in merged)]
    titles = list(COLUMNS.values())
    yield "| calls | gates | " + " | ".join(titles[place] for place in used) + " |"
    yield "|---|---|" + "---|" * len(used)
    for (title, cells), kinds in merged.items():
        yield f"| {' · '.join(kinds)} | {title} | " + " | ".join(cells[place] for place in used) + " |"


def _shown(
    environment: str, setup: str, mode: str, kind: str, measured: Mapping[str, str], notes: Notes
) -> Iterator[str]:
    for _, column, word, one in judged(setup, mode, {kind: measured}):
        if one.sign in (GREEN, NONE) or word is None:
            yield str(one)
        else:
            yield f"{one}{notes.mark(reason(environment, setup, mode, kind, column, word))}"
