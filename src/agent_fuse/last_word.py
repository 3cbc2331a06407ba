"""The last word: a warning that no log handler of the host's takes goes to standard error, and says whose it is.

Whoever takes them: our records stay on their line, whatever the texts in them hold.
"""

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


class OnOneLine(logging.Filter):
    """Makes what is put into a record's message safe for a line, before any handler sees it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let it pass. A traceback is left as it is: it has many lines by nature."""
        if isinstance(record.args, tuple):
            shown: list[object] = []
            for one in record.args:
                try:
                    shown.append(_plain(one))
                except Exception:  # noqa: BLE001  an error of someone else's that cannot say what it is
                    shown.append(f"<{type(one).__name__}>")
            record.args = tuple(shown)
        return True


def install() -> None:
    """Let AgentFuse's logger have both, once."""
    logger = logging.getLogger(NAME)
    if not any(isinstance(one, OnOneLine) for one in logger.filters):
        logger.addFilter(OnOneLine())
    if not any(isinstance(one, LastWord) for one in logger.handlers):
        logger.addHandler(LastWord(logging.WARNING))


def _plain(one: object) -> object:
    """A text, an error or a path as a line can bear it; a figure as it is."""
    if not isinstance(one, (str, BaseException)) and not hasattr(one, "__fspath__"):
        return one
    from agent_fuse.foreign_text import inline  # noqa: PLC0415  the package alone loads nothing else

    return inline(str(one))


def _is_taken(name: str) -> bool:
    """Whether a handler of the host's is told of what this logger says."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        if any(not isinstance(one, LastWord) for one in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False
