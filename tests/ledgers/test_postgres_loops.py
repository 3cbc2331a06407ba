"""In an event loop a server is waited for a moment by a thread, and not at all by what is booked after a call."""

import asyncio
import threading
import time
from contextlib import contextmanager

import httpx
import openai
import pytest
from blockbuster import BlockBuster

import agent_fuse
from agent_fuse import SentinelSystemError, Usage
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Busy
from agent_fuse.ledgers.waiting import LOOP_SECONDS
from agent_fuse.testing import LoopbackProvider, assert_books_balance
from alone import leave_nobody
from ledgers.samples import NOW, hold, reserve, usd

pytest.importorskip("psycopg")


@pytest.fixture(autouse=True)
def alone():
    """No guard that another test left in this process judges here, and none is left."""
    leave_nobody()
    yield
    leave_nobody()


def until(what):
    """Wait for it; a minute is for ever."""
    give_up = time.monotonic() + 60
    while not what():
        assert time.monotonic() < give_up
        time.sleep(0.01)


@contextmanager
def locked(url, name="user=a"):
    """Somebody is in the middle of a transaction on an account."""
    ledger, begun, go = open_ledger(url), threading.Event(), threading.Event()
    reserve(ledger, "first", 1, accounts=(name,))
    ledger.release("first", now=NOW)

    def hold_it(cursor):
        with cursor.connection.transaction():
            cursor.execute("SELECT 1 FROM agent_fuse.account_rows WHERE name = %s FOR UPDATE", (name,))
            begun.set()
            go.wait(60)

    holder = threading.Thread(target=ledger._server.do, args=("test", hold_it))
    holder.start()
    assert begun.wait(60)
    try:
        yield
    finally:
        go.set()
        holder.join(60)
        ledger.close()


def test_a_call_blocks_no_event_loop(database, caplog):
    """A chat call, judged and booked on a server, under a detector of blocking calls; booked soon after, and no word of it."""

    async def run(provider):
        async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:
            detector = BlockBuster()
            for _ in range(3):
                await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
                detector.activate()
            detector.deactivate()

    fuse = agent_fuse.init(budget=5, db_path=database).fuse
    with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as provider:
        asyncio.run(run(provider))
    until(lambda: len(list(fuse.ledger.journal())) == 3)
    assert not fuse.ledger.holds()
    assert_books_balance(fuse.ledger)
    assert not [one.message for one in caplog.records if one.name == "agent_fuse"]


def test_a_server_that_does_not_answer(database):
    """The loop goes on after a moment, and what is held when nobody waits any more is given back."""
    ledger = open_ledger(database)

    async def ask():
        started = time.monotonic()
        with pytest.raises(Busy, match=f"did not answer an event loop in {LOOP_SECONDS:g} s"):
            ledger.reserve(hold("c", 10, accounts=("user=a",)), now=NOW)
        return time.monotonic() - started

    with locked(database):
        assert LOOP_SECONDS <= asyncio.run(ask()) < 2.0
    until(lambda: usd(ledger, "user=a") == (0, 0) and not ledger.holds())
    assert reserve(ledger, "c", 10, accounts=("user=a",))
    assert usd(ledger, "user=a") == (0, 10)


def test_a_hold_that_was_there_stays(database):
    """Asked for more, with no answer in time: the call keeps what it held, or has what it asked for, and is not let go."""
    ledger = open_ledger(database)
    assert reserve(ledger, "c", 10, accounts=("user=a",))

    async def ask():
        with pytest.raises(Busy):
            ledger.reserve(hold("c", 20, accounts=("user=a",)), now=NOW)

    with locked(database):
        asyncio.run(ask())
    until(lambda: usd(ledger, "user=a") == (0, 20))


def test_bookings_wait_for_nobody(database):
    """A call that ends while its account is locked keeps the loop for less than a moment, and is booked afterwards."""
    fuse = agent_fuse.init(budget=5, db_path=database, session_id="a").fuse

    async def call():
        with agent_fuse.call("gpt-4o", 1000, 500) as made:
            await asyncio.to_thread(lock.__enter__)
            made.usage(1000, 500)
            started = time.monotonic()
        return time.monotonic() - started

    lock = locked(database, "session=a")
    try:
        assert asyncio.run(call()) < LOOP_SECONDS
        assert fuse.ledger.holds()
    finally:
        lock.__exit__(None, None, None)
    until(lambda: len(list(fuse.ledger.journal())) == 1)
    assert not fuse.ledger.holds()


def test_a_call_is_blocked_where_the_server_does_not_answer(database):
    """The fail-safe rule, within a moment."""
    agent_fuse.init(budget=5, db_path=database, session_id="a")

    async def call():
        with agent_fuse.call("gpt-4o", 1000, 500):
            raise AssertionError("it went")

    with locked(database, "session=a"), pytest.raises(SentinelSystemError, match="did not answer an event loop"):
        asyncio.run(call())


async def by_sdk(provider):
    async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:
        await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])


async def by_wire(provider):
    async with httpx.AsyncClient() as client:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
        await client.post(f"{provider.openai_base_url}/chat/completions", json=body)


async def by_hand(_):
    async with agent_fuse.call("gpt-4o", 1000, 500) as made:
        made.usage(1000, 500)


@pytest.mark.parametrize("road", [by_sdk, by_wire, by_hand])
def test_a_call_that_is_awaited_waits_for_the_server(database, road):
    """Longer than the loop stands still for it: other tasks go on, one question is under way, and it is booked once."""
    fuse = agent_fuse.init(budget=5, db_path=database, session_id="a", lock_timeout=60).fuse
    lock, asked = locked(database, "session=a"), []
    real = fuse.ledger.reserve
    fuse.ledger.reserve = lambda *given, **more: asked.append(1) or real(*given, **more)

    async def run(provider):
        calling = asyncio.create_task(road(provider))
        for _ in range(5):  # each of them a turn of the loop, in a time in which it was refused before
            await asyncio.sleep(2 * LOOP_SECONDS)
            assert not calling.done()
        assert len(asked) == 1
        await asyncio.to_thread(lock.__exit__, None, None, None)
        await calling

    lock.__enter__()
    with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as provider:
        asyncio.run(run(provider))
    until(lambda: len(list(fuse.ledger.journal())) == 1 and not fuse.ledger.holds())
    assert_books_balance(fuse.ledger)


@pytest.mark.parametrize("road", [by_sdk, by_wire, by_hand])
def test_no_call_waits_for_the_server_for_ever(database, road):
    """`lock_timeout` in all, and the fail-safe rule; what was held late is given back."""
    fuse = agent_fuse.init(budget=5, db_path=database, session_id="a", lock_timeout=0.8, max_retries=0).fuse
    with LoopbackProvider() as provider, locked(database, "session=a"):
        with pytest.raises(SentinelSystemError):
            asyncio.run(road(provider))
        assert not provider.served
    until(lambda: not fuse.ledger.holds())
    assert not list(fuse.ledger.journal())
