"""Every ledger that there is, for the contract."""

import logging

import pytest

from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.fallback import FallbackLedger


@pytest.fixture
def file(tmp_path):
    """Where a ledger's file may lie, in a folder that is not there yet."""
    return tmp_path / "books" / "ledger.db"


@pytest.fixture(params=["memory", "sqlite", "arrears"])
def ledger(request, file):
    """Each kind of ledger in turn, empty."""
    match request.param:
        case "memory":
            found = open_ledger("memory://")
        case "sqlite":
            found = open_ledger(file)
        case "arrears":
            found = FallbackLedger(lambda: open_ledger(file))
    yield found
    found.close()


@pytest.fixture
def log(caplog):
    """What AgentFuse logs, from DEBUG up."""
    caplog.set_level(logging.DEBUG, logger="agent_fuse")
    return caplog
