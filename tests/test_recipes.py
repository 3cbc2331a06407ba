"""What people want of limits, each as they would set it up, with the real SDK: what the provider received decides."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openai
import pytest

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded, control
from agent_fuse.accounting import waits
from agent_fuse.calls import Usage
from agent_fuse.testing import FakeClock, LoopbackProvider, Reply
from alone import leave_nobody

COST = Decimal("0.0075")
"""US dollars of one call."""
USED = Usage(input_tokens=1000, output_tokens=500)
ASKED: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "word " * 1000}], "max_tokens": 500}


@pytest.fixture
def provider():
    with LoopbackProvider(usage=USED) as one:
        yield one


@pytest.fixture
def ask(provider):
    """Makes so many calls; how many the provider received before one was refused."""
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="x") as client:

        def ask(times: int = 1) -> int:
            before = provider.count
            try:
                for _ in range(times):
                    client.chat.completions.create(**ASKED)
            except SentinelBudgetExceeded as trip:
                ask.trip = trip
            return provider.count - before

        yield ask


@pytest.fixture
def guard(tmp_path):
    """`agent_fuse.init` on a ledger of this test's own, whose path it answers."""

    def guard(**options: Any) -> str:
        path = str(tmp_path / "ledger.db")
        agent_fuse.init(**{"db_path": path, "warn_at": "none", **options})
        return path

    yield guard
    leave_nobody()


@pytest.fixture(autouse=True)
def _alone() -> None:
    leave_nobody()


def command(*arguments: str) -> None:
    """`agent-fuse …`, in another process."""
    subprocess.run(
        [Path(sys.executable).with_name("agent-fuse"), *arguments], check=True, timeout=60, stdout=subprocess.DEVNULL
    )


def test_so_much_a_run(guard, ask):
    """Each run pays its own; the fourth call of $0.0075 does not fit into $0.025."""
    guard(budget="0.025")
    for run in ("run-1", "run-2"):
        with agent_fuse.session(run):
            assert ask(9) == 3
        assert agent_fuse.monitor(run).session_spend_usd == 3 * COST


def test_so_much_a_user_and_month_in_berlin(box, ask):
    """Ann's month is used up whatever her sessions are, and Bob's is not; it begins anew at midnight in Berlin."""
    berlin = ZoneInfo("Europe/Berlin")
    clock = FakeClock(datetime(2026, 10, 31, 23, 30, tzinfo=berlin).timestamp())
    box(clock=clock, limits=[Limit(usd="0.025", per="user.id", window="month", timezone="Europe/Berlin")])
    for run in range(3):
        with agent_fuse.session(f"ann-{run}", user_id="ann"):
            assert ask(2) == (2, 1, 0)[run]
    assert ask.trip.resets_at == datetime(2026, 11, 1, tzinfo=berlin)
    with agent_fuse.session("bob-1", user_id="bob"):
        assert ask() == 1
    clock.advance(1800)
    with agent_fuse.session("ann-4", user_id="ann"):
        assert ask() == 1


def test_so_many_calls_a_minute_that_wait(box, ask, monkeypatch):
    """The sixty-first waits until the minute has room, and none is refused."""
    clock = FakeClock(1_800_000_000.0)
    box(clock=clock, limits=[Limit(calls=60, per="all", window="1m", on_limit="wait")])
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)

    assert ask(60) == 60
    monkeypatch.setattr(waits.time, "sleep", sleep)
    assert ask() == 1
    assert 59 < sum(slept) <= 62


def test_so_many_at_a_time(guard):
    """Of twelve threads no more than three are ever at the provider, and all are served."""
    guard(limits=[Limit(concurrent=3, per="all", on_limit="wait")])
    takes = 0.2
    with (
        LoopbackProvider(Reply(delay_s=takes), usage=USED) as provider,
        openai.OpenAI(base_url=provider.openai_base_url, api_key="x") as client,
        ThreadPoolExecutor(12) as pool,
    ):
        list(pool.map(lambda _: client.chat.completions.create(**ASKED), range(12)))
        arrived = sorted(one.received_at for one in provider.requests)
    assert len(arrived) == 12
    assert all(later - first >= takes for first, later in zip(arrived, arrived[3:], strict=False))


def test_a_sub_agent_with_a_fifth(guard, ask):
    """Its trip comes at a fifth of what was left, and is its own: the lead goes on."""
    guard(budget="0.10")
    with agent_fuse.session("lead"):
        with agent_fuse.session("researcher", budget="20%"):
            assert ask(9) == 2
            assert ask.trip.session == "researcher"
        assert ask(3) == 3
    assert agent_fuse.monitor("lead").by("child")["researcher"].usd == 2 * COST


def test_two_more_dollars_from_another_terminal(guard, ask, provider):
    """The paused call leaves once someone approves it, and the next is paused anew."""
    path = guard(limits=[Limit(usd="0.010", on_tight="pause", pause_for=60)], session_id="run-1")
    assert ask() == 1
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask)
        while not control.paused(db_path=path):
            assert not waiting.done()
        assert provider.count == 1
        command("approve", "run-1", "0.010", "--why", "asked by Ann", "--db", path)
        assert waiting.result(60) == 1


def test_stop_everything(guard, ask):
    """From another terminal: nothing leaves any more, until it is resumed."""
    path = guard(budget=1)
    assert ask() == 1
    command("stop", "all", "--yes", "--why", "runaway", "--db", path)
    assert ask() == 0
    assert ask.trip.reason == "stopped"
    command("resume", "all", "--yes", "--db", path)
    assert ask() == 1


def test_warn_a_team(guard, ask):
    """Once at each share, by name of the limit and its user, before anything is refused."""
    told: list[agent_fuse.Alert] = []
    guard(limits=[Limit(usd="0.075", per="team")], warn_at=(0.5, 0.8), on_warning=told.append)
    with agent_fuse.session("nightly", attributes={"team": "search"}):
        assert ask(9) == 9
    assert [(one.share, one.limit) for one in told] == [(share, "$0.075 per team 'search'") for share in (0.5, 0.8)]


def test_a_slice_for_the_last_answer(guard, ask):
    """The work ends before the slice, and the last answer has it."""
    guard(limits=[Limit(usd="0.030", reserve="0.010")])
    with agent_fuse.session("report"):
        assert ask(9) == 2
        with agent_fuse.final():
            assert ask() == 1
