"""A PostgreSQL server that is out of reach in the middle of a step: what it may have done is not counted for ever."""

import time

import pytest

import agent_fuse
from agent_fuse import SentinelSystemError, pre_flight
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Meter
from alone import leave_nobody
from ledgers.samples import amounts, hold, line
from soak.storm import Proxy

pytestmark = pytest.mark.postgres
NOW = 1_800_000_000.0


def call():
    pre_flight("gpt-4o", 100, 50).release()


def charge():
    with agent_fuse.charge("gpu", usd="0.01"):
        pass


@pytest.mark.parametrize("make", [call, charge])
def test_a_hold_whose_answer_was_lost_is_given_back(postgres, make):
    """The server held it, the call was blocked: it costs nothing, and takes no room once the server is there again."""
    direct = postgres.database()
    proxy = Proxy(f"{postgres.folder}/.s.PGSQL.5432")
    name = direct.partition("@/")[2].partition("?")[0]
    leave_nobody()
    agent_fuse.init(
        budget=1, session_id="s", max_retries=0, db_path=f"postgresql://agent@127.0.0.1:{proxy.port}/{name}"
    )
    books = open_ledger(direct)
    try:
        make()
        before = books.balances(["session=s"])["session=s"].used(Meter.USD, 0.0)
        proxy.deaf = True
        with pytest.raises(SentinelSystemError):
            make()
        assert len(books.holds()) == 1, "the server never held it: nothing is tested here"
        proxy.deaf = False
        ends = time.monotonic() + 20
        while books.holds() and time.monotonic() < ends:
            time.sleep(0.05)
        assert books.holds() == []
        assert books.balances(["session=s"])["session=s"].used(Meter.USD, 0.0) == before
    finally:
        leave_nobody()
        books.close()
        proxy.close()


def test_a_full_ledgers_bookings_survive_the_server(own_server):
    """With `synchronous="full"`, what was booked in the very moment before a crash is booked after it."""
    url = own_server.database()
    ledger = open_ledger(url, synchronous="full")
    for number in range(20):
        assert ledger.reserve(hold(f"c{number}"), now=NOW)
        ledger.settle(line(f"c{number}", response_id=f"r{number}"), ["all"], amounts(), now=NOW)
    own_server.stop()
    own_server.start()
    found = open_ledger(url)
    assert len([one for one in found.journal() if one.response_id]) == 20
    assert found.holds() == []
    found.close()
    ledger.close()
