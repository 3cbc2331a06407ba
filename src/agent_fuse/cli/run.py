"""`agent-fuse run`: runs a Python program guarded, with the processes it starts, and says what it spent."""

import argparse
import difflib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from agent_fuse.calls import show_usd
from agent_fuse.errors import ConfigurationError
from agent_fuse.options import OPTIONS, Option
from agent_fuse.parsers import truth
from agent_fuse.running.handed import Run
from agent_fuse.running.programs import program
from agent_fuse.running.tally import RunTotals, read
from agent_fuse.running.watching import watch_over
from agent_fuse.settings import settings

_SHORT = {"db_path": "--db", "session_id": "--session"}
"""Options that other commands know by another name."""

_DOCS = {"session_id": "Session of the calls that name none; by default one of the whole run."}
"""What is otherwise in a run."""

_LINK = re.compile(r"\[[^\]]*\]\(([^)]+)\)")
"""A link between pages of the documentation, which a terminal does not follow."""

_WHAT = """\
Run a Python program guarded, and every Python process that it starts. Nothing
in it needs to change, and OpenTelemetry need not be set up. What it may spend
is said at the start, what it spent at the end.
"""
_HOW = """\
examples:
  agent-fuse run --budget 5 agent.py --its-own flags
  agent-fuse run --budget 5 -m my_agent
  agent-fuse run --budget 20 -- uvicorn app:app --workers 4

Options come before the program; each is a variable too (docs/settings.md).
Calls that name no session belong to one session of the whole run. Exits as the
program does, with 128+N where signal N ended it; with 2, before it starts,
where it can't be guarded.
"""


def run() -> None:
    """Run a Python program guarded, and the processes it starts.

    `main` handles it before the table of commands is made: it needs no extra, and what follows is the program's own.
    """


def main(arguments: Sequence[str]) -> int:
    """Run what `arguments` say. Returns the exit status.

    Raises:
        ConfigurationError: a bad option, no such program, or one that can't be guarded.
    """
    own, given = _apart(arguments)
    chosen = vars(_parser().parse_args(own))
    if not given:
        raise ConfigurationError("say what to run, such as: agent-fuse run --budget 5 agent.py")
    anyway, quiet = chosen.pop("anyway"), chosen.pop("quiet")
    environ = _environ({name: value for name, value in chosen.items() if value is not None})
    if not anyway:
        settings(environ)
    found = program(given)
    if found.blind and not anyway:
        raise ConfigurationError(f"{found.blind}, or start it all the same with --anyway")
    outer = Run.read(os.environ)
    folder = Path(tempfile.mkdtemp(prefix="agent-fuse-run-", dir=outer.folder if outer is not None else None))
    this = Run(folder=folder, anyway=anyway, quiet=quiet)
    try:
        code = watch_over(found.words, this.environ(environ))
    except OSError as failed:
        raise ConfigurationError(f"{found.words[0]} cannot be started: {failed.strerror}") from failed
    finally:
        spent = read(folder)
        last = "" if this.refused and not this.guarded else _last_words(this, spent)
        if outer is None:
            shutil.rmtree(folder, ignore_errors=True)
    if last and not quiet:
        sys.stderr.write(f"agent-fuse: {last}\n")
    return code


def _environ(chosen: Mapping[str, str | bool]) -> dict[str, str]:
    """The environment of the run: options as variables, one session for all its processes, one ledger wherever."""
    environ = dict(os.environ)
    for option in _options():
        value = chosen.get(option.name)
        if value is not None:
            option.parse(_flags(option)[0], value)
            environ[option.variable] = str(value).lower() if isinstance(value, bool) else value
    if not environ.get("AGENTFUSE_SESSION_ID", "").strip():
        environ["AGENTFUSE_SESSION_ID"] = _session()
    where = environ.get("AGENTFUSE_DB_PATH", "").strip()
    if where and "://" not in where:
        environ["AGENTFUSE_DB_PATH"] = os.path.abspath(os.path.expanduser(where))  # noqa: PTH100, PTH111
    return environ


def _session() -> str:
    from agent_fuse.otel.context import process_name  # noqa: PLC0415

    return f"run-{process_name()}"


def _last_words(run: Run, spent: RunTotals) -> str:
    if not run.guarded:
        return "NOTHING was guarded: no Python that has agent-fuse was started"
    tools = f" and {_count(spent.tool_calls, 'tool call')}" if spent.tool_calls else ""
    beside = "; some of its processes were NOT guarded" if run.unguarded else ""
    return f"spent {show_usd(spent.cost)} in {_count(spent.calls, 'call')}{tools}; {spent.refused:,} refused{beside}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as everywhere else."""
        raise ConfigurationError(message)


def _options() -> list[Option]:
    return [option for option in OPTIONS if option.env]


def _apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our own options, and what is to be run: that begins at `--`, `-m`, `-c`, or the first word that is no option."""
    takes_value = {name: option.parse is not truth for option in _options() for name in _flags(option)}
    takes_none = {"--anyway", "--quiet", "-h", "--help", *(f"--no-{name[2:]}" for name in takes_value)}
    at = 0
    while at < len(arguments):
        name, equals, _ = arguments[at].partition("=")
        if name == "--":
            return list(arguments[:at]), list(arguments[at + 1 :])
        if name in {"-", "-m", "-c"} or not name.startswith("-"):
            break
        if name not in takes_value and name not in takes_none:
            nearest = difflib.get_close_matches(name, [*takes_value, *takes_none], n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else "; see agent-fuse run --help"
            raise ConfigurationError(f"{name} is no option of agent-fuse run{hint}")
        at += 2 if takes_value.get(name) and not equals else 1
    return list(arguments[:at]), list(arguments[at:])


def _flags(option: Option) -> list[str]:
    own = f"--{option.name.replace('_', '-')}"
    return [_SHORT[option.name], own] if option.name in _SHORT else [own]


def _parser() -> _Parser:
    parser = _Parser(
        prog="agent-fuse run",
        usage="agent-fuse run [OPTIONS] SCRIPT|-m MODULE|-- COMMAND [ARGUMENTS]",
        description=_WHAT,
        epilog=_HOW,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=80),
        allow_abbrev=False,
    )
    parser.add_argument("--anyway", action="store_true", help="start it also where it can't be guarded")
    parser.add_argument("--quiet", action="store_true", help="say nothing but what is wrong")
    group = parser.add_argument_group("what holds")
    for option in _options():
        doc = _DOCS.get(option.name, option.doc)
        doc = _LINK.sub(r"docs/\1", doc)
        text = f"{doc.replace('`', '').replace('%', '%%')} [{option.variable}]"
        if option.parse is truth:
            group.add_argument(*_flags(option), dest=option.name, action=argparse.BooleanOptionalAction, help=text)
        else:
            word = {"db_path": "PATH", "session_id": "ID"}.get(option.name, "VALUE")
            group.add_argument(*_flags(option), dest=option.name, metavar=word, help=text)
    return parser
