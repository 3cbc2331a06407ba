"""`agent-fuse export`: calls as CSV or JSON, in the columns that finance tools read."""

import csv
import json as encoding
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer

from agent_fuse.calls import NOT_BOOKED
from agent_fuse.cli import clock
from agent_fuse.cli.options import Agent, Db, Model, Session, Since, Tool, Until, User, reader, selection
from agent_fuse.errors import ConfigurationError
from agent_fuse.foreign_text import csv_cell, in_json
from agent_fuse.ledgers.reading import EVERY_STATUS
from agent_fuse.views.focus_export import COLUMNS, charges


class Format(StrEnum):
    """What to write."""

    CSV = "csv"
    JSON = "json"


def export(
    *,
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.CSV,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write it; - is standard output.")
    ] = Path("-"),
    db: Db = None,
    since: Since = None,
    until: Until = None,
    session: Session = None,
    agent: Agent = None,
    user: User = None,
    model: Model = None,
    tool: Tool = None,
    refused: Annotated[bool, typer.Option("--with-refused", help="Refused calls too, at no cost.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=0, metavar="N", help="Most calls written; 0 for all.")] = 0,
) -> None:
    """Write calls as CSV or JSON, in the columns of FinOps FOCUS.

    The latest call comes first. docs/cli.md says what each column is.
    """
    chosen = Format.JSON if json else form
    which = selection(
        now=clock.now(),
        since=since,
        until=until,
        session=session,
        agent=agent,
        user=user,
        model=model,
        tool=tool,
    )
    if not refused:
        which = replace(which, statuses=EVERY_STATUS - NOT_BOOKED)
    books = reader(db)
    with _target(output) as out:
        rows = charges(books.entries(which, limit=limit or None))
        if chosen is Format.CSV:
            writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows({column: csv_cell(value) for column, value in row.items()} for row in rows)
        else:
            out.write("[")
            for number, row in enumerate(rows):
                out.write(f"{',' if number else ''}\n{in_json(encoding.dumps(row, ensure_ascii=False))}")
            out.write("\n]\n")


@contextmanager
def _target(output: Path) -> Generator[TextIO]:
    if str(output) == "-":
        yield sys.stdout
        return
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise ConfigurationError(f"--output {output}: {error.strerror}; name a file that can be written") from None
