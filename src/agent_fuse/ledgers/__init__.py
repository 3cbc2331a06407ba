"""Ledgers: where the books are kept, named by a path or a URL."""

import os
import re
import threading
from pathlib import Path

from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers.base import Ledger
from agent_fuse.ledgers.memory import MemoryLedger
from agent_fuse.ledgers.sqlite import SqliteLedger

__all__ = ["open_ledger"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LONGEST_WAIT = 3600.0
_named: dict[str, MemoryLedger] = {}
_naming = threading.Lock()


def open_ledger(url: str | os.PathLike[str], *, synchronous: str = "normal", lock_timeout: float = 5.0) -> Ledger:
    """Open the ledger that a path or URL names.

    Args:
        url: a path, `~` expanded; `sqlite:///relative/path`, `sqlite:////absolute/path`; `memory://` for books of one's
            own in memory, `memory://name` for books that all who use the name in this process share.
        synchronous: `"normal"` or `"full"` (survives loss of power); for SQLite.
        lock_timeout: seconds to wait for other writers before a LedgerError; for SQLite.

    Raises:
        ConfigurationError: the URL names no ledger that there is.
        LedgerError: the ledger cannot be opened.
    """
    text = os.fspath(url)
    if synchronous not in {"normal", "full"}:
        raise ConfigurationError(f"synchronous is {synchronous!r}; it must be 'normal' or 'full'")
    if not 0 < lock_timeout <= _LONGEST_WAIT:
        raise ConfigurationError(f"lock_timeout is {lock_timeout!r}; it must be more than 0 and at most 3600 seconds")
    scheme = _SCHEME.match(text)
    match scheme[1].lower() if scheme else "":
        case "":
            path = text
        case "memory":
            return _in_memory(text[len("memory://") :])
        case "sqlite":
            path = text[len("sqlite://") :]
            if not path.startswith("/") or "?" in path:
                raise ConfigurationError(f"ledger is {text!r}; write sqlite:///path, three slashes and no options")
            path = path[1:]
        case "postgresql" | "postgres":
            raise ConfigurationError(
                "a PostgreSQL ledger is not available in this version; use a path or sqlite:///path, one per machine"
            )
        case other:
            raise ConfigurationError(f"ledger is {text!r}; {other}:// is none of a path, sqlite:///path, memory://")
    if not path.strip() or path == ":memory:" or "\0" in path:
        raise ConfigurationError(f"ledger is {text!r}; it must be a path, sqlite:///path, or memory://")
    try:
        file = Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise ConfigurationError(f"ledger is {text!r}; {error}") from None
    return SqliteLedger(
        file,
        synchronous="full" if synchronous == "full" else "normal",
        lock_timeout=lock_timeout,
    )


def _in_memory(name: str) -> MemoryLedger:
    if not name:
        return MemoryLedger()
    with _naming:
        return _named.setdefault(name, MemoryLedger())
