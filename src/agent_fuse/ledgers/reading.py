"""Reading the books from outside, whatever kind of ledger they are in."""

import os

from agent_fuse.ledgers import kinds
from agent_fuse.ledgers.readers import Reader
from agent_fuse.ledgers.selecting import ANY, EVERY_STATUS, TOOL, Fact, Refused, Saved, Selection, Sums, literal

__all__ = [
    "ANY",
    "EVERY_STATUS",
    "TOOL",
    "Fact",
    "Reader",
    "Refused",
    "Saved",
    "Selection",
    "Sums",
    "literal",
    "open_reader",
]


def open_reader(url: str | os.PathLike[str]) -> Reader:
    """Open the ledger at a path or URL for reading; it must exist.

    Raises:
        ConfigurationError: the URL names no ledger that another process can read. LedgerError: it cannot be opened.
    """
    text = os.fspath(url)
    return kinds.of(text).read(text)
