"""Every ledger that there is, for the contract."""

import logging

import pytest

from agent_fuse.ledgers import kinds, open_ledger
from agent_fuse.ledgers.fallback import FallbackLedger
from postgres_server import NoServer, shared


@pytest.fixture
def file(tmp_path):
    """Where a ledger's file may lie, in a folder that is not there yet."""
    return tmp_path / "books" / "ledger.db"


EMPTY = {
    "memory": lambda _: "memory://",
    "sqlite": lambda request: f"sqlite:///{request.getfixturevalue('file')}",
    "postgresql": lambda request: request.getfixturevalue("database"),
    "postgres": None,  # another spelling
}
"""Where a test finds an empty ledger of a kind, by scheme. A kind that is registered and not here fails the contract."""


KINDS = [one for one in kinds.schemes() if one and EMPTY.get(one, one)]


@pytest.fixture(params=KINDS)
def url(request):
    """Where an empty ledger is, of each kind in turn."""
    return EMPTY[request.param](request)


@pytest.fixture(params=[*KINDS, "arrears"])
def ledger(request):
    """Each kind of ledger in turn, empty."""
    if request.param == "arrears":
        file = request.getfixturevalue("file")
        found = FallbackLedger(lambda: open_ledger(file))
    else:
        found = open_ledger(EMPTY[request.param](request))
    yield found
    found.close()


@pytest.fixture
def log(caplog):
    """What AgentFuse logs, from DEBUG up."""
    caplog.set_level(logging.DEBUG, logger="agent_fuse")
    return caplog


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server, started once for all tests."""
    try:
        return shared()
    except NoServer as why:
        pytest.skip(str(why))


@pytest.fixture
def database(postgres):
    """An empty database of it."""
    return postgres.database()
