"""The cap is a cap: with room for exactly K calls, the provider receives exactly K, however many race."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import openai
import pytest

from agent_fuse import AgentFuseSpanProcessor, SentinelBudgetExceeded
from agent_fuse.calls import Usage, to_nanos
from agent_fuse.ledgers import open_ledger
from agent_fuse.testing import LedgerReader, LoopbackProvider, Reply, assert_books_balance
from elsewhere import Elsewhere

PATIENT = 120.0
"""Seconds in which a busy machine gives each thread its turn: what races here is the cap, not the clock."""

EXACT = Usage(input_tokens=1000, output_tokens=500)
"""At gpt-4o's price: 0.0075 USD."""


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider(usage=EXACT) as one:
        yield one


def guarded(folder: Path, budget: str) -> AgentFuseSpanProcessor:
    """Input is free and max_tokens is what the model writes, so that quote and cost agree to the nano-dollar."""
    from agent_fuse import Price

    return AgentFuseSpanProcessor(
        budget=budget,
        db_path=str(folder / "ledger.db"),
        session_id="race",
        prices={"gpt-4o": Price(input=0, output=15)},
        lock_timeout=PATIENT,
    )


def ask(client: openai.OpenAI) -> bool:
    try:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=500)
    except SentinelBudgetExceeded:
        return False
    return True


def test_thirty_cents_admit_forty_calls(provider: LoopbackProvider, tmp_path: Path) -> None:
    """$0.30 admits exactly 40 calls of $0.0075, not 39, not 41."""
    processor = guarded(tmp_path, "0.30")
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="x") as client:
        granted = [ask(client) for _ in range(45)]
    assert sum(granted) == provider.count == 40
    assert granted == [True] * 40 + [False] * 5
    assert LedgerReader(processor.fuse.ledger).spent_usd("session=race") == Decimal("0.3")
    processor.shutdown()


def test_sixty_four_threads(provider: LoopbackProvider, tmp_path: Path) -> None:
    """64 threads race for 10 calls."""
    processor = guarded(tmp_path, "0.075")
    ready = threading.Barrier(64)
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="x") as client, ThreadPoolExecutor(64) as pool:

        def race(_: int) -> int:
            ready.wait()
            return sum(ask(client) for _ in range(2))

        granted = sum(pool.map(race, range(64)))
    assert granted == provider.count == 10
    assert_books_balance(processor.fuse.ledger)
    processor.shutdown()


def test_two_hundred_tasks(provider: LoopbackProvider, tmp_path: Path) -> None:
    """200 asyncio tasks race for 25 calls, all of them in flight at once."""
    processor = guarded(tmp_path, "0.1875")
    provider.default = Reply(delay_s=0.05, usage=EXACT)

    async def run() -> int:
        async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x") as client:

            async def race() -> bool:
                try:
                    await client.chat.completions.create(
                        model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=500
                    )
                except SentinelBudgetExceeded:
                    return False
                return True

            return sum(await asyncio.gather(*(race() for _ in range(200))))

    assert asyncio.run(run()) == provider.count == 25
    processor.shutdown()


RACER = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
import openai
from agent_fuse import AgentFuseSpanProcessor, Price, SentinelBudgetExceeded
url, path = sys.argv[1:]
AgentFuseSpanProcessor(
    budget="0.375", db_path=path, session_id="race", prices={"gpt-4o": Price(input=0, output=15)}, lock_timeout=120)
client = openai.OpenAI(base_url=url, api_key="x")
print("ready", flush=True)
sys.stdin.readline()
def race(_):
    granted = 0
    for _ in range(3):
        try:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=500)
            granted += 1
        except SentinelBudgetExceeded:
            pass
    return granted
with ThreadPoolExecutor(16) as pool:
    print(sum(pool.map(race, range(16))), flush=True)
"""


def test_four_processes_of_sixteen_threads(
    provider: LoopbackProvider, tmp_path: Path, begun: Callable[..., Elsewhere]
) -> None:
    """Four processes with 16 threads each race for 50 calls on one file."""
    path = tmp_path / "ledger.db"
    racers = [begun(RACER, provider.openai_base_url, str(path)) for _ in range(4)]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.tell("go")
    assert sum(int(racer.stdout.read()) for racer in racers) == provider.count == 50
    ledger = open_ledger(path)
    assert LedgerReader(ledger).spent("session=race") == to_nanos("0.375")
    assert_books_balance(ledger)
    ledger.close()


def test_settled_and_held_never_pass_the_limit(provider: LoopbackProvider, tmp_path: Path) -> None:
    """At every moment of a race, settled + held <= limit."""
    processor = guarded(tmp_path, "0.15")
    provider.default = Reply(delay_s=0.005, usage=EXACT)
    watcher, most, over = open_ledger(tmp_path / "ledger.db", lock_timeout=PATIENT), [0], threading.Event()

    def watch() -> None:
        done = False
        while not done:
            done = over.is_set()  # one look more after the race: a busy machine may have given this thread none
            balance = watcher.balances(["session=race"])["session=race"]
            most[0] = max(most[0], balance.settled.usd + balance.held.usd)

    watching = threading.Thread(target=watch)
    watching.start()
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="x") as client, ThreadPoolExecutor(16) as pool:
        granted = sum(pool.map(lambda _: ask(client), range(64)))
    over.set()
    watching.join()
    watcher.close()
    assert granted == provider.count == 20
    assert 0 < most[0] <= to_nanos("0.15")
    processor.shutdown()


DIES = """
import os, signal, sys
import openai
from agent_fuse import AgentFuseSpanProcessor, Price
url, path = sys.argv[1:]
AgentFuseSpanProcessor(
    budget=1, db_path=path, session_id="race", prices={"gpt-4o": Price(input=0, output=15)}, lock_timeout=120)
print("ready", flush=True)
openai.OpenAI(base_url=url, api_key="x", max_retries=0).chat.completions.create(
    model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=500)
"""


def test_a_killed_process_leaves_presumed_spend_once(
    provider: LoopbackProvider, tmp_path: Path, begun: Callable[..., Elsewhere]
) -> None:
    """SIGKILL while the model works: the next start books the dead owner's hold at its quote, once."""
    provider.default = Reply.never()
    path = tmp_path / "ledger.db"
    for deaths in (1, 2):
        dying = begun(DIES, provider.openai_base_url, str(path))
        assert provider.wait_for(deaths, PATIENT)
        dying.kill()
        for _ in range(2):
            processor = guarded(tmp_path, "1")
            books = LedgerReader(processor.fuse.ledger)
            assert books.spent("session=race") == deaths * to_nanos("0.0075")
            assert books.open_holds() == []
            assert [str(entry.status) for entry in books.entries()] == ["presumed"] * deaths
            processor.shutdown()
            processor.fuse.ledger.close()
