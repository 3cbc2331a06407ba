"""`read_ledger`: the ledger's books for whoever wants to look into them, also in the process that writes them."""

import os

from agent_fuse.ledgers.reading import Reader, open_reader
from agent_fuse.mistakes import spelled
from agent_fuse.otel import active
from agent_fuse.settings import settings


@spelled()
def read_ledger(db_path: str | os.PathLike[str] | None = None) -> Reader:
    """Open a ledger for reading: `with ... as books`, then `books.entries()`, `books.balances(["all"])` and more.

    It takes no lock that a call waits for, and makes and changes nothing. Use it rather than the standard library's
    `sqlite3`, which is another copy of SQLite (docs/decisions/0006).

    Args:
        db_path: the ledger; that of the fuse at work when None, else the one that the environment names.

    Raises:
        ConfigurationError: it names no file. LedgerError: it cannot be opened, or no fuse has written to it.
    """
    if db_path is None:
        guard = next(iter(active.guards()), None)
        db_path = (settings() if guard is None else guard.fuse.settings).db_path
    return open_reader(db_path)
