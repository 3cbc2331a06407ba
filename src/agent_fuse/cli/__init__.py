"""The command line, `agent-fuse`: one file a command, and what the exit codes are."""

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from agent_fuse.errors import ConfigurationError
from agent_fuse.foreign_text import escaped
from agent_fuse.ledgers.base import LedgerError

FINE, LIMIT_REACHED, USAGE, UNREADABLE = 0, 1, 2, 3
"""Exit codes: all is well; a limit is reached (or the set-up is not guarded); bad usage; the ledger cannot be read."""

_EXTRA = frozenset({"typer", "rich", "click"})


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `agent-fuse` with these arguments, those of the process by default. Exits with one of the codes above."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["run"]:
        _run(words[1:])
    try:
        from agent_fuse.cli.app import Abort, UsageError, app  # noqa: PLC0415 - without the extra there is no app
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _EXTRA:
            raise
        _fail(f"{missing.name} is missing; install the command line with: pip install 'agent-fuse[cli]'", USAGE)
    try:
        code = app(args=words, prog_name="agent-fuse", standalone_mode=False)
    except UsageError as bad:
        _misused(bad)
    except Abort:
        _fail("nothing was done", LIMIT_REACHED)
    except ConfigurationError as bad:
        _fail(str(bad), USAGE)
    except LedgerError as failed:
        _fail(str(failed), UNREADABLE)
    sys.exit(code if isinstance(code, int) else FINE)


def _misused(bad: Any) -> NoReturn:
    """Tell what typer says is wrong about the words in a line, as every other error, and where the right ones are."""
    if type(bad).__name__ == "NoArgsIsHelpError":
        bad.show()
        sys.exit(USAGE)
    said = str(bad.format_message()).replace(". Did you mean", ", did you mean").rstrip(".?")
    message = escaped(_naming(bad.__cause__ or bad.__context__, said))
    where = "agent-fuse" if bad.ctx is None else bad.ctx.command_path
    _fail(f"{message[:1].lower()}{message[1:]}; see {where} -h", USAGE)


def _naming(cause: Any, said: str) -> str:
    """The same with the value that is wrong, which a typer that checks by pydantic keeps to itself."""
    wrong = cause.errors() if hasattr(cause, "errors") else ()
    for one in wrong:
        said = said.replace("Invalid value for ", f"Invalid value {one['input']!r} for ")
    return said.replace(": Value error, ", ": ").replace(": Input should be", ": it must be")


def _run(words: list[str]) -> NoReturn:
    """The one command that needs no extra, and takes all words as they are."""
    from agent_fuse.cli import run  # noqa: PLC0415 - the others start without it

    try:
        code = run.main(words)
    except ConfigurationError as bad:
        _fail(str(bad), USAGE)
    sys.exit(code)


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"agent-fuse: {message}\n")
    sys.exit(code)
