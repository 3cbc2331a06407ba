"""What the ledger cannot take now: no thread each, nothing lost while the process lives, and within bounds."""

import os
import subprocess
import sys
import threading
import time
from contextlib import closing

import apsw
import pytest

from agent_fuse import Limit, SentinelSystemError, call, check_loop, loop_guard
from agent_fuse.accounting import backlog as backlogs
from agent_fuse.calls import Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import LedgerError, Unwritable
from agent_fuse.sightings import Outcome
from agent_fuse.testing import assert_books_balance
from boxes import PRICE

OPEN_TO_THE_END = """
import builtins, sys
import agent_fuse
agent_fuse.init(budget=1, db_path=sys.argv[1], lock_timeout=0.2, max_retries=0)
builtins.kept = agent_fuse.call("gpt-4o", 10, 10).__enter__()  # goes when Python itself does
print("ready", flush=True)
sys.stdin.readline()
"""


def test_a_process_ends_with_a_call_open_and_a_ledger_that_is_locked(tmp_path):
    """No thread begins while Python ends, and none is waited for; the call's hold is left, and presumed spent later."""
    path = str(tmp_path / "ledger.db")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen([sys.executable, "-c", OPEN_TO_THE_END, path], **pipes) as worker,
        closing(apsw.Connection(path)) as other,
    ):
        assert worker.stdout.readline() == "ready\n"
        other.execute("BEGIN EXCLUSIVE")
        worker.stdin.close()
        try:
            assert worker.wait(60) == 0
        finally:
            worker.kill()
    with closing(open_ledger(path)) as ledger:
        assert [one.entry.model for one in ledger.holds()] == ["gpt-4o"]


class Broken:
    """Breaks the writes of a ledger, as a disk that is gone does, and mends them."""

    def __init__(self, ledger, kind=LedgerError):
        self._database = ledger._database
        self._kind = kind
        self._write = self._database.write
        self.tried = 0

    def __enter__(self):
        self._database.write = self._fail
        return self

    def __exit__(self, *_):
        self._database.write = self._write

    def _fail(self, operation, work):
        self.tried += 1
        raise self._kind(operation, "the file", "disk gone (simulated)")


@pytest.fixture
def rig(box, tmp_path):
    one = box(limits=[Limit(usd=1), Limit(tool_calls=1000)], db_path=str(tmp_path / "ledger.db"), max_retries=0)
    check_loop("warm", {})
    return one


@pytest.fixture
def waiting(rig):
    return rig.fuse.accounting.retry.backlog


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def writers():
    """Answers the backlogs' threads that were not there before the test."""

    def now():
        return {one for one in threading.enumerate() if one.name == "agent_fuse backlog"}

    before = now()
    return lambda: now() - before


def test_refused_calls_leave_nothing_behind(writers, rig, waiting):
    """With the ledger away, refused model and tool calls start no thread, and nothing of them waits."""
    tool = loop_guard("tool")(lambda question: question)
    with Broken(rig.fuse.ledger):
        for number in range(30):
            with pytest.raises(SentinelSystemError), call("gpt-4o", 10, 10):
                pass
            with pytest.raises(SentinelSystemError):
                tool(number)
        assert not waiting
        assert not writers()
    tool("again")
    assert rig.books.open_holds() == []


def test_calls_in_flight_are_booked_when_it_is_back(writers, rig, waiting, monkeypatch):
    """What was under way when the ledger went is booked, given back and counted by one thread, which then ends."""
    monkeypatch.setattr(backlogs, "TRY_AGAIN_SECONDS", 0.05)
    calls = [call("gpt-4o", 1000, 500).open() for _ in range(6)]
    actions = [rig.fuse.actions.open(one.seen.call.payload.request.caller, "tool", awaited=True) for one in calls[:3]]
    with Broken(rig.fuse.ledger) as broken:
        for one in calls[:4]:
            one.usage(2000, 1000)
            one.close()
        for one in calls[4:]:
            one.release()
        for one in actions:
            rig.fuse.actions.close(one, "done")
        assert len(writers()) == 1
        tried = broken.tried
        until(lambda: broken.tried > tried)
        assert waiting
    until(lambda: not waiting and not writers())
    assert rig.spent() == 4 * 2 * PRICE
    assert rig.books.open_holds() == []
    assert len(rig.books.entries(Status.SETTLED)) == 4 + 3 + 1
    assert_books_balance(rig.fuse.ledger)


def test_a_failing_ledger_is_not_asked_by_each_call(rig, waiting):
    """Once it failed, what only has to be booked does not make the host wait for its failure again and again."""
    calls = [call("gpt-4o", 1000, 500).open() for _ in range(20)]
    with Broken(rig.fuse.ledger) as broken:
        for one in calls:
            one.close()
        assert broken.tried < 10
        assert waiting
    waiting.flush()
    assert rig.spent() == 20 * PRICE
    assert not waiting


def test_a_call_that_succeeds_ends_the_wait(rig, waiting):
    """The first answer after a failure is word that the ledger is back: what follows is booked at once again."""
    one, two = call("gpt-4o", 1000, 500).open(), call("gpt-4o", 1000, 500).open()
    with Broken(rig.fuse.ledger):
        one.close()
    check_loop("another", {})
    two.close()
    assert rig.spent() in (PRICE, 2 * PRICE)
    waiting.flush()
    assert rig.spent() == 2 * PRICE


def test_very_many_are_summed(rig, waiting, monkeypatch):
    """Beyond what is remembered one by one, amounts are summed: memory is bounded, and no amount and no hold is lost."""
    monkeypatch.setattr(backlogs, "_REMEMBERED", 40)
    waiting._renew()
    calls = [call("gpt-4o", 1000, 500).open() for _ in range(130)]
    with Broken(rig.fuse.ledger):
        for one in calls:
            one.close()
        assert len(waiting._owed.twin.lines()) <= 40
    waiting.flush()
    assert rig.spent() == 130 * PRICE
    assert rig.books.balance("all").settled.calls == 130
    assert rig.books.open_holds() == []
    assert {rig.books.held(name) for name in rig.books.accounts()} == {0}


def test_what_can_never_be_written_is_said_once(rig, waiting, caplog):
    """What no ledger can hold is not tried for ever: it is said, and the next call is booked."""
    one = call("gpt-4o", 1000, 500).open()
    with Broken(rig.fuse.ledger, Unwritable):
        rig.fuse.close_call(one.seen, outcome=Outcome.DONE)
    assert not waiting
    assert [one.getMessage() for one in caplog.records if "it can never be booked" in one.getMessage()]
    with call("gpt-4o", 1000, 500):
        pass
    assert rig.spent() == PRICE


AT_EXIT = """
import logging, sys
from agent_fuse import AgentFuseSpanProcessor, call
from agent_fuse.ledgers.base import LedgerError, Unwritable
logging.basicConfig(format="%(message)s")
processor = AgentFuseSpanProcessor(budget=1, db_path=sys.argv[1], session_id="s", request_gate=False)
database = processor.fuse.ledger._database
write = database.write
def broken(operation, work):
    if "mended" in sys.argv and operation == "update_note":  # what is asked first when the rest is to be written
        database.write = write
        return write(operation, work)
    raise LedgerError(operation, "the file", "disk gone (simulated)")
with call("gpt-4o", 1000, 500):
    database.write = broken
print("bye", flush=True)
"""


@pytest.mark.parametrize("how", ["mended", "lost"])
def test_at_exit(run_python, tmp_path, how):
    """A process that ends writes what waits; what it cannot write it tells, with the amount."""
    file = str(tmp_path / "ledger.db")
    done = run_python(AT_EXIT, file, how)
    assert done.stdout == "bye\n"
    booked = [one.status for one in open_ledger(file).journal()]
    if how == "lost":
        assert booked == []
        assert "the process ends, and $0.0075 cannot be booked" in done.stderr
    else:
        assert booked == [Status.ESTIMATED]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_has_nothing_to_write(rig, waiting):
    """What waits in a process that forks is its own to write: the child neither writes it nor waits for it."""
    one = call("gpt-4o", 1000, 500).open()
    with Broken(rig.fuse.ledger):
        one.close()
        child = os.fork()
        if child == 0:
            os._exit(1 if waiting else 0)
        assert os.waitpid(child, 0)[1] == 0
        assert waiting
    waiting.flush()
    assert rig.spent() == PRICE
