"""`agent-fuse top`: who spends how fast, live, and how long each cap will last."""

import os
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from agent_fuse.cli import clock
from agent_fuse.cli.control import decisions_due
from agent_fuse.cli.keys import quit_within, single_keys
from agent_fuse.cli.options import Db, Json, reader
from agent_fuse.cli.show import amount, bar, clean, console, emit, local, money, paragraph, say, span
from agent_fuse.cli.tables import NARROW, Column, TableRow, draw
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers.base import Meter
from agent_fuse.views import as_json
from agent_fuse.views.asked_period import when
from agent_fuse.views.burn_rate import Pace, measure
from agent_fuse.views.limit_status import LimitStatus

_FIXED_LINES = 9
"""Lines of a frame besides the rows of its two tables."""

_SPARING = 4
"""A frame that took long to read is repeated only after so many times as long."""

_UNITS = {
    Meter.TOKENS: " tok",
    Meter.OUTPUT_TOKENS: " out",
    Meter.CALLS: " calls",
    Meter.TOOL_CALLS: " tools",
}
"""Short for what a limit counts, on a narrow terminal."""

_LIMITS = (
    Column(title="limit", shrink=True, least=12),
    Column(title="cap", right=True, optional=1),
    Column(title="left", right=True),
    Column(title="used"),
    Column(title="until the cap", short="until", right=True),
)
_SPENDERS = (
    Column(title=""),
    Column(title="name", shrink=True, least=14),
    Column(title="USD/h", right=True),
    Column(title="spent", right=True),
    Column(title="calls", right=True, optional=1),
    Column(title="tools", right=True, optional=2),
    Column(title="refused", right=True),
)


def top(
    *,
    db: Db = None,
    window: Annotated[str, typer.Option("--window", metavar="AGE", help="How far back rates look.")] = "5m",
    every: Annotated[float, typer.Option("--every", min=0.1, metavar="SECONDS", help="Time between frames.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and end; so it is in a pipe.")] = False,
    json: Json = False,
) -> None:
    """Who spends how fast, live, and how long each cap will last.

    Shows sessions, agents, models, and the limits that will be reached first at this rate. q or Ctrl-C ends it.
    """
    seconds = -when(window, now=0.0, option="--window")
    if seconds <= 0:
        raise ConfigurationError(f"--window is {window!r}; write an age such as 30s, 5m, 1h")
    books = reader(db)
    out = console()
    if json or once or not out.is_terminal:
        found = measure(books, os.environ, now=clock.now(), window=seconds)
        if json:
            emit("top", 2, **as_json.pace(found))
        else:
            _frame(out, found, decisions_due(books))
        return
    try:
        with out.screen() as screen, single_keys() as keys:
            while True:
                began = time.monotonic()
                found = measure(books, os.environ, now=clock.now(), window=seconds)
                with out.capture() as frame:
                    _frame(out, found, decisions_due(books))
                screen.update(Text.from_ansi(frame.get(), no_wrap=True))
                if quit_within(max(every, _SPARING * (time.monotonic() - began)), keys=keys):
                    return
    except KeyboardInterrupt:
        return


def _left(out: Console, one: LimitStatus) -> str:
    """What is left; with its unit where the cap, which has it, may be left out."""
    unit = _UNITS.get(one.cap.meter, "") if out.is_terminal and out.width < NARROW else ""
    return f"{amount(one.cap.meter, one.left)}{unit}"


def _frame(out: Console, found: Pace, due: str) -> None:
    room = max(out.height - _FIXED_LINES - (2 if due else 0), 6) if out.is_terminal else 60
    limits = found.limits[: max(room // 3, 2)]
    each = max((room - len(limits)) // 3, 1)
    recent, total = found.recent, found.total
    say(out, f"{money(found.hourly(recent.cost))} an hour, over the last {span(found.seconds)}", style="bold")
    paragraph(
        out,
        f"{money(total.settled.usd)} in all, {found.open_calls:,} open holding {money(found.holding)}, "
        f"{recent.refused:,} refused lately, {total.refused:,} in all",
    )
    if due:
        paragraph(out, due, style="bold yellow")
    say(out)
    draw(
        out,
        _LIMITS,
        [
            TableRow(
                (
                    clean(one.whose),
                    one.words,
                    _left(out, one),
                    bar(
                        out,
                        one.spent / one.amount if one.amount else 1.0,
                        one.held / one.amount if one.amount else 0.0,
                        width=10,
                    ),
                    "stopped" if one.stopped else "reached" if one.reached else "" if until is None else span(until),
                )
            )
            for one, until in limits
        ],
    )
    say(out)
    rows = [
        TableRow(
            (
                kind,
                clean(name) or "(none)",
                money(found.hourly(one.cost)),
                money(one.cost),
                f"{one.calls:,}",
                f"{one.tool_calls:,}",
                f"{one.refused:,}",
            ),
            "red" if one.refused else "",
        )
        for kind, lines in found.by.items()
        for name, one in [line for line in lines if line[0] or kind == "session"][:each]
    ]
    draw(out, _SPENDERS, rows)
    if out.is_terminal:
        say(out, f"{local(found.at)[11:]}, q ends", style="dim")
