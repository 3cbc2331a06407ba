"""The last word: a warning that no log handler of the host's takes goes to standard error, and says whose it is."""

import logging
import sys

NAME = "agent_fuse"
"""The logger of all that AgentFuse says."""


class LastWord(logging.Handler):
    """Stands in for Python's own handler of last resort, which prints a message without the logger's name.

    Where the host has set logging up, in whatever way, it prints nothing; nor where the host has taken
    `logging.lastResort` away.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record, if nobody else does."""
        try:
            if logging.lastResort is None or _is_taken(record.name) or sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison]
                return
            sys.stderr.write(f"agent-fuse: {self.format(record)}\n")
        except Exception:  # noqa: BLE001  logging's own way with handlers that fail
            self.handleError(record)


def install() -> None:
    """Let AgentFuse's logger have it, once."""
    logger = logging.getLogger(NAME)
    if not any(isinstance(one, LastWord) for one in logger.handlers):
        logger.addHandler(LastWord(logging.WARNING))


def _is_taken(name: str) -> bool:
    """Whether a handler of the host's is told of what this logger says."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        if any(not isinstance(one, LastWord) for one in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False
