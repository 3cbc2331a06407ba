"""Options that several commands take, and how they are read."""

import os
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import typer

from agent_fuse.calls import Status
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers.reading import EVERY_STATUS, Reader, Selection, open_reader

Db = Annotated[
    str | None,
    typer.Option("--db", metavar="PATH", help="Ledger to read: a path or sqlite:///path. [AGENTFUSE_DB_PATH]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, in the schema of docs/cli.md.")]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="From then on: an age (30m, 1h, 2d, 1w) or an ISO date and time."),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="WHEN", help="Up to then, exclusive: as --since."),
]
Session = Annotated[str | None, typer.Option("--session", metavar="ID", help="Only this session; * and ? match any.")]
Agent = Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Only this agent; * and ? match any.")]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Only this model; * and ? match any.")]
Tool = Annotated[str | None, typer.Option("--tool", metavar="NAME", help="Only this tool; * and ? match any.")]
Refused = Annotated[bool, typer.Option("--refused", help="Only refused calls.")]
Estimated = Annotated[bool, typer.Option("--estimated", help="Only calls booked without a reported figure.")]

DEFAULT_LEDGER = "~/.agent_fuse/guard_v1.db"
"""The same as `settings.DEFAULT_DB_PATH`, without the time that importing all settings takes."""

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def ledger_url(db: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The ledger that is meant: `--db`, else AGENTFUSE_DB_PATH, else the default."""
    return db or environ.get("AGENTFUSE_DB_PATH") or DEFAULT_LEDGER


def reader(db: str | None) -> Reader:
    """The ledger that is meant, open for reading. Raises ConfigurationError, LedgerError."""
    return open_reader(ledger_url(db))


def when(text: str | None, *, now: float, option: str = "--since") -> float:
    """A time, seconds UTC epoch, from an age or an ISO date and time (local where it names no zone); None is 0.

    Raises:
        ConfigurationError: it is neither.
    """
    if text is None:
        return 0.0
    age = _AGE.fullmatch(text.strip().lower())
    if age:
        return now - float(age[1]) * _SECONDS[age[2]]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ConfigurationError(
            f"{option} is {text!r}; write an age such as 30m, 1h, 2d, or a date such as 2026-11-24T08:00"
        ) from None


def period(since: str | None, until: str | None, *, now: float) -> tuple[float, float | None]:
    """From when (0 for the beginning) until when (None for no end), seconds UTC epoch. Raises ConfigurationError."""
    begin = when(since, now=now)
    if until is None:
        return begin, None
    end = when(until, now=now, option="--until")
    if end <= begin:
        raise ConfigurationError(f"--until is {until!r}, which is not after --since {since!r}; swap them")
    return begin, end


def selection(
    *,
    now: float,
    since: str | None,
    until: str | None = None,
    session: str | None = None,
    agent: str | None = None,
    model: str | None = None,
    tool: str | None = None,
    refused: bool = False,
    estimated: bool = False,
) -> Selection:
    """The journal lines that the options ask for. Raises ConfigurationError."""
    statuses = EVERY_STATUS
    if refused or estimated:
        statuses = frozenset([Status.REFUSED] if refused else [])
        statuses |= frozenset([Status.ESTIMATED, Status.PRESUMED] if estimated else [])
    begin, end = period(since, until, now=now)
    return Selection(since=begin, until=end, session=session, agent=agent, model=model, tool=tool, statuses=statuses)
