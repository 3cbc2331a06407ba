"""Turns of a conversation that are judged together: the same verdicts as one by one, few writes, nothing forgotten."""

import os
import random
from collections import Counter

import pytest

from agent_fuse import SentinelLoopError
from agent_fuse.conversation import ToolUse
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.limits import Caller, Session
from agent_fuse.loops import LoopState, SeenCall, observe_turn, result_outcome, signature, state_note

CALLER = Caller(session=Session(id="test"))


def use(tool, arguments, result, number):
    """One call, and the mark that it is known by."""
    return number.to_bytes(8, "big"), ToolUse(str(number), str(number), tool, arguments, result)


def asked(turns, turn, late=lambda *_: None):
    """What is told of a turn: "", a nudge, or the class of a trip with its count."""
    try:
        return turns.judge(CALLER, turn, late)
    except SentinelLoopError as trip:
        return trip.call_count, trip.kind


@pytest.fixture
def turns(box):
    """The turns of a fuse; nothing is written beside unless a test does it."""
    one = box(loop_tool_thresholds={"poll": 2, "slow": 9})
    found = one.fuse.actions.loops.turns
    one.fuse.accounting.retry.backlog.start = lambda **_: None
    return found


def beside(turns):
    """Do what the thread would do."""
    turns._accounting.retry.backlog.flush()


@pytest.mark.parametrize("seed", range(6))
def test_turns_that_wait_are_judged_as_one_by_one(turns, seed):
    """Of random conversations, every verdict is that of the rule asked turn by turn, whoever writes in between."""
    rng, state, policy, key = random.Random(seed), LoopState(), turns._policy, turns._key()
    kinds, number = Counter(), 0
    for _ in range(250):
        turn = []
        for _ in range(rng.choice((1, 1, 1, 3))):
            number += 1
            tool = rng.choice(("poll", "read", "search for", "slow", "edit", "run"))
            result = rng.choice(("same", "same", "other", "ok", "[]", "Error: no such file", f"news {rng.random()}"))
            arguments = {"q": f"word{rng.choice((1, 1, 1, 2, number))} more", "n": rng.choice((1, number))}
            turn.append(use(tool, arguments, result, number))
        told = [
            SeenCall(
                mark,
                signature(one.tool, one.arguments, ignore=policy.ignore_args, key=key),
                result_outcome(one.result, key=key),
            )
            for mark, one in turn
        ]
        state, verdict, _ = observe_turn(state, told, policy)
        trips = verdict.level == "trip"
        assert asked(turns, turn) == ((verdict.count, str(verdict.kind)) if trips else verdict.message)
        kinds[verdict.level] += 1
        if rng.random() < 0.2:
            beside(turns)
    assert kinds["nudge"] > 5
    turns.meet(CALLER)
    assert (
        turns._accounting.ledger.update_note(state_note("test"), lambda note: (note, note), now=0) == state.to_bytes()
    )


def test_work_is_written_seldom(turns):
    """A turn in which nothing comes near a threshold waits for others, of its own tool and of more so."""
    ledger, writes = turns._accounting.ledger, Counter()
    real = ledger.update_note
    ledger.update_note = lambda key, change, *, now: (writes.update([key]), real(key, change, now=now))[1]
    for n in range(30):
        asked(turns, [use("read", {"f": n}, f"text {n}", n)])
    assert writes[state_note("test")] == 10
    for n in range(30, 60):
        asked(turns, [use(("read", "list", "look")[n % 3], {"f": n}, f"text {n}", n)])
    assert writes[state_note("test")] <= 10 + 5


def test_what_another_process_counted_stops_the_next_request(box, tmp_path):
    """Where two processes of a session repeat one call, the one that hears of it too late stops its next request."""
    one, other = (box(db_path=str(tmp_path / "shared.db")) for _ in range(2))
    for it in (one, other):
        it.fuse.accounting.retry.backlog.start = lambda **_: None
    ours, theirs = one.fuse.actions.loops.turns, other.fuse.actions.loops.turns
    late = one.fuse.conversations._late
    assert asked(ours, [use("ls", {}, "same", 1)]) == ""
    for n in range(2, 6):
        asked(theirs, [use("ls", {}, "same", n)])
    assert asked(ours, [use("ls", {}, "same", 6)], late) == ""
    beside(ours)
    trip = one.fuse.tripped.take("test")
    assert isinstance(trip, SentinelLoopError)
    assert trip.call_count == 6


def test_what_waits_is_written_before_a_tool_gate_counts(turns):
    """A guarded tool's call of the same session is judged after what the conversation told before it."""
    gate = turns._read.__self__
    for n in range(5):
        asked(turns, [use("ls", {}, "same", n)])
    check = gate.check(CALLER, "ls", {})
    gate.ask(check)
    with pytest.raises(SentinelLoopError):
        check.nudge()


def test_what_waits_outlives_a_ledger_that_fails(turns):
    """It is tried again, and counted once."""
    ledger = turns._accounting.ledger
    real = ledger.update_note

    def away(key, change, *, now):
        raise LedgerError("update_note", "the file", "disk gone (simulated)")

    asked(turns, [use("ls", {}, "same", 1)])
    asked(turns, [use("ls", {}, "same", 2)])
    ledger.update_note = away
    with pytest.raises(LedgerError):
        beside(turns)
    ledger.update_note = real
    beside(turns)
    beside(turns)
    assert [asked(turns, [use("ls", {}, "same", n)]) for n in (3, 4, 5, 6)][3] == (6, "repeat")


def test_a_retired_guard_writes_what_waits(box, tmp_path):
    """Whoever takes the session up next knows all of it."""
    first = box(db_path=str(tmp_path / "shared.db"))
    first.fuse.accounting.retry.backlog.start = lambda **_: None
    for n in range(3):
        asked(first.fuse.actions.loops.turns, [use("ls", {}, "same", n)])
    first.fuse.retire()
    next_one = box(db_path=str(tmp_path / "shared.db")).fuse.actions.loops.turns
    assert [asked(next_one, [use("ls", {}, "same", n)]) for n in (3, 4, 5)][2] == (6, "repeat")


def test_the_thread_writes_what_waits(box):
    """With nobody asking, what waits is in the ledger soon."""
    import time

    turns = box().fuse.actions.loops.turns
    asked(turns, [use("ls", {}, "same", 1)])
    asked(turns, [use("ls", {}, "same", 2)])
    session, until = turns._sessions.get("test"), time.monotonic() + 60
    while session.waiting:
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_leaves_what_waits_to_its_parent(turns):
    """A forked child writes nothing of what its parent has waiting."""
    asked(turns, [use("ls", {}, "same", 1)])
    asked(turns, [use("ls", {}, "same", 2)])
    child = os.fork()
    if not child:
        os._exit(0 if turns._sessions.get("test") is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(turns._sessions.get("test").waiting) == 1
