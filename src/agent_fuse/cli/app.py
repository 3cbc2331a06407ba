"""The table of commands."""

import os
from collections.abc import Callable
from importlib.metadata import version as installed
from typing import Annotated, Any, cast

import typer

from agent_fuse.cli import (
    calls,
    control,
    dashboard,
    demo,
    doctor,
    export,
    ledger,
    prices,
    prune,
    report,
    run,
    sessions,
    status,
    top,
)

Abort = typer.Abort
"""Someone said no to a question."""

UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])
"""Bad words on the command line: click's own class, or that of the click inside typer, by its version."""

app = typer.Typer(
    name="agent-fuse",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS: tuple[Callable[..., Any], ...] = (
    run.run,
    status.status,
    sessions.sessions,
    calls.calls,
    top.top,
    dashboard.dashboard,
    control.limits,
    control.stop,
    control.resume,
    control.top_up,
    control.approve,
    control.deny,
    report.report,
    export.export,
    prices.prices,
    prune.prune,
    doctor.doctor,
    demo.demo,
)
"""In the order of the help."""

for command in COMMANDS:
    # What follows the name of a program belongs to that program.
    app.command(context_settings={"allow_interspersed_args": command is not doctor.doctor})(command)

GROUPS = {"ledger": ledger.app}
"""Commands of several, after the others in the help."""

for name, group in GROUPS.items():
    app.add_typer(group, name=name)


_PLAIN = ("AGENTFUSE_BUDGET", "AGENTFUSE_DB_PATH")
"""Options that need no look at the table of all."""


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"agent-fuse {installed('agent-fuse')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """See what agents spend, what was refused and why, and whether they are guarded.

    Exit codes: 0 fine, 1 a limit is reached, 2 usage, 3 the ledger cannot be read. Commands: docs/cli.md.
    """
    del version
    if any(name.startswith("AGENTFUSE_") and name not in _PLAIN for name in os.environ):
        from agent_fuse.settings import check_environment  # noqa: PLC0415  slow to load, and seldom needed

        check_environment()
