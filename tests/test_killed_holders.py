"""Processes that are killed in the middle of a call: what they held refuses nobody in those that run on."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded
from agent_fuse.accounting.call_request import CallRequest, Stage
from agent_fuse.calls import Status
from agent_fuse.limits import Caller, Session
from agent_fuse.sightings import Layer
from agent_fuse.testing import FakeClock
from ledgers.samples import NOW
from ledgers.workers import SPAWN, hold_and_wait, kill, running


async def awaited():
    async with agent_fuse.call("gpt-4o", 10, 10):
        pass


def plain():
    with agent_fuse.call("gpt-4o", 10, 10):
        pass


@pytest.mark.parametrize("work", [plain, lambda: asyncio.run(awaited())], ids=["in a thread", "in an event loop"])
def test_its_place_is_free_again(box, tmp_path, work):
    """One call at a time: it waits for the one that another process has open, and no longer once that was killed."""
    path, ready = str(tmp_path / "l.db"), SPAWN.Event()
    limit = Limit(concurrent=1, per="all", on_limit="wait", max_wait=300)
    one = box(clock=FakeClock(NOW), limits=[limit], db_path=path)
    told = []
    one.fuse.listen(lambda event: told.append(event.entry.status))
    with running(hold_and_wait, path, ["c"], ready) as process, ThreadPoolExecutor(1) as pool:
        assert ready.wait(120)
        waits = pool.submit(work)
        with pytest.raises(TimeoutError):
            waits.result(timeout=1.5)
        kill(process)
        waits.result(timeout=120)
    assert [entry.status for entry in one.entries()].count(Status.PRESUMED) == 1
    assert told.count(Status.PRESUMED) == 1


def test_a_look_finds_it_too(box, tmp_path):
    """A call whose model is yet to be told is not refused for what a killed process holds."""
    path, ready = str(tmp_path / "l.db"), SPAWN.Event()
    one = box(clock=FakeClock(NOW), limits=[Limit(concurrent=1, per="all")], db_path=path, busy_wait=0)
    caller = Caller(session=Session(id="s"))
    asked = CallRequest(layer=Layer.CLIENT, source="openai", caller=caller, stage=Stage.UNNAMED)
    with running(hold_and_wait, path, ["c"], ready) as process:
        assert ready.wait(120)
        with pytest.raises(SentinelBudgetExceeded):
            one.fuse.open_call(asked)
        kill(process)
    one.fuse.admission.patience.sweeping._next = 0.0
    one.fuse.open_call(asked)
    assert [entry.status for entry in one.entries()].count(Status.PRESUMED) == 1


def test_what_lives_is_left_alone(box, tmp_path):
    path, ready = str(tmp_path / "l.db"), SPAWN.Event()
    one = box(clock=FakeClock(NOW), limits=[Limit(concurrent=1, per="all")], db_path=path, busy_wait=0)
    with running(hold_and_wait, path, ["c"], ready):
        assert ready.wait(120)
        with pytest.raises(SentinelBudgetExceeded, match="1 call is open of the limit of 1 open call in all"):
            plain()
    assert not [entry for entry in one.entries() if entry.status is Status.PRESUMED]
