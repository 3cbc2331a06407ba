"""Every ledger that there is, for the contract."""

import logging

import pytest

from agent_fuse.ledgers import kinds, open_ledger
from agent_fuse.ledgers.fallback import FallbackLedger


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


@pytest.fixture(params=[*KINDS, "postgresql together", "postgresql leased", "arrears"])
def ledger(request):
    """Each kind of ledger in turn, empty."""
    if request.param == "arrears":
        file = request.getfixturevalue("file")
        found = FallbackLedger(lambda: open_ledger(file))
    elif request.param == "postgresql leased":
        found = open_ledger(request.getfixturevalue("database"), lease=True)
    elif request.param == "postgresql together":
        found = always_together(open_ledger(request.getfixturevalue("database")))
    else:
        found = open_ledger(EMPTY[request.param](request))
    yield found
    found.close()


def always_together(ledger):
    """A PostgreSQL ledger that takes every call the way of several at once, where that is open to it."""
    from agent_fuse.ledgers.postgres.combining import Combined

    class Always(Combined):
        def ask(self, request):
            found = self._several([request])
            return self._alone(request) if found is None else found[0]

    ledger._reserving = Always(ledger._reserve_alone, ledger._reserve_together)
    ledger._settling = Always(ledger._settle_alone, ledger._settle_together)
    return ledger


@pytest.fixture
def log(caplog):
    """What AgentFuse logs, from DEBUG up."""
    caplog.set_level(logging.DEBUG, logger="agent_fuse")
    return caplog


@pytest.fixture
def database(postgres):
    """An empty database of it."""
    return postgres.database()
