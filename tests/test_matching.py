"""Matching: the index finds what looking at every call would find, whatever is seen, and its cost does not grow."""

import sys
from collections import Counter
from dataclasses import dataclass
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from agent_fuse.calls import Usage
from agent_fuse.sightings import Book, CallState, Layer, Outcome, Release, Sighting, Sightings
from agent_fuse.sightings.views import MAX_VIEWS
from sightings_oracle import SHARED, Checked

F, C, R, W = Layer.FRAMEWORK, Layer.CLIENT, Layer.REQUEST, Layer.WIRE
SOURCES = {
    F: ("langchain", "agents", "guard:f", "guard:g"),
    C: ("openai", "genai", SHARED),
    R: ("request",),
    W: ("httpx",),
}
MODELS = ("", "gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-mini", "prod-chat", "openai/gpt-4o")

layers = st.sampled_from(Layer)
models = st.sampled_from(MODELS)
figures = st.sampled_from([None, Usage(input_tokens=1, output_tokens=1), Usage(input_tokens=2, output_tokens=None)])
ids = st.sampled_from(["", "", "", "resp_1", "resp_2", "resp_3"])
moments = st.integers(0, 40).map(lambda n: n / 4)


class Matching(RuleBasedStateMachine):
    """Any sightings, in any order, at any times (clocks may go back), with a memory that is soon full."""

    def __init__(self) -> None:
        super().__init__()
        self.sightings = Checked(remember=6, seconds=30)
        self.payload = 0
        self.money: dict[int, str] = {}

    seen: Any = Bundle("seen")

    @rule(target=seen, layer=layers, which=st.integers(0, 3), model=models, now=moments, data=st.data())
    def open(self, layer: Layer, which: int, model: str, now: float, data: st.DataObject) -> Sighting[Any]:
        known = [one for call in self.sightings._calls for one in call.sightings]
        around = data.draw(st.lists(st.sampled_from(known), max_size=2) if known else st.just([]))
        self.payload += 1
        source = SOURCES[layer][which % len(SOURCES[layer])]
        return self.sightings.open(self.payload, layer=layer, source=source, now=now, model=model, around=around)

    @rule(
        one=seen,
        now=moments,
        outcome=st.sampled_from(Outcome),
        unsure=st.booleans(),
        followed=st.booleans(),
        usage=figures,
        model=models,
        answered=models,
        response_id=ids,
    )
    def close(self, one: Sighting[Any], now: float, outcome: Outcome, unsure: bool, **facts: Any) -> None:
        facts["unsure"] = unsure and outcome is Outcome.BROKEN
        for decision in self.sightings.close(one, now=max(now, one.started_at), outcome=outcome, **facts):
            payload = decision.call.payload
            before = self.money.get(payload)
            if isinstance(decision, Release):
                assert before is None
                self.money[payload] = "released"
            else:
                assert before is None or (before != "exact" and decision.exact), "only usage that is told corrects"
                self.money[payload] = "exact" if decision.exact else "estimated"

    @rule(one=seen, now=moments)
    def drop(self, one: Sighting[Any], now: float) -> None:
        if one.call.state is CallState.OPEN and one.ended_at is None:
            self.sightings.drop(one, now=now)

    @invariant()
    def whole(self) -> None:
        self.sightings.check()


TestMatching = Matching.TestCase


def test_one_id_told_again_and_again_is_found() -> None:
    """A provider that gives every answer the same id (mocks do) leaves one call to each pair, the nearest first."""
    sightings = Checked()
    frames = [sightings.open(n, layer=F, source="langchain", now=n) for n in range(50)]
    for n in range(50):
        request = sightings.open(100 + n, layer=R, source="request", now=n + 0.5)
        sightings.close(request, now=60 + n, usage=Usage(input_tokens=n, output_tokens=1), response_id="same")
    released = [
        decision.call.payload
        for n, frame in enumerate(frames)
        for decision in sightings.close(frame, now=120 + n, usage=Usage(input_tokens=n), response_id="same")
        if isinstance(decision, Release)
    ]
    assert released == list(range(50))
    assert sightings.matched == 50


@dataclass(frozen=True)
class Plan:
    """One real call, seen by a framework span and by the request gate, unlinked."""

    asked: str
    answered: str
    tokens: int


ALIASES = st.sampled_from(
    [
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("my-alias", "gpt-4o-2024-08-06"),
        ("prod-chat", "gpt-4o-mini-2024-07-18"),
        ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
        ("openai/gpt-4o", "gpt-4o"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5"),
    ]
)
plans = st.lists(
    st.builds(lambda names, tokens: Plan(*names, tokens), ALIASES, st.integers(1, 3)), min_size=1, max_size=8
)


@given(plans, st.sampled_from(["asked", "answered", "both"]), st.booleans(), st.randoms(use_true_random=False))
def test_an_alias_and_its_snapshot_are_one_call(calls: list[Plan], tells: str, followed: bool, random: Any) -> None:
    """Whichever model a framework tells, each call is booked once, by what its request used, however they overlap."""
    sightings, booked, now = Checked(), Counter[int](), 0.0
    steps = [[("open", n, F), ("open", n, R), ("close", n, R), ("close", n, F)] for n in range(len(calls))]
    seen: dict[tuple[int, Layer], Sighting[Any]] = {}
    while any(steps):
        queue = random.choice([one for one in steps if one])
        (word, n, layer), now = queue.pop(0), now + 1
        plan = calls[n]
        if word == "open":
            source, model = ("request", plan.asked) if layer is R else ("langchain", "")
            seen[n, layer] = sightings.open((n, layer), layer=layer, source=source, now=now, model=model)
            continue
        facts: dict[str, Any] = {"usage": Usage(input_tokens=plan.tokens, output_tokens=1)}
        if layer is R:
            facts["model"] = plan.answered
        else:
            facts |= {"followed": followed, "model": plan.answered if tells == "answered" else plan.asked}
            facts |= {"answered": plan.answered} if tells == "both" else {}
        for decision in sightings.close(seen[n, layer], now=now, **facts):
            if isinstance(decision, Book) and decision.usage is not None:
                booked[decision.usage.input_tokens or 0] += 1
    assert booked == Counter(plan.tokens for plan in calls)
    sightings.check()


@given(
    st.lists(
        st.tuples(st.sampled_from(["gpt-4o", "gpt-4o-mini", "gpt-4", "o3"]), st.integers(1, 2)), min_size=2, max_size=8
    ),
    st.randoms(use_true_random=False),
)
def test_calls_of_two_models_never_merge(calls: list[tuple[str, int]], random: Any) -> None:
    """A framework's own calls and another client's, at once and with equal usage, stay apart where models differ."""
    sightings, booked = Checked(), 0
    half = len(calls) // 2
    mine = {model for model, _ in calls[:half]}
    others = [one for one in calls[half:] if one[0] not in mine]
    opened = [
        (sightings.open((layer, n), layer=layer, source=source, now=float(n), model=model), model, tokens)
        for layer, source, some in ((F, "langchain", calls[:half]), (R, "request", others))
        for n, (model, tokens) in enumerate(some)
    ]
    random.shuffle(opened)
    for at, (one, model, tokens) in enumerate(opened):
        usage = Usage(input_tokens=tokens, output_tokens=1)
        for decision in sightings.close(one, now=100.0 + at, model=model, answered=f"{model}-2024-08-06", usage=usage):
            assert isinstance(decision, Book)
            booked += 1
    assert booked == len(opened)


def test_a_request_that_is_sure_to_be_there_needs_no_name() -> None:
    """An alias asked of a gated SDK: its request is the one with its usage, in its time, that nobody claimed."""
    for followed, books in ((True, 1), (False, 2)):
        sightings = Checked()
        frame = sightings.open("frame", layer=F, source="langchain", now=1)
        request = sightings.open("request", layer=R, source="request", now=2, model="deployment-7")
        used = Usage(input_tokens=7, output_tokens=3)
        done = sightings.close(request, now=3, usage=used)
        done += sightings.close(frame, now=4, usage=used, model="my-alias", followed=followed)
        assert sum(isinstance(one, Book) for one in done) == books
        assert sum(isinstance(one, Release) for one in done) == 2 - books


def test_many_scopes_keep_few_views() -> None:
    """A process of many instrumentation scopes does not index every call for each of them."""
    sightings = Checked()
    for n in range(100):
        one = sightings.open(n, layer=C, source=f"scope-{n}", now=n)
        sightings.close(one, now=n + 0.5, usage=Usage(input_tokens=n, output_tokens=1))
        sightings.check()
    assert len(sightings._views.kept) == MAX_VIEWS


def test_an_ended_call_waits_for_as_many_as_are_open() -> None:
    """A thousand framework spans, open at once, each find their request, though it ended long before."""
    sightings: Sightings[Any] = Sightings(remember=16)
    frames = [sightings.open(("frame", n), layer=F, source="langchain", now=n / 1000) for n in range(1000)]
    used = [Usage(input_tokens=n, output_tokens=1) for n in range(1000)]
    done: list[Any] = []
    for n in range(1000):
        request = sightings.open(("request", n), layer=R, source="request", now=2 + n / 1000)
        done += sightings.close(request, now=3 + n / 1000, usage=used[n])
    for n, frame in enumerate(frames):
        done += sightings.close(frame, now=5 + n / 1000, usage=used[n])
    assert sum(isinstance(one, Book) for one in done) == 1000
    assert sum(isinstance(one, Release) for one in done) == 1000
    for n in range(100):
        sightings.close(sightings.open(n, layer=R, source="request", now=10), now=11)
    assert len(sightings) < 2000, "and then they are forgotten"


class Steps:
    """Counts the instructions that this thread runs: the same on every machine, however busy."""

    def __init__(self) -> None:
        self.taken = 0

    def __enter__(self) -> "Steps":
        self._before = sys.gettrace()
        sys.settrace(self._entered)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _entered(self, frame: FrameType, event: str, arg: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, arg: object) -> Any:
        self.taken += 1
        return self._step


def calls_at_once(number: int, setting: str) -> float:
    """Steps for each close, with so many calls open at once."""
    sightings: Sightings[int] = Sightings()
    same, with_ids, inner = "same usage" in setting, "ids" in setting, "requests" in setting
    used = [Usage(input_tokens=1 if same else n, output_tokens=1) for n in range(number)]
    names = [f"r{n}" if with_ids else "" for n in range(number)]
    frames = [sightings.open(n, layer=F, source="langchain", now=n * 1e-4, model="gpt-4o") for n in range(number)]
    requests = [sightings.open(n, layer=R, source="request", now=1 + n * 1e-4) for n in range(number if inner else 0)]
    with Steps() as steps:
        for n, one in enumerate(requests):
            sightings.close(one, now=2 + n * 1e-4, usage=used[n], response_id=names[n], model="gpt-4o-2024-08-06")
        order = reversed(range(number)) if "backwards" in setting else range(number)
        for at, n in enumerate(order):
            sightings.close(frames[n], now=4 + at * 1e-4, usage=used[n], response_id=names[n])
    return steps.taken / (number + len(requests))


@pytest.mark.parametrize(
    "setting", ["alone", "requests", "requests, same usage", "requests, ids", "requests, same usage, backwards"]
)
def test_a_close_costs_the_same_however_many_are_open(setting: str) -> None:
    """Closing a call with 1,000 open takes the steps it takes with 30: a scan would take thirty times as many."""
    few, many = calls_at_once(30, setting), calls_at_once(1_000, setting)
    assert 0 < many < 2 * few, f"{few:.0f} steps with 30 open, {many:.0f} with 1,000"
