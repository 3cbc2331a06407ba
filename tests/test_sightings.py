"""Sightings: whatever layers see a call, in whatever order, it is settled once, by the best figure."""

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_fuse.calls import Usage
from agent_fuse.sightings import Book, Layer, Outcome, Release, Sighting, Sightings
from sightings_oracle import Checked

SOURCE = {Layer.FRAMEWORK: "langchain", Layer.CLIENT: "openai", Layer.REQUEST: "request", Layer.WIRE: "httpx"}


class Books:
    """What the decisions add up to, by payload."""

    def __init__(self) -> None:
        self.sightings: Sightings[int] = Sightings()
        self.booked: dict[int, tuple[Usage | None, bool]] = {}
        self.released: set[int] = set()

    def close(self, seen: Sighting[int], **facts: object) -> None:
        for decision in self.sightings.close(seen, **facts):  # type: ignore[arg-type]
            payload = decision.call.payload
            if isinstance(decision, Release):
                assert payload not in self.booked
                self.released.add(payload)
            else:
                assert isinstance(decision, Book)
                before = self.booked.get(payload)
                assert before is None or (not before[1] and decision.exact), "booked twice"
                self.booked[payload] = (decision.usage, decision.exact)


def usage(n: int) -> Usage:
    return Usage(input_tokens=n, output_tokens=n)


def test_nested_layers_are_one_call_and_the_request_is_believed() -> None:
    """Framework, client and request around each other settle once, by the request's figure."""
    books = Books()
    framework = books.sightings.open(1, layer=Layer.FRAMEWORK, source="langchain", now=0)
    client = books.sightings.open(2, layer=Layer.CLIENT, source="openai", now=1, around=[framework])
    request = books.sightings.open(3, layer=Layer.REQUEST, source="request", now=2, around=[client, framework])
    books.close(request, now=3, usage=usage(9))
    books.close(client, now=4, usage=usage(10))
    books.close(framework, now=5, usage=usage(11))
    assert books.booked == {1: (usage(9), True)}


def test_an_unlinked_framework_span_claims_the_request_it_contains() -> None:
    """A framework span without any link is matched by model, usage and time, and gives its own hold back."""
    books = Books()
    framework = books.sightings.open(1, layer=Layer.FRAMEWORK, source="langchain", now=0)
    request = books.sightings.open(2, layer=Layer.REQUEST, source="request", now=1, model="gpt-4o")
    books.close(request, now=2, usage=usage(9))
    books.close(framework, now=3, usage=usage(9), model="gpt-4o-2024-08-06")
    assert books.booked == {2: (usage(9), True)}
    assert books.released == {1}


def test_a_late_span_is_claimed_by_response_id() -> None:
    """A span made after the response joins the call with its response id, even when its figures differ."""
    books = Books()
    request = books.sightings.open(1, layer=Layer.REQUEST, source="request", now=1, model="gpt-4o")
    books.close(request, now=2, usage=usage(9), response_id="resp_1")
    late = books.sightings.open(2, layer=Layer.CLIENT, source="openai", now=3)
    books.close(late, now=3, usage=usage(10), response_id="resp_1")
    assert books.booked == {1: (usage(9), True)}


def test_a_figure_that_comes_later_corrects_an_estimate() -> None:
    """A stream without usage is booked by estimate; the client span's real figure corrects it, once."""
    books = Books()
    client = books.sightings.open(1, layer=Layer.CLIENT, source="openai", now=1)
    request = books.sightings.open(2, layer=Layer.REQUEST, source="request", now=1, around=[client])
    books.close(request, now=2, outcome=Outcome.BROKEN)
    assert books.booked == {1: (None, False)}
    books.close(client, now=3, usage=usage(5))
    assert books.booked == {1: (usage(5), True)}


def test_an_end_that_comes_after_all_corrects_a_call_taken_for_broken() -> None:
    """A span that seemed dropped is ended by a finalizer: its real figure replaces the estimate, once."""
    books = Books()
    client = books.sightings.open(1, layer=Layer.CLIENT, source="openai", now=1)
    books.close(client, now=2, outcome=Outcome.BROKEN)
    books.close(client, now=3, usage=usage(5))
    books.close(client, now=4, usage=usage(6))
    assert books.booked == {1: (usage(5), True)}


def test_two_requests_in_one_framework_span_are_two_calls() -> None:
    """The second request inside a span that has one already is a call of its own."""
    books = Books()
    framework = books.sightings.open(1, layer=Layer.FRAMEWORK, source="langchain", now=0)
    for payload in (2, 3):
        request = books.sightings.open(payload, layer=Layer.REQUEST, source="request", now=1, around=[framework])
        books.close(request, now=2, usage=usage(payload))
    books.close(framework, now=3, usage=usage(3))
    assert sorted(figure.input_tokens or 0 for figure, _ in books.booked.values() if figure) == [2, 3]


def test_a_failed_request_tried_again_moves_the_span_to_the_new_call() -> None:
    """After a request that failed for nothing, the span around it goes on with the next one."""
    books = Books()
    framework = books.sightings.open(1, layer=Layer.FRAMEWORK, source="langchain", now=0)
    first = books.sightings.open(2, layer=Layer.REQUEST, source="request", now=1, around=[framework])
    books.close(first, now=2, outcome=Outcome.FAILED)
    assert books.released == {1}
    second = books.sightings.open(3, layer=Layer.REQUEST, source="request", now=3, around=[framework])
    books.close(second, now=4, usage=usage(7))
    books.close(framework, now=5, usage=usage(7))
    assert books.booked == {3: (usage(7), True)}


def test_a_timed_out_attempt_is_booked_and_the_retry_is_another_call() -> None:
    """An attempt that may have been charged is estimated; the retry's figure does not overwrite it."""
    books = Books()
    client = books.sightings.open(1, layer=Layer.CLIENT, source="openai", now=0)
    first = books.sightings.open(2, layer=Layer.REQUEST, source="request", now=1, around=[client])
    books.close(first, now=2, outcome=Outcome.BROKEN)
    second = books.sightings.open(3, layer=Layer.REQUEST, source="request", now=3, around=[client])
    books.close(second, now=4, usage=usage(7))
    books.close(client, now=5, usage=usage(7))
    assert books.booked == {1: (None, False), 3: (usage(7), True)}


def test_http_attempts_that_failed_are_one_call_with_the_next() -> None:
    """An SDK without a request gate tries again after a 429: its client span is one call, however many HTTP spans."""
    books = Books()
    client = books.sightings.open(1, layer=Layer.CLIENT, source="google", now=0)
    for now in (1, 3):
        wire = books.sightings.open(2, layer=Layer.WIRE, source="httpx", now=now, around=[client])
        books.close(wire, now=now + 1, outcome=Outcome.FAILED)
    wire = books.sightings.open(3, layer=Layer.WIRE, source="httpx", now=5, around=[client])
    books.close(wire, now=6)
    books.close(client, now=7, usage=usage(9))
    assert books.booked == {1: (usage(9), True)}
    assert books.released == set()


def test_an_http_attempt_that_may_have_been_charged_is_a_call_of_its_own() -> None:
    """After a timeout on the wire, the next attempt is another call: the first is booked by estimate."""
    books = Books()
    client = books.sightings.open(1, layer=Layer.CLIENT, source="google", now=0)
    first = books.sightings.open(2, layer=Layer.WIRE, source="httpx", now=1, around=[client])
    books.close(first, now=2, outcome=Outcome.BROKEN)
    second = books.sightings.open(3, layer=Layer.WIRE, source="httpx", now=3, around=[client])
    books.close(second, now=4)
    books.close(client, now=5, usage=usage(9))
    assert books.booked == {1: (usage(9), True), 3: (None, False)}


def test_two_instrumentations_of_one_client_are_one_call() -> None:
    """Two client spans around each other, a request and an HTTP span inside: one call, by the request's figure."""
    books = Books()
    outer = books.sightings.open(1, layer=Layer.CLIENT, source="genai", now=0)
    inner = books.sightings.open(2, layer=Layer.CLIENT, source="traceloop", now=1, around=[outer])
    request = books.sightings.open(3, layer=Layer.REQUEST, source="request", now=2, around=[inner, outer])
    wire = books.sightings.open(4, layer=Layer.WIRE, source="httpx", now=3, around=[request, inner, outer])
    books.close(wire, now=4)
    books.close(request, now=5, usage=usage(9))
    books.close(inner, now=6, usage=usage(10))
    books.close(outer, now=7, usage=usage(11))
    assert books.booked == {1: (usage(9), True)}


def test_a_client_instrumented_twice_is_one_call() -> None:
    """Spans of one scope right inside each other, however deep, tell one call, with and without its request."""
    books = Books()
    around: list[Sighting[int]] = []
    for number in (1, 2, 3):
        around.insert(0, books.sightings.open(number, layer=Layer.CLIENT, source="openai", now=number, around=around))
    for seen in around:
        books.close(seen, now=9, usage=usage(9))
    assert books.booked == {1: (usage(9), True)}


def test_a_span_around_several_of_its_scope_is_not_told_twice() -> None:
    """A span of a user's own around two calls, one after the other or at once: the second is another call."""
    for at_once in (False, True):
        books = Books()
        outer = books.sightings.open(1, layer=Layer.CLIENT, source="mine", now=0)
        one = books.sightings.open(2, layer=Layer.CLIENT, source="mine", now=1, around=[outer])
        if not at_once:
            books.close(one, now=2, usage=usage(7))
        two = books.sightings.open(3, layer=Layer.CLIENT, source="mine", now=3, around=[outer])
        books.close(one, now=4, usage=usage(7))
        books.close(two, now=4, usage=usage(8))
        books.close(outer, now=5, usage=usage(15))
        assert books.booked == {1: (usage(7), True), 3: (usage(8), True)}


@pytest.mark.parametrize("first", ["own", "others"])
def test_a_span_around_a_call_that_is_named_as_one_is_not_the_call(first: str) -> None:
    """LangChain's retry bears its model's name: whichever of two instrumentations sees the call first, it is one call."""
    books = Books()
    books.sightings = Checked()
    retry = books.sightings.open(1, layer=Layer.FRAMEWORK, source="oi", now=0)
    if first == "own":
        mine = books.sightings.open(2, layer=Layer.FRAMEWORK, source="oi", now=1, around=[retry])
        other = books.sightings.open(3, layer=Layer.FRAMEWORK, source="tl", now=1, around=[mine, retry])
    else:
        other = books.sightings.open(2, layer=Layer.FRAMEWORK, source="tl", now=1, around=[retry])
        mine = books.sightings.open(3, layer=Layer.FRAMEWORK, source="oi", now=1, around=[retry, other])
    request = books.sightings.open(4, layer=Layer.REQUEST, source="request", now=2, around=[mine, other, retry])
    assert mine.call is other.call is request.call is not retry.call
    assert mine.call.payload != retry.call.payload
    books.close(request, now=3, usage=usage(9))
    books.close(other, now=4, usage=usage(9))
    books.close(mine, now=5, usage=usage(9))
    books.close(retry, now=6, outcome=Outcome.FAILED)
    assert books.booked == {mine.call.payload: (usage(9), True)}
    assert books.released == {retry.call.payload}
    books.sightings.check()


def test_a_call_inside_one_that_both_saw_is_another() -> None:
    """An agent named as a model, around a call of its own: what was held for the outer one stays with it."""
    sightings: Sightings[int] = Checked()
    other = sightings.open(1, layer=Layer.FRAMEWORK, source="tl", now=0)
    mine = sightings.open(2, layer=Layer.FRAMEWORK, source="oi", now=0, around=[other])
    inner = sightings.open(3, layer=Layer.FRAMEWORK, source="oi", now=1, around=[mine, other])
    assert mine.call is other.call is not inner.call
    assert (other.call.payload, inner.call.payload) == (1, 3)


def test_memory_is_bounded() -> None:
    """Ended calls are forgotten beyond a number, open ones are not."""
    books = Books()
    held = books.sightings.open(0, layer=Layer.REQUEST, source="request", now=0)
    for n in range(1, 3000):
        books.close(books.sightings.open(n, layer=Layer.REQUEST, source="request", now=n), now=n, usage=usage(1))
    assert len(books.sightings) <= 520, "as many more as are open"
    books.close(held, now=4000, usage=usage(1))
    assert 0 in books.booked


@dataclass(frozen=True)
class Plan:
    """One real call: which layers see it, whether they are linked, what it used."""

    layers: tuple[Layer, ...]
    linked: bool
    tokens: int
    told: tuple[bool, ...]


F, C, R, W = Layer.FRAMEWORK, Layer.CLIENT, Layer.REQUEST, Layer.WIRE
SETUPS = [
    [(R,), (C, R), (F, R), (F, C, R)],  # the request gate is on
    [(C,), (F, C)],  # spans of client and framework
    [(F,)],
    [(R, W), (C, R, W), (F, R, W), (F, C, R, W)],  # HTTP client spans under all of them
    [(C, W), (F, C, W)],
    [(F, W)],
    [(W,)],
]
"""Which layers can see a call in one process: a source that goes through another layer always does."""


def plans(setup: list[tuple[Layer, ...]]) -> st.SearchStrategy[list[Plan]]:
    told = st.tuples(*[st.booleans()] * 4)
    layers = st.sampled_from(setup)
    plan = st.builds(Plan, layers=layers, linked=st.booleans(), tokens=st.integers(1, 3), told=told)
    return st.lists(plan, min_size=1, max_size=8)


any_setup = st.sampled_from(SETUPS).flatmap(plans)


@given(any_setup, st.randoms(use_true_random=False))
def test_any_interleaving_settles_every_call_once(calls: list[Plan], random: object) -> None:
    """N calls, seen by any layers, linked or not, equal or not, interleaved anyhow: N bookings, the total exact."""
    books, payload = Books(), 0
    steps: list[list[tuple[str, int, int]]] = []
    for index, plan in enumerate(calls):
        depth = len(plan.layers)
        steps.append([("open", index, n) for n in range(depth)] + [("close", index, n) for n in reversed(range(depth))])
    seen: dict[tuple[int, int], Sighting[int]] = {}
    now = 0.0
    while any(steps):
        queue = random.choice([one for one in steps if one])  # type: ignore[attr-defined]
        action, index, n = queue.pop(0)
        plan, now = calls[index], now + 1
        if action == "open":
            payload += 1
            # An inner layer that is not linked to a framework is still linked to its own client span.
            outer = [seen[index, m] for m in reversed(range(n)) if plan.linked or plan.layers[m] is not Layer.FRAMEWORK]
            layer = plan.layers[n]
            seen[index, n] = books.sightings.open(payload, layer=layer, source=SOURCE[layer], now=now, around=outer)
        else:
            told = {} if plan.layers[n] is Layer.WIRE else {"model": "m", "usage": usage(plan.tokens)}
            books.close(seen[index, n], now=now, **told)
            books.close(seen[index, n], now=now + 0.5, model="m", usage=usage(99))  # a second end says nothing
    assert len(books.booked) == len(calls)
    assert Counter(figure.input_tokens for figure, _ in books.booked.values() if figure) == Counter(
        plan.tokens for plan in calls if plan.layers != (W,)
    )
    assert all(exact for figure, exact in books.booked.values() if figure)


@given(any_setup, st.randoms(use_true_random=False))
def test_lost_figures_never_lose_a_call(calls: list[Plan], random: object) -> None:
    """When some layers tell no usage, each call is still booked once, exactly when any of its linked layers told."""
    books, payload = Books(), 0
    for plan in calls:
        chain: list[Sighting[int]] = []
        for layer in plan.layers:
            payload += 1
            chain.append(
                books.sightings.open(payload, layer=layer, source=SOURCE[layer], now=payload, around=reversed(chain))
            )
        random.shuffle(chain)  # type: ignore[attr-defined]
        for one, told in zip(chain, plan.told, strict=False):
            books.close(one, now=payload + 0.5, usage=usage(plan.tokens) if told else None)
    told_calls = [plan for plan in calls if any(plan.told[: len(plan.layers)])]
    assert len(books.booked) == len(calls)
    assert sum(exact for _, exact in books.booked.values()) == len(told_calls)


# One call or two: what two sightings without a link must have in common ------------------------------------------------

SHARED = "opentelemetry.util.genai.handler"
TOLD = Usage(input_tokens=100, output_tokens=10)
OTHER = Usage(input_tokens=100, output_tokens=11)


class Lone:
    """Sightings, and the payloads that were booked."""

    def __init__(self) -> None:
        self.sightings: Sightings[str] = Sightings()
        self.booked: list[str] = []
        self.released: list[str] = []

    def seen(
        self,
        payload: str,
        start: float,
        end: float,
        *,
        layer: Layer = Layer.REQUEST,
        source: str = "request",
        model: str = "gpt-4o",
        usage: Usage | None = TOLD,
        id: str = "",
        outcome: Outcome = Outcome.DONE,
    ) -> Sighting[str]:
        """A sighting with nothing around it, from start to end."""
        one = self.sightings.open(payload, layer=layer, source=source, now=start, model=model)
        self.close(one, end, usage=usage, response_id=id, outcome=outcome)
        return one

    def close(self, one: Sighting[str], now: float, **facts: object) -> None:
        for decision in self.sightings.close(one, now=now, **facts):  # type: ignore[arg-type]
            if isinstance(decision, Release):
                self.released.append(decision.call.payload)
            elif isinstance(decision, Book):
                self.booked.append(decision.call.payload)


def calls(request: dict[str, object], span: dict[str, object]) -> int:
    """How many calls a request and an unlinked span around it are taken for."""
    books = Lone()
    books.seen("request", **{"start": 10.0, "end": 11.0, **request})  # type: ignore[arg-type]
    given = {"start": 9.0, "end": 12.0, "layer": Layer.CLIENT, "source": "openai", **span}
    books.seen("span", **given)  # type: ignore[arg-type]
    assert books.booked[0] == "request"
    assert len(books.booked) + len(books.released) == 2, "the span is a call of its own, or gives its hold back"
    return len(books.booked)


# Time -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (9.0, 12.0, 1),
        (10.0, 11.0, 1),
        (10.004, 10.996, 1),  # two layers' clocks may disagree by milliseconds
        (10.1, 12.0, 2),
        (9.0, 10.9, 2),
        (9.0, 9.9, 2),
        (11.1, 12.0, 2),
        (11.004, 12.0, 2),
        (12.0, 13.0, 2),
        (9.0, 9.996, 2),
    ],
)
def test_an_outer_span_contains_its_request(start: float, end: float, found: int) -> None:
    """A client span is the view of a request that ran while it did, not of one shortly before or after it."""
    assert calls({}, {"start": start, "end": end}) == found


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [(9.0, 10.5, 1), (10.5, 12.0, 1), (11.004, 12.0, 1), (9.0, 9.996, 1), (11.1, 12.0, 2), (9.0, 9.9, 2)],
)
def test_sightings_of_one_layer_overlap(start: float, end: float, found: int) -> None:
    """Two instrumentations of one client see a call at the same time, whichever begins first."""
    request = {"layer": Layer.CLIENT, "source": "traceloop"}
    assert calls(request, {"start": start, "end": end}) == found


# Model and usage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "answered", "found"),
    [
        ("gpt-4o", "gpt-4o", 1),
        ("gpt-4o", "gpt-4o-2024-08-06", 1),
        ("gpt-4o-2024-08-06", "gpt-4o", 1),
        ("", "gpt-4o", 1),
        ("gpt-4o", "", 1),
        ("gpt-4o", "claude-opus-4-6", 2),
        ("gpt-4o", "text-embedding-3-small", 2),
        ("claude-opus-4-6", "claude-haiku-4-5", 2),
    ],
)
def test_two_models_are_two_calls(asked: str, answered: str, found: int) -> None:
    """A call of one model is never taken for another's, however alike their times and figures."""
    assert calls({"model": asked}, {"model": answered}) == found


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (TOLD, TOLD, 1),
        (TOLD, None, 1),
        (None, TOLD, 1),
        (TOLD, OTHER, 2),
        (TOLD, Usage(input_tokens=99, output_tokens=10), 2),
        (TOLD, Usage(input_tokens=100, output_tokens=10, cache_read_tokens=50), 1),
    ],
)
def test_other_figures_are_another_call(one: Usage | None, other: Usage | None, found: int) -> None:
    """Input and output tokens tell calls apart; a figure that one layer lacks does not."""
    books = Lone()
    books.seen("request", 10, 11, usage=one)
    books.seen("span", 9, 12, layer=Layer.CLIENT, source="openai", usage=other)
    assert len(set(books.booked)) == found


def test_equal_usage_is_more_alike_than_none() -> None:
    """Of two requests at the same time the one with the span's own figures is its call."""
    books = Lone()
    books.seen("unknown", 10.0, 11.0, usage=None)
    books.seen("same", 10.5, 11.0, usage=TOLD)
    books.seen("span", 9.9, 12.0, layer=Layer.CLIENT, source="openai")
    late = books.seen("late", 10.0, 12.0, layer=Layer.CLIENT, source="openai", usage=OTHER)
    assert late.call.payload == "unknown"


def test_the_nearest_start_is_the_most_alike() -> None:
    """Of several equal requests, the one that began nearest to the span is taken, and each only once."""
    books = Lone()
    for number, start in enumerate((10.0, 11.0, 12.0)):
        books.seen(f"r{number}", start, 13.0)
    spans = [
        books.seen(f"s{n}", start, 14.0, layer=Layer.CLIENT, source="openai") for n, start in ((0, 10.9), (1, 9.9))
    ]
    assert [one.call.payload for one in spans] == ["r1", "r0"]


def test_equal_calls_are_matched_one_to_one() -> None:
    """Three requests and three spans, all alike, are three calls; a fourth span is another."""
    books = Lone()
    for number in range(3):
        books.seen(f"r{number}", 10.0, 11.0)
    for number in range(4):
        books.seen(f"s{number}", 9.0, 12.0, layer=Layer.CLIENT, source="openai")
    assert books.booked == ["r0", "r1", "r2", "s3"]
    assert len(books.released) == 3


# Response ids -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_id", "span_id", "found"), [("a", "a", 1), ("a", "b", 2), ("a", "", 1), ("", "a", 1), ("", "", 1)]
)
def test_response_ids_decide_where_both_are_told(request_id: str, span_id: str, found: int) -> None:
    """The same id is the same call; two ids are two calls, however alike the rest."""
    assert calls({"id": request_id}, {"id": span_id}) == found


def test_the_same_id_outranks_all_else() -> None:
    """A span made long after the response, with other figures and another model's name, belongs to its id."""
    books = Lone()
    books.seen("request", 10, 11, id="a")
    late = books.seen("span", 50, 51, layer=Layer.CLIENT, source="openai", id="a", usage=OTHER, model="alias")
    assert late.call.payload == "request"
    books.seen("alike", 60, 61, usage=OTHER)
    books.seen("mine", 60.5, 61, id="b")
    late = books.seen("span", 60, 62, layer=Layer.CLIENT, source="openai", id="b", usage=OTHER)
    assert late.call.payload == "mine"


# Who is asked -----------------------------------------------------------------------------------------------------------


def test_a_source_knows_its_own_calls() -> None:
    """Two spans of one instrumentation are two calls; kinds of one source (before a colon) count as one source."""
    for one, other, found in (
        ("openai", "openai", 2),
        ("langchain:a", "langchain:b", 2),
        ("langchain:a", "other:a", 1),
    ):
        books = Lone()
        books.seen("one", 10, 11, layer=Layer.CLIENT, source=one)
        books.seen("other", 10, 11, layer=Layer.CLIENT, source=other)
        assert len(books.booked) == found, (one, other)


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ({"id": "a"}, {"id": "a"}, 1),
        ({"id": ""}, {"id": ""}, 2),
        ({"id": "a"}, {"id": "b"}, 2),
        ({"id": "a"}, {"id": "a", "start": 20.0, "end": 21.0}, 2),
    ],
)
def test_a_scope_that_instrumentations_share_tells_a_call_twice(first: dict, second: dict, found: int) -> None:
    """Spans of the shared handler with one response id at one time are one call; without it they are two."""
    books = Lone()
    for one in (first, second):
        books.seen(**{"payload": "x", "start": 10.0, "end": 11.0, "layer": Layer.CLIENT, "source": SHARED, **one})
    assert len(books.booked) == found
    books = Lone()
    for one in (first, second):
        books.seen(**{"payload": "x", "start": 10.0, "end": 11.0, "layer": Layer.CLIENT, "source": "own", **one})
    assert len(books.booked) == 2


def test_a_failed_sighting_is_matched_with_nothing() -> None:
    """A span whose call failed for nothing does not take the figure of another that was served."""
    books = Lone()
    books.seen("request", 10, 11)
    books.seen("span", 9, 12, layer=Layer.CLIENT, source="openai", usage=None, outcome=Outcome.FAILED)
    assert (books.booked, books.released) == (["request"], ["span"])
    books.seen("another", 9, 12, layer=Layer.CLIENT, source="openai")
    assert books.booked == ["request"], "the request is still free to be claimed"


def test_a_released_call_is_matched_with_nothing() -> None:
    """A request that failed for nothing is no other layer's call."""
    books = Lone()
    books.seen("request", 10, 11, outcome=Outcome.FAILED, usage=None)
    books.seen("span", 9, 12, layer=Layer.CLIENT, source="openai")
    assert (books.released, books.booked) == (["request"], ["span"])


def test_an_outer_layer_that_is_still_open_is_not_asked() -> None:
    """A client span that ends inside an open framework span waits for it: the framework claims it when it ends."""
    books = Lone()
    framework = books.sightings.open("framework", layer=Layer.FRAMEWORK, source="langchain", now=9)
    books.seen("client", 10, 11, layer=Layer.CLIENT, source="openai")
    assert framework.call.payload == "framework"
    books.close(framework, 12, usage=TOLD, model="gpt-4o")
    assert (framework.call.payload, books.booked, books.released) == ("client", ["client"], ["framework"])


def test_an_inner_layer_that_is_still_open_is_asked() -> None:
    """A framework told that its model is done while the request still drains belongs to that request."""
    books = Lone()
    request = books.sightings.open("request", layer=Layer.REQUEST, source="request", now=10, model="gpt-4o")
    framework = books.seen("framework", 9, 11, layer=Layer.FRAMEWORK, source="langchain")
    assert framework.call.payload == "request"
    books.close(request, 11.5, usage=TOLD)
    assert books.booked == ["request"]


def test_a_request_claims_nobody() -> None:
    """It is the most exact layer: others are matched with it, it is matched with none."""
    books = Lone()
    books.seen("span", 9, 12, layer=Layer.CLIENT, source="openai")
    books.seen("request", 10, 11)
    assert books.booked == ["span", "request"]


def test_a_call_that_several_layers_saw_claims_nobody() -> None:
    """A span that has its own request by the context is not matched with another, alike as it may be."""
    books = Lone()
    books.seen("free", 10, 11)
    client = books.sightings.open("client", layer=Layer.CLIENT, source="openai", now=10)
    request = books.sightings.open("own", layer=Layer.REQUEST, source="request", now=10, around=[client])
    books.close(client, 12, usage=TOLD, model="gpt-4o")
    books.close(request, 12, usage=TOLD, model="gpt-4o")
    assert sorted(books.booked) == ["client", "free"]


# The figure that is believed --------------------------------------------------------------------------------------------


def test_the_most_exact_layer_is_believed_and_waited_for() -> None:
    """While a more exact layer is open its figure is waited for; a less exact one changes nothing afterwards."""
    books = Lone()
    framework = books.sightings.open("call", layer=Layer.FRAMEWORK, source="langchain", now=9)
    client = books.sightings.open("x", layer=Layer.CLIENT, source="openai", now=10, around=[framework])
    wire = books.sightings.open("y", layer=Layer.WIRE, source="httpx", now=10.5, around=[client, framework])
    books.close(framework, 11, usage=OTHER)
    assert books.booked == []
    books.close(client, 12, usage=TOLD)
    assert books.booked == ["call"]
    books.close(wire, 13)
    assert books.booked == ["call"]


def test_of_two_that_are_believed_alike_the_outer_one_counts() -> None:
    """Two instrumentations of one client tell two figures while its request may still tell a better one."""
    books = Books()
    outer = books.sightings.open(1, layer=Layer.CLIENT, source="one", now=0)
    inner = books.sightings.open(2, layer=Layer.CLIENT, source="another", now=1, around=[outer])
    request = books.sightings.open(3, layer=Layer.REQUEST, source="request", now=2, around=[inner, outer])
    books.close(inner, now=3, usage=usage(9))
    books.close(outer, now=4, usage=usage(10))
    books.close(request, now=5)
    assert books.booked == {1: (usage(10), True)}


def test_an_end_without_a_figure_waits_for_a_layer_that_may_know() -> None:
    """A wire span's end books nothing while the client around it is open, and its failure releases nothing.

    What was served is paid for, though the client then failed with it.
    """
    for outcome, booked in ((Outcome.DONE, ["call"]), (Outcome.FAILED, [])):
        books = Lone()
        client = books.sightings.open("call", layer=Layer.CLIENT, source="google", now=10)
        wire = books.sightings.open("x", layer=Layer.WIRE, source="httpx", now=10.5, around=[client])
        books.close(wire, 11, outcome=outcome)
        assert (books.booked, books.released) == ([], [])
        books.close(client, 12, outcome=Outcome.FAILED)
        assert (books.booked, books.released) == (booked, [] if booked else ["call"])


def test_usage_that_knows_nothing_is_no_figure() -> None:
    """A usage without input and output is as good as none: the call is booked by its quote, and corrected later."""
    sightings: Sightings[str] = Sightings()
    one = sightings.open("a", layer=Layer.CLIENT, source="openai", now=1)
    (book,) = sightings.close(one, now=2, usage=Usage(cache_read_tokens=5))
    assert isinstance(book, Book)
    assert (book.usage, book.exact) == (None, False)


def test_what_was_counted_is_told_with_the_estimate() -> None:
    """Without a reported figure the decision carries what the best layer counted."""
    sightings: Sightings[str] = Sightings()
    one = sightings.open("a", layer=Layer.CLIENT, source="openai", now=1)
    (book,) = sightings.close(one, now=2, estimate=OTHER, outcome=Outcome.BROKEN)
    assert isinstance(book, Book)
    assert (book.usage, book.exact, book.seen) == (OTHER, False, one)


# Joining by the context -------------------------------------------------------------------------------------------------


def opened(sightings: Sightings[str], *layers: tuple[Layer, str]) -> list[Sighting[str]]:
    found: list[Sighting[str]] = []
    for number, (layer, source) in enumerate(layers):
        found.append(sightings.open(f"p{number}", layer=layer, source=source, now=number, around=reversed(found)))
    return found


def test_only_an_open_outer_layer_of_another_source_is_joined() -> None:
    """Not one that has ended, not one further in, not the same framework again, which nests calls of its own."""
    ended: Sightings[str] = Sightings()
    outer = ended.open("a", layer=Layer.FRAMEWORK, source="langchain", now=1)
    ended.close(outer, now=2, usage=TOLD)
    assert ended.open("b", layer=Layer.CLIENT, source="openai", now=3, around=[outer]).call.payload == "b"
    _, inner = opened(Sightings(), (Layer.FRAMEWORK, "langchain"), (Layer.FRAMEWORK, "langchain"))
    assert inner.call.payload == "p1"
    request, client = opened(Sightings(), (Layer.REQUEST, "request"), (Layer.CLIENT, "openai"))
    assert (request.call.payload, client.call.payload) == ("p0", "p1")
    one, other = opened(Sightings(), (Layer.CLIENT, "openai"), (Layer.CLIENT, "traceloop"))
    assert one.call is other.call


def test_a_settled_call_is_joined_by_nothing_new() -> None:
    """What begins inside a span whose call is booked already is a call of its own."""
    sightings: Sightings[str] = Sightings()
    client = sightings.open("a", layer=Layer.CLIENT, source="openai", now=1)
    request = sightings.open("b", layer=Layer.REQUEST, source="request", now=2, around=[client])
    sightings.close(request, now=3, usage=TOLD)
    assert sightings.open("c", layer=Layer.WIRE, source="httpx", now=4, around=[client]).call.payload == "c"


def test_the_nearest_call_decides() -> None:
    """A second call of one source in the nearest span is another call, even where a span further out could take it."""
    sightings: Sightings[str] = Sightings()
    far = sightings.open("far", layer=Layer.FRAMEWORK, source="agents", now=1)
    near = sightings.open("near", layer=Layer.FRAMEWORK, source="langchain", now=2)
    sightings.open("x", layer=Layer.CLIENT, source="openai", now=3, around=[near])
    second = sightings.open("second", layer=Layer.CLIENT, source="openai", now=4, around=[near, far])
    assert second.call.payload == "second"


def test_a_refused_call_is_over_for_all_who_saw_it() -> None:
    """After a refusal nothing is open, its layers' ends say nothing, and a new request inside begins a new call."""
    sightings: Sightings[str] = Sightings()
    framework = sightings.open("a", layer=Layer.FRAMEWORK, source="langchain", now=1)
    client = sightings.open("b", layer=Layer.CLIENT, source="openai", now=2, around=[framework])
    assert len(list(sightings.open_calls())) == 1
    sightings.drop(client, now=3)
    assert list(sightings.open_calls()) == []
    assert sightings.close(framework, now=4) == []
    assert sightings.close(client, now=4, usage=TOLD) == []


# What is remembered -----------------------------------------------------------------------------------------------------


def test_calls_are_forgotten_by_number_and_by_time() -> None:
    """Ended calls beyond the number, or older than the seconds, are no longer matched; open ones always are."""
    sightings = Checked(remember=4, seconds=100)
    held = sightings.open(0, layer=Layer.FRAMEWORK, source="langchain", now=0)
    for number in range(1, 30):
        one = sightings.open(number, layer=Layer.REQUEST, source="request", now=number)
        sightings.close(one, now=number, usage=TOLD, response_id=f"r{number}")
        assert len(sightings) <= 7
    for _ in range(10):
        sightings.close(sightings.open(99, layer=Layer.REQUEST, source="request", now=1000), now=1000, usage=TOLD)
    late = sightings.open(100, layer=Layer.CLIENT, source="openai", now=1001)
    decisions = sightings.close(late, now=1001, usage=OTHER, response_id="r29")
    assert [one.call.payload for one in decisions] == [100], "forgotten, so it is another call"
    sightings.check()  # what is indexed goes with its calls
    assert sightings.close(held, now=1002, usage=OTHER) != []
