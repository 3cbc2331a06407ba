"""Sightings: whatever layers see a call, in whatever order, it is settled once, by the best figure."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from agent_fuse.calls import Usage
from agent_fuse.sightings import Book, Layer, Outcome, Release, Sighting, Sightings

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


def test_memory_is_bounded() -> None:
    """Ended calls are forgotten beyond a number, open ones are not."""
    books = Books()
    held = books.sightings.open(0, layer=Layer.REQUEST, source="request", now=0)
    for n in range(1, 3000):
        books.close(books.sightings.open(n, layer=Layer.REQUEST, source="request", now=n), now=n, usage=usage(1))
    assert len(books.sightings) <= 514
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
