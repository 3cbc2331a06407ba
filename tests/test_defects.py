"""The defects of the original agent-fuse 0.2.1, by number: each test is one that the original fails.

Those of the OpenAI client and the LangChain handler (1, 6, 7) are in test_defects_clients.py.
"""

import asyncio
import datetime as dt
import inspect
import math
import os
import socket
import threading
import time
from decimal import Decimal
from typing import Any

import apsw
import pytest

import agent_fuse
from agent_fuse import (
    ConfigurationError,
    Price,
    SentinelBudgetExceeded,
    SentinelLoopError,
    SentinelSystemError,
    check_loop,
    guard,
    loop_guard,
    monitor,
    post_flight,
    pre_flight,
)
from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Amounts
from agent_fuse.testing import FakeClock, LedgerReader, assert_books_balance
from boxes import PRICE


def pay(session: str | None = None) -> None:
    """One call of $0.0075."""
    if session is None:
        pre_flight("gpt-4o", 1000, 500)
        post_flight("gpt-4o", 1000, 500)
    else:
        with agent_fuse.session(session):
            pay()


def test_02_the_budget_is_per_session(box, tmp_path):
    """2: spend of an earlier session does not use up a new one's budget, and a session taken up again goes on."""
    path = str(tmp_path / "ledger.db")
    box(budget=Decimal("0.0075"), db_path=path, session_id="monday")
    pay()
    box(budget=Decimal("0.0075"), db_path=path, session_id="tuesday")
    pay()
    assert (monitor().total_spend_usd, monitor().session_spend_usd) == (Decimal("0.015"), Decimal("0.0075"))
    box(budget=Decimal("0.0075"), db_path=path, session_id="monday")
    with pytest.raises(SentinelBudgetExceeded):
        pay()


def test_03_fifty_threads_with_room_for_ten(box):
    """3: of fifty threads that ask at the same moment, ten get through; settled and held never pass the cap."""
    rig = box(budget=Decimal("0.075"))
    barrier, passed, refused = threading.Barrier(50), [], []

    def work() -> None:
        barrier.wait()
        try:
            pre_flight("gpt-4o", 1000, 500)
        except SentinelBudgetExceeded:
            refused.append(1)
        else:
            passed.append(1)
            time.sleep(0.01)
            post_flight("gpt-4o", 1000, 500)

    threads = [threading.Thread(target=work) for _ in range(50)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(passed), len(refused), rig.spent()) == (10, 40, 10 * PRICE)
    assert_books_balance(rig.fuse.ledger)


def test_04_a_second_init_is_heard(run_python):
    """4: a second init() replaces the budget, the session and the ledger."""
    script = """
import agent_fuse
agent_fuse.init(budget=1, db_path="memory://one", session_id="a")
agent_fuse.init(budget=7, db_path="memory://two", session_id="b", loop_threshold=1)
agent_fuse.post_flight("gpt-4o", 1000, 500)
print(agent_fuse.monitor().budget_limit_usd, agent_fuse.monitor().session_spend_usd)
agent_fuse.check_loop("tool", 1)
try:
    agent_fuse.check_loop("tool", 1)
except agent_fuse.SentinelLoopError as trip:
    print(trip.session)
"""
    assert run_python(script).stdout.split() == ["7", "0.0075", "b"]


def test_05_guard_records_and_works_bare(box):
    """5: a guarded function's usage is booked, and bare `@guard` calls the function."""
    rig = box(budget=1)

    @guard
    def ask(question: str) -> dict[str, Any]:
        return {"model": "gpt-4o", "usage": {"prompt_tokens": 1000, "completion_tokens": 500}}

    assert ask("x")["model"] == "gpt-4o"
    assert rig.spent() == PRICE


def test_08_output_and_structured_content_are_quoted(box):
    """8: an expected output is part of the quote, and 400,000 characters in a content list are not 9 tokens."""
    box(budget=1)
    assert pre_flight("gpt-4o", 0, 100_000).quoted_usd == Decimal("1.0")
    box(budget=Decimal("0.10"))
    long = [{"role": "user", "content": [{"type": "text", "text": "lorem ipsum " * 33_334}]}]
    with pytest.raises(SentinelBudgetExceeded) as refused:
        pre_flight("gpt-4o", messages=long)
    assert refused.value.estimated_cost > Decimal("0.15")


@pytest.mark.parametrize(
    ("model", "input_usd", "output_usd"),
    [
        ("gpt-4o", "2.5", "10"),
        ("gpt-4o-mini", "0.15", "0.6"),
        ("o1", "15", "60"),
        ("claude-3-5-haiku-latest", "0.8", "4"),
    ],
)
def test_09_prices_are_right(box, model, input_usd, output_usd):
    """9: list prices per million tokens (OpenAI's and Anthropic's price pages), to the last digit."""
    rig = box(budget=1000)
    post_flight(model, 1_000_000, 0)
    post_flight(model, 0, 1_000_000)
    assert [one.cost for one in rig.entries()] in (
        [int(Decimal(input_usd) * 10**9), int(Decimal(output_usd) * 10**9)],
        [int(Decimal(output_usd) * 10**9), int(Decimal(input_usd) * 10**9)],
    )


def test_09_cached_tokens_cost_less(box):
    """9: cached input is billed at the cached rate, not in full."""
    rig = box(budget=1)
    post_flight("gpt-4o", 100_000, 0, cache_read_tokens=100_000)
    assert rig.entry().cost == 125_000_000


def test_10_no_price_list_is_fetched(box, monkeypatch):
    """10: pricing any model, known or not, opens no connection, and a negative price is refused at the start."""
    opened = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: opened.append(address))
    rig = box(budget=100)
    for model in ("gpt-4o", "claude-opus-4-6", "no-such-model-9"):
        post_flight(model, 1000, 500)
    assert opened == []
    assert min(one.cost for one in rig.entries()) > 0
    with pytest.raises(ConfigurationError):
        box(prices={"mine": Price(-1, 2)})


def broken_ledger(path) -> None:
    """The database goes away: a folder stands where the file was."""
    for file in path.parent.glob("ledger*.db*"):
        file.unlink()
    path.mkdir()


def test_11_spend_survives_a_ledger_that_goes(box, tmp_path):
    """11: with fail_safe=False, what is spent while the database is away is booked when it is back."""
    path = tmp_path / "gone" / "ledger.db"
    path.parent.mkdir()
    clock = FakeClock(time.time())
    rig = box(budget=1, fail_safe=False, db_path=str(path), max_retries=0, clock=clock)
    pay()
    rig.fuse.ledger.close()
    keep = [(file, file.read_bytes()) for file in path.parent.iterdir() if file.is_file()]
    broken_ledger(path)
    for _ in range(3):
        pay()
    assert monitor().session_spend_usd >= Decimal("0.0225")
    path.rmdir()
    for file, content in keep:
        file.write_bytes(content)
    clock.advance(60)
    pay()
    real = open_ledger(path)
    assert LedgerReader(real).spent("session=test") == 5 * PRICE
    assert_books_balance(real)
    real.close()


def test_11_a_held_lock_does_not_block_for_long(box, tmp_path):
    """11: while another program keeps the database locked, a call is refused after lock_timeout in all, not after 15 s."""
    path = tmp_path / "ledger.db"
    box(budget=1, db_path=str(path), lock_timeout=0.5)
    other = apsw.Connection(str(path))
    other.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()
    with pytest.raises(SentinelSystemError) as failed:
        pre_flight("gpt-4o", 1000, 500)
    waited = time.monotonic() - started
    other.execute("ROLLBACK")
    other.close()
    assert (failed.value.operation, failed.value.retry_count) == ("reserve", 3)
    assert waited < 7.5, "half of what the original blocks"
    pre_flight("gpt-4o", 1000, 500)


def test_12_exactly_forty(box):
    """12: no float drift: $0.30 admits 40 calls of $0.0075, and what is left is exactly nothing."""
    box(budget=0.30)
    for _ in range(40):
        pay()
    assert monitor().budget_remaining_usd == 0
    with pytest.raises(SentinelBudgetExceeded):
        pay()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1, -(10**30), 10**30, "many", True])
def test_12_absurd_figures_are_rejected(box, bad):
    """12: NaN, infinite, negative and absurd token figures are named and refused; the total stays what it was."""
    box(budget=1)
    pay()
    with pytest.raises(ConfigurationError, match="post_flight input_tokens is"):
        post_flight("gpt-4o", bad, 1)
    with pytest.raises(ConfigurationError):
        pre_flight("gpt-4o", bad)
    assert monitor().total_spend_usd == Decimal("0.0075")


class Thing:
    def tool(self, x: int) -> int:
        return x


ODD = [
    {"a", "b"},
    b"\x00\xff",
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    object(),
    Thing(),
    Thing().tool,
    lambda: None,
    {"nested": [{1, 2}, Decimal("1.5"), float("nan")]},
    Exception("x"),
]


@pytest.mark.parametrize("arguments", ODD, ids=lambda one: type(one).__name__)
def test_13_arguments_of_any_type(box, arguments):
    """13: sets, bytes, datetimes, objects, methods: each has a stable signature and trips at the sixth call."""
    box(budget=1)
    for _ in range(5):
        check_loop("tool", {"value": arguments})
    with pytest.raises(SentinelLoopError):
        check_loop("tool", {"value": arguments})


def test_13_methods(box):
    """13: a guarded method counts by its arguments, whatever object it is called on."""
    box(budget=1)

    class Agent:
        @loop_guard()
        def tool(self, x: int) -> int:
            return 1

    for _ in range(5):
        Agent().tool(1)
    with pytest.raises(SentinelLoopError, match="tool"):
        Agent().tool(1)


def test_14_coroutine_functions_stay_what_they_are(box):
    """14: `guard` and `loop_guard` keep a coroutine function one, awaited to its result."""
    box(budget=1)

    async def work(x: int) -> int:
        return x

    for decorate in (guard, guard(), loop_guard, loop_guard()):
        assert inspect.iscoroutinefunction(decorate(work))
        assert asyncio.run(decorate(work)(3)) == 3


def test_14_forks_do_not_share_a_connection(box):
    """14: children forked from a process with an open ledger book on their own, and the file stays sound."""
    rig = box(budget=1)
    pay()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            try:
                for _ in range(5):
                    pay()
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(child)
    for _ in range(5):
        pay()
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert rig.spent() == 26 * PRICE
    assert_books_balance(rig.fuse.ledger)


def test_15_history_costs_nothing(box, tmp_path):
    """15: a check asks no more of the database after 5,000 calls than after 10: it walks no history."""

    def steps_after(calls: int) -> int:
        rig = box(budget=1_000, db_path=str(tmp_path / f"{calls}.db"), warn_at=())
        ledger = rig.fuse.ledger
        for number in range(calls):
            entry = Entry(id=f"c{number}", at=float(number), status=Status.SETTLED, session="test", cost=1)
            ledger.settle(entry, ("all", "session=test"), Amounts(usd=1, calls=1), now=float(number))
        pay()
        steps = []
        ledger._database._connection.set_progress_handler(lambda: bool(steps.append(1)), 1)
        pay()
        monitor()
        ledger._database._connection.set_progress_handler(None)
        return len(steps)

    few, many = steps_after(10), steps_after(5_000)
    assert 0 < many <= few + 20
