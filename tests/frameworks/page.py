"""Makes docs/frameworks.md from the stored results; says nothing that was not measured."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.cells import GREEN, NONE
from conformance.environments import ROOT
from conformance.page import Notes

from .cells import HOLDS, RUNS, cell
from .environments import FRAMEWORKS
from .reasons import reason
from .roads.page import table as roads
from .text import CAUGHT, INTRODUCTION, LEGEND, OTHER_ROADS, RUN_AWAY, WHAT_HOLDS

PAGE = ROOT / "docs" / "frameworks.md"

Results = Mapping[str, Mapping[str, Any]]


def results() -> dict[str, dict[str, Any]]:
    """The stored results, in the order of the page."""
    return {one.name: json.loads(one.results.read_text()) for one in FRAMEWORKS}


def page() -> str:
    """The whole page.

    Raises:
        LookupError: a cell is not green, and no footnote says why.
    """
    stored, notes = results(), Notes()
    lines = [
        *(INTRODUCTION, RUN_AWAY, *_table(stored, notes, RUNS, versions=True), ""),
        *(WHAT_HOLDS, *_table(stored, notes, HOLDS), ""),
        *(CAUGHT, *_table(stored, notes, {f"{one} raised": title for one, title in RUNS.items()}), ""),
        *(OTHER_ROADS, *roads(notes), ""),
        *(LEGEND, *notes.lines()),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _table(stored: Results, notes: Notes, columns: Mapping[str, str], *, versions: bool = False) -> Iterator[str]:
    titles = ["framework", *(("releases", "tried") if versions else ()), *columns.values()]
    yield "| " + " | ".join(titles) + " |"
    yield "|" + "---|" * len(titles)
    for one in FRAMEWORKS:
        found = stored[one.name]
        tried = (_releases(found), f"{found['date']}, Python {found['python']}") if versions else ()
        rows = {**found["rows"], "ends": ends(found["left"])}
        cells = [shown(one.name, column, rows.get(column), notes) for column in columns]
        yield "| " + " | ".join([one.why, *tried, *cells]) + " |"


def ends(left: Mapping[str, list[str]]) -> str:
    """How the processes of all questions ended, in words."""
    return "; ".join(f"{question}: {word}" for question, words in left.items() for word in words) or "by itself"


def _releases(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{package} {version}" for package, version in found["versions"].items())


def shown(framework: str, column: str, word: str | None, notes: Notes) -> str:
    """One cell, with its footnote where it is short of green."""
    named = word.replace(", nobody", ", alpha beta") if word and framework in NAMELESS else word
    judged = cell(column, named if column == "forms" else word)
    if column == "streamed agent" and word == "nobody" and framework in NAMELESS:
        return NONE
    if judged.sign in (GREEN, NONE):
        return str(judged)
    return f"{judged}{notes.mark(reason(framework, column, word or ''))}"


NAMELESS = frozenset({"dspy", "instructor", "litellm"})
"""Their agents, if any, have no names."""
