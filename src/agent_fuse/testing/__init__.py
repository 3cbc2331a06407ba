"""Testing agents: a loopback model provider for the real SDKs, a clock that stands still, a reader for ledgers."""

from agent_fuse.testing.clock import Clock, FakeClock
from agent_fuse.testing.exchange import COUNTED, Api, Counted, Reply, Request, Served, ToolCall
from agent_fuse.testing.ledger import LedgerReader, assert_books_balance
from agent_fuse.testing.provider import LoopbackProvider, Script, Watch

__all__ = [
    "COUNTED",
    "Api",
    "Clock",
    "Counted",
    "FakeClock",
    "LedgerReader",
    "LoopbackProvider",
    "Reply",
    "Request",
    "Script",
    "Served",
    "ToolCall",
    "Watch",
    "assert_books_balance",
]
