"""The command line, `agent-fuse`: one file a command, and what the exit codes are."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers.base import LedgerError

FINE, LIMIT_REACHED, USAGE, UNREADABLE = 0, 1, 2, 3
"""Exit codes: all is well; a limit is reached (or the set-up is not guarded); bad usage; the ledger cannot be read."""

_EXTRA = frozenset({"typer", "rich", "click"})


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `agent-fuse` with these arguments, those of the process by default. Exits with one of the codes above."""
    try:
        from agent_fuse.cli.app import app  # noqa: PLC0415 - without the extra there is no app
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _EXTRA:
            raise
        _fail(f"{missing.name} is missing; install the command line with: pip install 'agent-fuse[cli]'", USAGE)
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="agent-fuse")
    except ConfigurationError as bad:
        _fail(str(bad), USAGE)
    except LedgerError as failed:
        _fail(str(failed), UNREADABLE)
    sys.exit(FINE)


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"agent-fuse: {message}\n")
    sys.exit(code)
