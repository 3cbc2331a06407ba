"""`agent-fuse ledger init`, `check` and `copy`: make a ledger, see whether it is sound, carry it over."""

import sys
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agent_fuse.calls import show_usd, to_usd
from agent_fuse.cli import FINE, LIMIT_REACHED, clock
from agent_fuse.cli.options import Db, Json, ledger_url
from agent_fuse.cli.show import clean, console, emit, paragraph, say
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers.auditing import audit
from agent_fuse.ledgers.copying import copy as copy_books
from agent_fuse.ledgers.keeping import Made, keeper

WORKER = "worker"
"""The role that printed statements name where none is given."""

_MOST_FAULTS = 50

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

Where = Annotated[
    str | None,
    typer.Argument(metavar="LEDGER", help="A path, sqlite:///path or postgresql://… [AGENTFUSE_DB_PATH]"),
]


@app.callback()
def ledger() -> None:
    """Make a ledger, check it, or copy it to another kind."""


@app.command()
def init(
    where: Where = None,
    *,
    db: Db = None,
    grant: Annotated[
        list[str] | None,
        typer.Option(
            "--grant", metavar="ROLE", help="Give a role the least that a fuse needs; more than once for more."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Make a ledger, or bring its tables to this version.

    Done again, it does nothing. In PostgreSQL as a role that may create a schema. Prints the statements that
    give a worker's role the least rights.
    """
    roles = list(grant or [])
    if any(not one.strip() or "\0" in one for one in roles):
        raise ConfigurationError("--grant is empty; name a role of the database")
    with keeper(_meant(where, db)) as books:
        made = books.make()
        for role in roles:
            books.grant(role)
    statements = [one for role in roles or [WORKER] for one in books.grants(role)]
    if json:
        emit(
            "ledger-init",
            ledger=books.where,
            version_before=made.before,
            version=made.now,
            granted=roles,
            statements=statements,
        )
        return
    out = console()
    say(out, f"{clean(books.where)}: {_words(made)}.")
    for role in roles:
        say(out, f"{clean(role)} has the rights that a fuse needs, and no more.")
    if statements and not roles:
        say(out, "The least that a worker's role needs (--grant ROLE gives it):")
        for one in statements:
            say(out, f"  {one};")


@app.command()
def check(where: Where = None, *, db: Db = None, json: Json = False) -> None:
    """Find what is wrong with a ledger.

    Is it there, of this version, writable by this user or role, and do its figures fit each other? Looks at one
    moment of it, and holds up no call. Exits with 1 and a line for each fault.
    """
    with keeper(_meant(where, db)) as books:
        faults, readable = books.faults()
        if readable:
            with books.whole() as whole:
                faults += audit(whole, clock.now())
    if json:
        emit("ledger-check", ledger=books.where, sound=not faults, figures=readable, faults=faults)
    else:
        out = console()
        for one in faults[:_MOST_FAULTS]:
            paragraph(out, clean(f"{books.where}: {one}"), style="bold red")
        if len(faults) > _MOST_FAULTS:
            say(out, f"and {len(faults) - _MOST_FAULTS} more; --json tells them all")
        if not faults:
            say(out, f"{clean(books.where)} is sound: accounts, open calls and journal tell one story.")
    raise typer.Exit(LIMIT_REACHED if faults else FINE)


@app.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The ledger to read.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The ledger to fill: a new or an empty one.")],
    *,
    anyway: Annotated[
        bool,
        typer.Option("--anyway", help="Although calls are open: they go on in the old one, and count as open here."),
    ] = False,
    json: Json = False,
) -> None:
    """Copy a ledger into an empty one of any kind.

    Accounts, journal, open calls, notes and controls, as they stood at one moment, in one transaction, and
    checked figure by figure: all of it is copied, or nothing.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console(), disable=json or not sys.stdout.isatty(), transient=True)
    with keeper(source) as old, keeper(target) as new, bar as progress:
        task = progress.add_task("copying", total=None)
        done = copy_books(
            old,
            new,
            lambda table, rows, of: progress.update(task, description=table, completed=rows, total=of),
            now=clock.now(),
            anyway=anyway,
        )
    if json:
        emit("ledger-copy", source=old.where, target=new.where, rows=done.rows, cost_usd=str(to_usd(done.cost)))
        return
    rows = done.rows
    out = console()
    paragraph(
        out,
        f"Copied, and found again figure by figure: {rows['journal']:,} lines of {show_usd(done.cost)} in all, "
        f"{rows['accounts']:,} accounts, {rows['holds']:,} open calls, {rows['notes']:,} notes, "
        f"{rows['controls']:,} controls.",
    )
    say(out, "Now name it to every fuse (AGENTFUSE_DB_PATH, db_path) before any starts again.")


def _meant(where: str | None, db: str | None) -> str:
    if where is not None and db is not None:
        raise ConfigurationError("the ledger is named twice, as LEDGER and by --db; name it once")
    return ledger_url(db if where is None else where)


def _words(made: Made) -> str:
    if made.before == made.now:
        return f"is there already, of version {made.now}; nothing was changed"
    if not made.before:
        return f"made, of version {made.now}"
    return f"brought from version {made.before} to {made.now}"
