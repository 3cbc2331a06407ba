"""Options that several commands take, and how they are read."""

import os
from collections.abc import Mapping
from typing import Annotated

import typer

from agent_fuse.calls import NOT_BOOKED, Status
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers.reading import EVERY_STATUS, Reader, Selection, open_reader
from agent_fuse.views.asked_period import period

Db = Annotated[
    str | None,
    typer.Option(
        "--db", metavar="PATH", help="The ledger: a path, sqlite:///path or postgresql://… [AGENTFUSE_DB_PATH]"
    ),
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
User = Annotated[
    str | None, typer.Option("--user", metavar="ID", help="Only calls of this user (user.id); * and ? match any.")
]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Only this model; * and ? match any.")]
Tool = Annotated[str | None, typer.Option("--tool", metavar="NAME", help="Only this tool; * and ? match any.")]
Refused = Annotated[bool, typer.Option("--refused", help="Only refused calls.")]
Estimated = Annotated[bool, typer.Option("--estimated", help="Only calls booked without a reported figure.")]

DEFAULT_LEDGER = "~/.agent_fuse/guard_v1.db"
"""The same as `agent_fuse.options.DEFAULT_DB_PATH`, without the time that importing all settings takes."""


def ledger_url(db: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The ledger that is meant: `--db`, else AGENTFUSE_DB_PATH, else the default.

    Raises:
        ConfigurationError: `--db` is empty: a shell's variable that is not set means no other ledger.
    """
    if db is not None and not db.strip():
        raise ConfigurationError("--db is empty; name a ledger, or leave --db out for the default")
    return db or environ.get("AGENTFUSE_DB_PATH") or DEFAULT_LEDGER


def reader(db: str | None) -> Reader:
    """The ledger that is meant, open for reading. Raises ConfigurationError, LedgerError."""
    return open_reader(ledger_url(db))


def selection(
    *,
    now: float,
    since: str | None,
    until: str | None = None,
    session: str | None = None,
    agent: str | None = None,
    user: str | None = None,
    model: str | None = None,
    tool: str | None = None,
    refused: bool = False,
    estimated: bool = False,
) -> Selection:
    """The journal lines that the options ask for. Raises ConfigurationError."""
    statuses = EVERY_STATUS
    if refused or estimated:
        statuses = NOT_BOOKED if refused else frozenset[Status]()
        statuses |= frozenset([Status.ESTIMATED, Status.PRESUMED] if estimated else [])
    begin, end = period(since, until, now=now)
    return Selection(
        since=begin, until=end, session=session, agent=agent, user=user, model=model, tool=tool, statuses=statuses
    )
