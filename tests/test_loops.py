"""Loops: stuck runs trip, healthy ones do not, and what is remembered stays small."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_fuse.errors import ConfigurationError
from agent_fuse.loops import (
    Level,
    LoopKind,
    LoopPolicy,
    LoopState,
    error_outcome,
    observe_call,
    observe_result,
    result_outcome,
    signature,
)

TRAJECTORIES = sorted((Path(__file__).parent / "data" / "trajectories").glob("*.jsonl"))
POLICY = LoopPolicy()
KEY = b"k" * 32


class Run:
    """One session; its state goes through bytes after every step, as it does in the ledger."""

    def __init__(self, policy=POLICY):
        self.policy, self.note = policy, None

    def call(self, tool="search", args=None, result=None, error=None):
        """Ask for a call, and report what it brought where it passed."""
        action = signature(tool, args, ignore=self.policy.ignore_args, key=KEY)
        state, verdict = observe_call(LoopState.from_bytes(self.note), action, self.policy)
        if verdict.level is not Level.TRIP:
            outcome = None if result is None else result_outcome(result, key=KEY)
            outcome = error_outcome(*error, key=KEY) if error else outcome
            state = observe_result(state, action, outcome)
        self.note = state.to_bytes()
        return verdict

    def levels(self, times, **call):
        """The levels of so many equal calls."""
        return [self.call(**call).level.value for _ in range(times)]


@pytest.mark.parametrize("path", TRAJECTORIES, ids=lambda path: path.stem)
def test_trajectory(path):
    """A healthy run never trips; a stuck one trips where it should, after a nudge that came in time."""
    about, *steps = (json.loads(line) for line in path.read_text().splitlines())
    run, nudges = Run(), []
    for number, step in enumerate(steps, 1):
        verdict = run.call(step["tool"], step["args"], step.get("result"), step.get("error"))
        if verdict.level is Level.TRIP:
            assert (number, verdict.kind) == (about["trips_at"], about["kind"])
            assert nudges
            return
        if verdict.level is Level.NUDGE:
            nudges.append(number)
    assert about["trips_at"] is None
    assert len(nudges) <= 1


def test_trajectories_are_there():
    """There are ten runs of each kind to judge by."""
    kinds = Counter(path.stem.partition("_")[0] for path in TRAJECTORIES)
    assert kinds["healthy"] >= 10
    assert kinds["stuck"] >= 10


@pytest.mark.parametrize("threshold", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("result", [None, "same"])
def test_seed_rule(threshold, result):
    """`threshold` identical calls pass and the next trips, with the count and a readable signature."""
    run = Run(LoopPolicy(threshold=threshold))
    for _ in range(threshold):
        assert run.call(args={"q": "x"}, result=result).level is not Level.TRIP
    verdict = run.call(args={"q": "x"}, result=result)
    assert (verdict.level, verdict.kind, verdict.count) == (Level.TRIP, LoopKind.REPEAT, threshold + 1)
    assert verdict.pattern == 'search|{"q": "x"}'
    assert run.call(args={"q": "x"}).count == threshold + 2
    assert run.call(args={"q": "y"}).level is Level.OK


@settings(max_examples=60)
@given(st.lists(st.integers(0, 12), max_size=120))
def test_seed_rule_counts_the_session_not_the_row(calls):
    """Without results a call trips exactly when it is asked for more than `threshold` times, whatever lies between."""
    run, counts = Run(), Counter()
    for number in calls:
        counts[number] += 1
        trips = run.call(f"tool{number % 3}", {"n": number}).level is Level.TRIP
        assert trips == (counts[number] > POLICY.threshold)


def test_nudge_comes_before_the_stop():
    """The fourth and the fifth of five calls pass with words for the model, which hold no arguments."""
    run = Run()
    assert run.levels(6, args={"q": "private"}) == ["ok", "ok", "ok", "nudge", "nudge", "trip"]
    verdict = Run(LoopPolicy(nudge_at=2)).call()
    assert verdict.level is Level.OK
    run = Run(LoopPolicy(nudge_at=2))
    run.call(args={"q": "private"})
    nudge = run.call(args={"q": "private"})
    assert nudge.level is Level.NUDGE
    assert nudge.message.startswith("You have now called `search` 2 times with the same arguments")
    assert "private" not in nudge.message


def test_trip_message_is_one_line_that_can_be_acted_on():
    """It names the tool, the count, the limit and the fix, and no arguments."""
    run = Run()
    run.levels(5, args={"q": "private"})
    assert run.call(args={"q": "private"}).message == (
        "loop: search refused, asked for 6 times with the same arguments and nothing new (limit 5); "
        "change what the agent does, or give search a higher threshold"
    )


def test_changing_results_are_progress_up_to_the_hard_multiple():
    """Results that are always new let 20 times the threshold pass; then even they trip."""
    run = Run()
    levels = [run.call("poll", {"job": 1}, result=f"row {n}").level for n in range(101)]
    assert levels[:99] == [Level.OK] * 99
    assert levels[100] is Level.TRIP
    assert Run(LoopPolicy(hard_multiple=2)).levels(11, result="same")[5] == "trip"


def test_results_that_only_alternate_are_no_progress():
    """Red, green, red, green: a result seen before is not news."""
    run = Run()
    levels = [run.call("test", result="red" if n % 2 else "green").level for n in range(8)]
    assert levels[6:] == [Level.TRIP, Level.TRIP]


def test_news_elsewhere_starts_the_count_anew():
    """The same call with the same result is no loop while other calls between change something; errors are no news."""
    run = Run()
    for n in range(20):
        assert run.call("test", result="12 passed").level is Level.OK
        run.call("edit", {"n": n}, result="ok")
    run = Run()
    levels = []
    for n in range(6):
        levels.append(run.call("test", result="12 passed").level)
        run.call("edit", {"n": n}, error=("OSError", "read-only file system" if n % 2 else "disk full"))
    assert levels[-1] is Level.TRIP


def test_cycle_without_news_trips_as_a_cycle():
    """A, B, A, B …: the first call of round six trips and names the tools of the round; the other way out stays open."""
    run = Run()
    for _ in range(5):
        for tool in ("open", "close"):
            assert run.call(tool, result="ok").level is not Level.TRIP
    verdict = run.call("open", result="ok")
    assert (verdict.level, verdict.kind, verdict.count, verdict.pattern) == (Level.TRIP, "cycle", 6, "open → close")
    assert run.call("open").level is Level.TRIP
    assert run.call("report").level is Level.OK


@pytest.mark.parametrize("period", [2, 3, 4])
def test_cycles_of_every_period(period):
    """Cycles of two, three and four trip at the start of round six."""
    run = Run()
    levels = [run.call("step", {"n": n % period}, result="ok") for n in range(period * 5 + 1)]
    assert [verdict.level for verdict in levels].count(Level.TRIP) == 1
    assert (levels[-1].level, levels[-1].kind) == (Level.TRIP, "cycle")


def test_cycle_with_news_is_work():
    """Wait and look, ten times: the look shows something new, so the wait is none too many."""
    run = Run()
    for n in range(10):
        assert run.call("wait", result="ok").level is Level.OK
        assert run.call("look", result=f"stage {n}").level is Level.OK


def test_same_error_with_varying_arguments_trips():
    """Five times the same error of one tool, whatever the arguments and the calls between: the sixth attempt trips."""
    run = Run()
    levels = []
    for name in "abcdef":
        levels.append(run.call("imports", {"module": name}, error=("ModuleNotFoundError", f"No module named '{name}'")))
        run.call("think", {"about": name}, result=f"hm {name}")
    assert [verdict.level.value for verdict in levels] == ["ok", "ok", "ok", "nudge", "nudge", "trip"]
    assert (levels[-1].kind, levels[-1].count) == (LoopKind.ERROR, 6)
    assert run.call("other", {"module": "g"}).level is Level.OK


def test_error_trip_is_not_for_ever():
    """After the trip the tool may be tried again with other arguments, threshold times."""
    run = Run()
    fails = [run.call("t", {"n": n}, error=("E", "no")).level for n in range(12)]
    assert [n for n, level in enumerate(fails) if level is Level.TRIP] == [5, 11]


@pytest.mark.parametrize("between", [{"result": "fine"}, {"error": ("E", "another")}, {"error": ("F", "no")}])
def test_success_or_another_error_breaks_the_row(between):
    """The row of equal errors ends with a success or with another error of the tool."""
    run = Run()
    for n in range(4):
        run.call("t", {"n": n}, error=("E", "no"))
    run.call("t", {"n": 4}, **between)
    for n in range(5, 9):
        assert run.call("t", {"n": n}, error=("E", "no")).level is not Level.TRIP


def test_policy_knows_tools_and_arguments():
    """A tool may have its own threshold, be allowed altogether, and have arguments that do not matter."""
    policy = LoopPolicy(threshold=2, per_tool={"poll": 4}, allow=frozenset({"clock"}), ignore_args=frozenset({"ts"}))
    run = Run(policy)
    assert run.levels(5, tool="poll")[3:] == ["nudge", "trip"]
    assert set(run.levels(50, tool="clock")) == {"ok"}
    assert [run.call("t", {"ts": n}).level.value for n in range(3)] == ["ok", "nudge", "trip"]
    assert set(Run(LoopPolicy(enabled=False)).levels(50)) == {"ok"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0}, r"loop threshold is 0; it must be a whole number, 1 or more"),
        ({"per_tool": {"poll": -1}}, r"loop threshold of tool 'poll' is -1; it must"),
        ({"hard_multiple": 0}, r"loop hard_multiple is 0; it must"),
    ],
)
def test_bad_policy_is_named(options, message):
    """A threshold that makes no sense is refused with its name and value."""
    with pytest.raises(ConfigurationError, match=message):
        LoopPolicy(**options)


CALLS = st.tuples(
    st.integers(0, 200),
    st.integers(0, 40),
    st.none() | st.integers(0, 5).map("result {}".format) | st.integers(0, 3).map(lambda n: ValueError(f"e{n}")),
)


@settings(max_examples=40)
@given(st.lists(CALLS, max_size=200))
def test_state_is_small_and_survives_as_bytes(calls):
    """Whatever happens, a session's note is at most 8,700 bytes, reads back as it was, and holds no text."""
    state = LoopState()
    for args, tool, result in calls:
        action = signature(f"tool-{tool}-é" + "x" * 50, {"secret": args})
        state, verdict = observe_call(state, action, POLICY)
        if verdict.level is not Level.TRIP and result is not None:
            state = observe_result(state, action, result_outcome(result))
        note = state.to_bytes()
        assert len(note) <= 8_700
        assert LoopState.from_bytes(note) == state
        assert b"secret" not in note
        assert b"result" not in note


def test_note_is_bounded_for_a_very_long_session():
    """Ten thousand different calls leave a note no larger than two hundred do, and a loop at their end is still seen."""
    run = Run()
    for n in range(10_000):
        run.call(f"tool{n % 100}", {"n": n}, result=f"r{n}")
    assert 8_000 < len(run.note) <= 8_700
    assert run.levels(6, result="same")[-1] == "trip"


@pytest.mark.parametrize(
    "note", [None, b"", b"\x01", b"\xff" * 50, b"\x01" + bytes(8) + b"x", b"\x01\0\0\0\0\xff\xff\0\0"]
)
def test_note_of_another_making_starts_anew(note):
    """A note that is missing, cut short or of another version is a fresh state, not a crash."""
    assert LoopState.from_bytes(note) == LoopState()


def test_result_of_an_unknown_call_is_taken():
    """A result may come for a call that was allowed, forgotten or never seen; it is remembered and breaks nothing."""
    action = signature("t")
    state = observe_result(LoopState(), action, result_outcome("r"))
    assert observe_result(state, action, None) == state
    assert observe_call(state, action, POLICY)[1].level is Level.OK
