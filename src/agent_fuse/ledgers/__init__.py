"""Ledgers: where the books are kept, named by a path or a URL."""

import os

from agent_fuse.ledgers import kinds
from agent_fuse.ledgers.base import Ledger
from agent_fuse.mistakes import ConfigurationError

__all__ = ["open_ledger"]

_LONGEST_WAIT = 3600.0


def open_ledger(
    url: str | os.PathLike[str], *, synchronous: str = "normal", lock_timeout: float = 5.0, lease: bool = False
) -> Ledger:
    """Open the ledger that a path or URL names.

    Args:
        url: a path, `~` expanded; `sqlite:///relative/path`, `sqlite:////absolute/path`; `memory://` for books of one's
            own in memory, `memory://name` for books that all who use the name in this process share; or a URL of
            another scheme that is registered (`kinds`).
        synchronous: `"normal"` or `"full"` (survives loss of power; in PostgreSQL bookings too wait for the disk).
        lock_timeout: seconds to wait for other writers before a LedgerError.
        lease: take slices of limits and spend them in this process; for ledgers on a server (docs/fleets.md).

    Raises:
        ConfigurationError: the URL names no ledger that there is.
        LedgerError: the ledger cannot be opened.
    """
    if synchronous not in ("normal", "full"):
        raise ConfigurationError(f"synchronous is {synchronous!r}; it must be 'normal' or 'full'")
    if not 0 < lock_timeout <= _LONGEST_WAIT:
        raise ConfigurationError(f"lock_timeout is {lock_timeout!r}; it must be more than 0 and at most 3600 seconds")
    text = os.fspath(url)
    kind = kinds.of(text)
    if lease and not getattr(kind, "leases", False):
        raise ConfigurationError(f"lease is True, and ledger is {kinds.shown(text)!r}; only postgresql://… leases")
    return kind.open(text, kinds.Options(synchronous=synchronous, lock_timeout=lock_timeout, lease=lease))
