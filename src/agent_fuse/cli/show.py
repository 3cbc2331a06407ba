"""How things look: bars, money and times on a terminal, plain text in a pipe, JSON when asked for."""

import json
import sys
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from textwrap import wrap
from typing import Any

from rich.console import Console
from rich.text import Text

from agent_fuse.calls import show_usd, to_usd
from agent_fuse.cli.tables import NARROW
from agent_fuse.foreign_text import escaped, in_json
from agent_fuse.ledgers.base import Meter

_UNBOUNDED = 10_000
"""Columns of a pipe: nothing is cut there."""

_NEAR, _ALMOST = 0.8, 0.95
_TINY = 40
_SHOWN = Decimal("0.0001")


def console() -> Console:
    """Standard output: a terminal as wide as it is, a pipe without end. NO_COLOR is heeded."""
    terminal = sys.stdout.isatty()
    return Console(width=None if terminal else _UNBOUNDED, highlight=False, markup=False, emoji=False)


def say(out: Console, text: str = "", *, style: str = "") -> None:
    """Print a line."""
    out.print(Text(text, style=style), soft_wrap=not out.is_terminal)


def paragraph(out: Console, text: str, *, indent: int = 0, style: str = "") -> None:
    """Print a line; on a terminal wrapped at words, what follows its first line set in."""
    if not out.is_terminal:
        say(out, f"{' ' * indent}{text}", style=style)
        return
    lead = " " * indent
    width = max(out.width, 20)
    for line in wrap(text, width, initial_indent=lead, subsequent_indent=f"{lead}  ", break_on_hyphens=False):
        say(out, line, style=style)


def emit(command: str, number: int = 1, /, **fields: Any) -> None:
    """Print one JSON object, marked with its schema and the schema's number."""
    encoder = json.JSONEncoder(indent=2, ensure_ascii=False)
    for part in encoder.iterencode({"schema": f"agent-fuse/{command}/{number}", **fields}):
        sys.stdout.write(in_json(part))
    sys.stdout.write("\n")


def clean(text: str) -> str:
    """A name from outside, safe to print: what a terminal would obey is shown as an escape."""
    return escaped(text)


def money(nanos: int) -> str:
    """Dollars for a table: cents, four digits below a dollar, and all of them below a hundredth of a cent."""
    usd = to_usd(nanos)
    if usd == 0 or usd >= 1:
        return f"${usd.quantize(Decimal('0.01'), ROUND_HALF_EVEN):,}"
    return f"${usd.quantize(_SHOWN, ROUND_HALF_EVEN)}" if usd >= _SHOWN else show_usd(nanos)


def amount(meter: Meter, value: int) -> str:
    """An amount on a meter."""
    return money(value) if meter is Meter.USD else f"{value:,}"


def local(at: float) -> str:
    """A time for a person: in the local zone, to the second."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float) -> str:
    """A length of time, roughly: `45 s`, `12 min`, `3.5 h`, `2 days`."""
    for unit, size, digits in (("days", 86_400, 0), ("h", 3_600, 1), ("min", 60, 0)):
        if seconds >= size * (2 if unit == "days" else 1):
            return f"{seconds / size:.{digits}f}".removesuffix(".0") + f" {unit}"
    return f"{max(seconds, 0):.0f} s"


def bar(out: Console, spent: float, held: float, *, width: int = 16) -> Text:
    """Shares of a cap as a bar: spent full, held shaded, left dotted; then the share in per cent.

    Where the terminal is narrow the bar is at most 5 columns wide, or left out.
    """
    width = min(width, 5 if out.width >= _TINY else 0) if out.width < NARROW else width
    used = spent + held
    style = "red" if used >= _ALMOST else "yellow" if used >= _NEAR else "green"
    share = f"{min(used, 9.99) * 100:3.0f} %"
    if not out.is_terminal:
        return Text(share.strip())
    full, shade, rest = "█▒░" if out.encoding.startswith("utf") else "#=."
    filled = min(int(used * width) if used < 1 else width, width)
    whole = min(round(min(spent, 1.0) * width), filled)
    return Text.assemble(
        (full * whole, style),
        (shade * (filled - whole), style),
        (rest * (width - filled), "dim"),
        (" " * bool(width) + share, style),
    )
