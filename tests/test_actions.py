"""Tool actions in the ledger: counts shared by processes and kept over restarts, limits, results, privacy."""

import sqlite3
import time
from contextlib import closing
from decimal import Decimal

import pytest
from opentelemetry.sdk.trace import TracerProvider

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded, SentinelError, SentinelLoopError, check_loop, loop_guard
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Meter
from agent_fuse.otel import span_gates
from agent_fuse.testing import assert_books_balance

WORKER = """
import sys
from agent_fuse import AgentFuseSpanProcessor, SentinelError, check_loop
path, session, times = sys.argv[1:4]
processor = AgentFuseSpanProcessor(budget=1, db_path=path, session_id=session, request_gate=False)
done = 0
print("ready", flush=True)
sys.stdin.readline()
try:
    for _ in range(int(times)):
        check_loop("search", {"query": "x"})
        done += 1
except SentinelError as trip:
    print(type(trip).__name__, trip.call_count)
print(done)
"""


def test_two_processes_of_one_session_share_the_count(tmp_path, begun):
    """Two processes that make the same call at the same moment pass it five times in all, not five times each."""
    workers = [begun(WORKER, str(tmp_path / "ledger.db"), "one", "10") for _ in range(2)]
    for one in workers:
        assert one.stdout.readline() == "ready\n"
    for one in workers:
        one.tell("go")
    told = [one.stdout.read().split("\n") for one in workers]
    assert [lines[0].split()[0] for lines in told] == ["SentinelLoopError"] * 2
    assert sorted(int(lines[0].split()[1]) for lines in told) == [6, 7]
    assert sum(int(lines[1]) for lines in told) == 5


def test_the_count_survives_a_restart(tmp_path, begun):
    """A process that goes on with the session of a dead one goes on with its count; another session begins anew."""
    out = []
    for session in ("one", "one", "two"):
        worker = begun(WORKER, str(tmp_path / "ledger.db"), session, "4")
        worker.tell("go")
        out.append(worker.stdout.read().split("\n")[1:])
        assert worker.wait() == 0
    assert out[0][0] == "4"
    assert out[1][:2] == ["SentinelLoopError 6", "1"]
    assert out[2][0] == "4"


def test_a_limit_on_tool_calls(box):
    """`Limit(tool_calls=3)` admits three actions, whatever they are, and refuses the fourth with its figures."""
    rig = box(limits=Limit(tool_calls=3))
    for number in range(3):
        check_loop(f"tool{number}", {})
    with pytest.raises(SentinelBudgetExceeded) as refused:
        check_loop("tool9", {})
    trip = refused.value
    assert (trip.meter, trip.spent, trip.requested, trip.budget_limit) == ("tool_calls", 3, 1, 3)
    assert str(trip) == (
        "tool 'tool9' refused before it was sent: it asks for 1 tool call, with 3 tool calls used of the limit of "
        "3 tool calls per session 'test'; let the agent answer with what it has, raise the limit on tool calls or "
        "start a new session"
    )
    assert rig.books.spent("session=test", Meter.TOOL_CALLS) == 3
    assert rig.books.refused("session=test") == 1
    assert_books_balance(rig.fuse.ledger)


def test_tool_calls_per_agent_key(box):
    """A tool limit holds per whatever key it names."""
    box(limits=Limit(tool_calls=2, per="user.id"))
    for user in ("ann", "bob"):
        with agent_fuse.session(user, user_id=user):
            check_loop("a", 1)
            check_loop("b", 1)
            with pytest.raises(SentinelBudgetExceeded, match=f"per user.id '{user}'"):
                check_loop("c", 1)


def test_results_count_through_the_ledger(box, tmp_path):
    """Progress seen by one fuse is known to the next one on the same ledger: its result is news there too."""
    path = str(tmp_path / "shared.db")
    results = iter(range(100))

    @loop_guard()
    def poll(job: str) -> str:
        return f"{next(results)} %"

    @loop_guard()
    def stuck(job: str) -> str:
        return "still the same"

    for _ in range(4):
        box(budget=1, db_path=path, loop_threshold=3)
        poll("j")
        poll("j")
    for _ in range(3):
        box(budget=1, db_path=path, loop_threshold=3)
        stuck("j")
    box(budget=1, db_path=path, loop_threshold=3)
    with pytest.raises(SentinelLoopError) as tripped:
        stuck("j")
    assert tripped.value.call_count == 4


def test_sessions_count_apart(box):
    """The session of the context, or the one that is named, is where a check counts."""
    rig = box(budget=1, loop_threshold=1)
    check_loop("search", "x")
    check_loop("search", "x", session_id="other")
    with agent_fuse.session("third"):
        check_loop("search", "x")
    with pytest.raises(SentinelLoopError) as tripped:
        check_loop("search", "x", session_id="other")
    assert tripped.value.session == "other"
    assert rig.books.spent("session=other", Meter.TOOL_CALLS) == 1


def test_thresholds_ignored_arguments_and_allowed_tools(box):
    """Per-tool thresholds, arguments that do not matter, and tools that never trip."""
    box(budget=1, loop_threshold=2, loop_tool_thresholds={"poll": 4}, loop_ignore_args=["now"], loop_allow=["free"])
    for number in range(2):
        check_loop("search", {"q": "x", "now": number})
    with pytest.raises(SentinelLoopError):
        check_loop("search", {"q": "x", "now": 9})
    for _ in range(4):
        check_loop("poll", {})
    with pytest.raises(SentinelLoopError):
        check_loop("poll", {})
    for _ in range(30):
        check_loop("free", {})


def test_detection_can_be_off(box):
    """`loop_detection_enabled=False` counts actions and stops none."""
    rig = box(budget=1, loop_detection_enabled=False)
    for _ in range(20):
        check_loop("search", {"q": "x"})
    assert rig.books.spent("session=test", Meter.TOOL_CALLS) == 20


def test_a_loop_is_in_the_journal(box):
    """A refused action is written down with its tool and why."""
    rig = box(budget=1, loop_threshold=1)
    check_loop("search", "x")
    with pytest.raises(SentinelLoopError):
        check_loop("search", "x")
    last = rig.books.entries("refused")[-1]
    assert (last.tool, last.operation, last.reason, last.session) == ("search", "execute_tool", "loop", "test")


def test_no_argument_is_stored(box, tmp_path):
    """The file holds keyed hashes of arguments, not the arguments, and the readable form is in the exception only."""
    path = tmp_path / "ledger.db"
    rig = box(budget=1, db_path=str(path), loop_threshold=1)
    check_loop("search", {"query": "SECRET-WORD"})
    with pytest.raises(SentinelLoopError, match="search") as tripped:
        check_loop("search", {"query": "SECRET-WORD"})
    assert "SECRET-WORD" in tripped.value.signature
    assert "SECRET-WORD" not in str(tripped.value)
    rig.fuse.ledger.close()
    with closing(sqlite3.connect(path)) as db:
        dump = "\n".join(db.iterdump())
    raw = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert "SECRET-WORD" not in dump
    assert b"SECRET-WORD" not in raw


@pytest.mark.parametrize("url", ["memory://", "ledger.db"])
def test_the_key_of_the_hashes_survives_pruning(tmp_path, url):
    """Pruning old notes drops a session's old counts but not the key that makes hashes of all processes agree."""
    ledger = open_ledger(url if "://" in url else tmp_path / url)
    for key in ("loops/key", "loops/old session"):
        ledger.update_note(key, lambda _: (b"kept", None), now=1000.0)
    ledger.prune(before=time.time())
    kept = [ledger.update_note(key, lambda note: (note, note), now=1.0) for key in ("loops/key", "loops/old session")]
    assert kept == [b"kept", None]
    ledger.close()


def test_a_blown_fuse_stops_the_next_tool(box):
    """A loop that was seen too late (its arguments came with the result) stops the session's next action."""
    rig = box(budget=1, loop_threshold=1)
    caller = rig.processor.caller(None, None)
    for _ in range(2):
        action = rig.fuse.actions.open(caller, "search")
        rig.fuse.actions.told(action, {"q": "x"}, ran=True)
        rig.fuse.actions.close(action, "result")
    with pytest.raises(SentinelLoopError):
        check_loop("anything", {})
    check_loop("anything", {})


def test_checks_and_money_share_a_session(box):
    """One session holds both: a spent budget does not stop tools, a tool limit does not stop models."""
    rig = box(budget=Decimal(0), limits=Limit(tool_calls=1))
    check_loop("a", {})
    with pytest.raises(SentinelError):
        check_loop("b", {})
    with pytest.raises(SentinelBudgetExceeded):
        agent_fuse.pre_flight("gpt-4o", 1, 1)
    assert rig.books.refused("session=test") == 2


def told_and_refused(rig, monkeypatch):
    """Its arguments come after its start, and show a loop."""
    caller = rig.processor.caller(None, None)
    for _ in range(2):
        action = rig.fuse.actions.open(caller, "search", awaited=True)
        assert rig.books.held("session=test", Meter.TOOL_CALLS) == 1
        rig.fuse.actions.told(action, {"q": "x"})
        rig.fuse.actions.close(action, "result")


def interrupted_at_its_start(rig, monkeypatch):
    """Its span has begun to hold, and nobody will have that span."""

    def interrupt(*_):
        assert rig.books.held("session=test", Meter.TOOL_CALLS) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(span_gates, "watch", interrupt)
    provider = TracerProvider()
    provider.add_span_processor(rig.processor)
    check_loop("before", {})
    provider.get_tracer("opentelemetry.instrumentation.langchain").start_span(
        "search.tool", attributes={"traceloop.span.kind": "tool", "traceloop.entity.name": "search"}
    )


def interrupted_as_it_is_told(rig, monkeypatch):
    """The loop rule was about to be asked."""
    check_loop("before", {})
    action = rig.fuse.actions.open(rig.processor.caller(None, None), "search", awaited=True)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(rig.fuse.actions.loops, "check", interrupt)
    rig.fuse.actions.told(action, {"q": "x"})


@pytest.mark.parametrize(
    ("story", "stops"),
    [
        (told_and_refused, SentinelLoopError),
        (interrupted_at_its_start, KeyboardInterrupt),
        (interrupted_as_it_is_told, KeyboardInterrupt),
    ],
)
def test_an_awaited_tool_that_does_not_run_holds_nothing(box, monkeypatch, story, stops):
    """What was held until its arguments are told is given back, whatever stopped it in between; one ran before it."""
    rig = box(limits=[Limit(tool_calls=10)], loop_threshold=1)
    with pytest.raises(stops):
        story(rig, monkeypatch)
    assert rig.books.open_holds() == []
    assert rig.books.spent("session=test", Meter.TOOL_CALLS) == 1
    assert_books_balance(rig.fuse.ledger)
