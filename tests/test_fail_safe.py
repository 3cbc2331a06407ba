"""When the ledger fails, at every entry by hand: fail_safe=True blocks, fail_safe=False lets go and books later."""

import asyncio
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import agent_fuse
from agent_fuse import SentinelLoopError, SentinelSystemError, call, check_loop, guard, loop_guard, monitor
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Meter
from agent_fuse.manual.pre_post_flight import post_flight, pre_flight
from agent_fuse.testing import FakeClock, LedgerReader, assert_books_balance
from boxes import PRICE

ANSWER = {"usage": {"prompt_tokens": 1000, "completion_tokens": 500}}


class Wreck:
    """Takes a ledger's files away, and brings them back."""

    def __init__(self, path: Path, ledger: Any) -> None:
        self.path, self.ledger = path, ledger

    def break_it(self) -> None:
        self.ledger.close()
        self.kept = [(one, one.read_bytes()) for one in self.path.parent.iterdir() if one.is_file()]
        for one, _ in self.kept:
            one.unlink()
        self.path.mkdir()

    def mend(self) -> None:
        self.path.rmdir()
        for one, content in self.kept:
            one.write_bytes(content)


@pytest.fixture
def fallen(box, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """A box whose ledger was well, and then went; it is back when the test is over."""
    wrecks: list[Wreck] = []

    def make(**options: Any) -> tuple[Any, Wreck]:
        folder = tmp_path / "ledger"
        folder.mkdir()
        rig = box(budget=1, db_path=str(folder / "ledger.db"), max_retries=1, lock_timeout=0.2, **options)
        check_loop("warm", {})
        wreck = Wreck(folder / "ledger.db", rig.fuse.ledger)
        wrecks.append(wreck)
        wreck.break_it()
        return rig, wreck

    yield make
    for one in wrecks:
        if one.path.is_dir():
            one.mend()


def by_pair() -> None:
    pre_flight("gpt-4o", 1000, 500)
    post_flight("gpt-4o", 1000, 500)


def by_block() -> None:
    with call("gpt-4o", 1000, 500) as one:
        one.response(ANSWER)


def by_async_block() -> None:
    async def run() -> None:
        async with call("gpt-4o", 1000, 500) as one:
            one.response(ANSWER)

    asyncio.run(run())


def by_guard() -> None:
    guard(model="gpt-4o")(lambda: ANSWER)()


def by_generator() -> None:
    @guard(model="gpt-4o")
    def stream():
        yield ANSWER

    list(stream())


def by_check() -> None:
    check_loop("tool", {"x": 1})


def by_tool() -> None:
    loop_guard("tool")(lambda: 1)()


CALLS = [by_pair, by_block, by_async_block, by_guard, by_generator]
TOOLS = [by_check, by_tool]


@pytest.mark.parametrize("entry", [*CALLS, *TOOLS], ids=lambda one: one.__name__)
def test_safe_blocks(fallen, entry):
    """With fail_safe=True the trip names what was being done, the error and the tries; nothing gets through."""
    fallen(fail_safe=True)
    with pytest.raises(SentinelSystemError) as failed:
        entry()
    trip = failed.value
    assert (trip.reason, trip.retry_count) == ("system", 1)
    assert str(trip).startswith("call blocked since it could not be booked: ledger ")
    assert str(trip).endswith("mend the ledger or set fail_safe=False")
    assert trip.original_error is not None


def test_safe_blocks_before_the_body_runs(fallen):
    """The guarded function and the block do not run: nothing is sent that cannot be booked."""
    fallen(fail_safe=True)
    ran: list[int] = []
    for guarded in (guard(lambda: ran.append(1)), loop_guard(lambda: ran.append(1))):
        with pytest.raises(SentinelSystemError):
            guarded()
    assert ran == []


def test_a_post_flight_is_not_lost(fallen):
    """What was paid is not refused when the ledger goes in between: it is booked as soon as the ledger is back."""
    rig, wreck = fallen(fail_safe=True)
    wreck.mend()
    pre_flight("gpt-4o", 1000, 500)
    wreck.break_it()
    post_flight("gpt-4o", 2000, 1000)
    wreck.mend()
    deadline = time.monotonic() + 60
    while rig.spent() != 2 * PRICE:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert rig.books.open_holds() == []


def test_monitor_says_so(fallen):
    """The spend that cannot be read is an error, not a zero."""
    fallen(fail_safe=True)
    with pytest.raises(SentinelSystemError, match="spend cannot be read"):
        monitor()


def test_available_lets_every_entry_go_and_books_later(fallen, caplog):
    """With fail_safe=False all entries pass, count in memory, say so once, and their spend is booked afterwards."""
    clock = FakeClock(time.time())
    rig, wreck = fallen(fail_safe=False, clock=clock)
    for entry in (*CALLS, *TOOLS):
        entry()
    assert monitor().session_spend_usd == Decimal("0.0375")
    assert caplog.text.count("calls go unchecked") == 1
    wreck.mend()
    clock.advance(3600)
    by_pair()
    real = open_ledger(wreck.path)
    assert LedgerReader(real).spent("session=test") == 6 * PRICE
    assert LedgerReader(real).spent("session=test", Meter.TOOL_CALLS) == 3
    assert_books_balance(real)
    real.close()
    assert rig.books.open_holds() == []


def test_available_still_sees_loops(fallen):
    """While the ledger is away, loops are counted in memory and still stopped: that needs no money."""
    fallen(fail_safe=False)
    for _ in range(5):
        check_loop("tool", {"x": 1})
    with pytest.raises(SentinelLoopError):
        check_loop("tool", {"x": 1})


def test_a_trip_is_no_exception(fallen):
    """`except Exception` in a retry loop does not swallow the block; boundary() turns it into an exception."""
    fallen(fail_safe=True)
    tries = 0

    def careless() -> None:
        nonlocal tries
        for _ in range(3):
            try:
                tries += 1
                by_pair()
            except Exception:
                continue

    with pytest.raises(SentinelSystemError):
        careless()
    assert tries == 1
    with pytest.raises(Exception, match="could not be booked"), agent_fuse.boundary():
        by_pair()
