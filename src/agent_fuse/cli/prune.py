"""`agent-fuse prune`: drop old journal lines; what accounts count stays."""

import sys
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agent_fuse.cli import clock
from agent_fuse.cli.options import Db, Json, ledger_url, reader
from agent_fuse.cli.show import console, emit, local, say
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers import open_ledger
from agent_fuse.views.as_json import iso
from agent_fuse.views.asked_period import when

_STRETCH = 5_000


def prune(
    *,
    before: Annotated[
        str, typer.Option("--before", metavar="WHEN", help="Drop what is older: an age (30d) or an ISO date and time.")
    ],
    db: Db = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask. Needed where nobody can answer.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many lines it would be.")] = False,
    json: Json = False,
) -> None:
    """Drop journal lines by age. Accounts, and so limits, keep every figure."""
    now = clock.now()
    end = when(before, now=now, option="--before")
    if end > now:
        raise ConfigurationError(f"--before is {before!r}, which is to come; name an age or a time in the past")
    books = reader(db)
    lines = books.count_lines(end)
    if not dry_run and lines and not yes:
        if not (sys.stdin.isatty() and sys.stdout.isatty()) or json:
            raise ConfigurationError("prune drops lines for good: add --yes (or --dry-run to see how many)")
        typer.confirm(f"Drop {lines:,} journal lines from before {local(end)}?", abort=True)
    dropped = 0
    if lines and not dry_run:
        ledger = open_ledger(ledger_url(db))
        columns = (TextColumn("pruning"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console(), disable=json or not sys.stdout.isatty()) as progress:
            task = progress.add_task("prune", total=lines)
            for step in books.steps(end, _STRETCH):
                dropped += ledger.prune(before=step)
                progress.update(task, completed=dropped)
        ledger.close()
    books.close()
    if json:
        emit("prune", before=iso(end), lines=lines, dropped=dropped)
        return
    doing = f"{lines:,} lines are" if dry_run else f"{dropped:,} lines dropped that were"
    say(console(), f"{doing} from before {local(end)}; what accounts count is untouched.")
