"""Open spans that matter: which calls of one context still await a request, what is around a span, what is forgotten."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent_fuse import SentinelBudgetExceeded
from agent_fuse.dialects.base import Dialect, Field, SpanRole, Spot
from agent_fuse.otel import open_spans
from agent_fuse.otel.open_spans import CURRENT_FRAME, OpenSpan, OpenSpans, around, detach, finish_calls
from agent_fuse.sightings import Call, Layer, Sighting

TABLE = Dialect(name="toy", scopes=("toy",), keys={Field.SESSION: ("toy.session",), Field.AGENT: ("toy.agent",)})


class Span:
    """A span as far as nodes look at it."""

    def __init__(self, **attributes: Any) -> None:
        self.attributes, self.ended = attributes, False

    def is_recording(self) -> bool:
        return not self.ended

    def set_attributes(self, facts: dict[str, Any]) -> None:
        self.attributes |= facts

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def set_status(self, *_: Any) -> None:
        pass

    def end(self) -> None:
        self.ended = True


def sighting(started_at: float = 0.0, layer: Layer = Layer.FRAMEWORK) -> Sighting[Any]:
    call: Call[Any] = Call("money")
    call.sightings.append(Sighting(call, layer, "toy", started_at))
    return call.sightings[0]


def node(
    key: int = 0,
    *,
    seen: Sighting[Any] | None = None,
    parent: OpenSpan | None = None,
    span: Span | None = None,
    session: str = "",
    agent: str = "",
) -> OpenSpan:
    live: Callable[[], Any] = lambda: span  # noqa: E731
    return OpenSpan(key, live, None, TABLE, Spot(kind=SpanRole.MODEL, session=session, agent=agent), parent, seen)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    """No call is under way in this context."""
    token = CURRENT_FRAME.set(None)
    yield
    CURRENT_FRAME.reset(token)


def waiting(*ages: float) -> OpenSpan:
    """The newest of calls begun so many seconds before it, none of which has ended."""
    for age in ages:
        detach(node(seen=sighting(100.0 - age)))
    newest = node(seen=sighting(100.0))
    detach(newest)
    return newest


# Calls begun together ---------------------------------------------------------------------------------------------------


def test_calls_begun_together_await_their_requests() -> None:
    """Callbacks of a batch come one after another before the first request: each still has its own to come."""
    newest = waiting(0.3, 0.2, 0.1)
    assert CURRENT_FRAME.get() is newest
    assert [one.seen.started_at for one in newest.waiting if one.seen] == [99.7, 99.8, 99.9]


def test_a_call_begun_long_before_awaits_none() -> None:
    """One whose end was never told does not take the requests of calls begun much later."""
    assert waiting(1.0, 0.9).waiting[0].seen.started_at == pytest.approx(99.1)  # type: ignore[union-attr]
    CURRENT_FRAME.set(None)
    assert waiting(600.0).waiting == ()


def test_an_ended_call_awaits_none() -> None:
    """What has ended got its request, or will get none."""
    ended = node(seen=sighting(99.9))
    assert ended.seen is not None
    ended.seen.ended_at = 99.95
    detach(ended)
    newest = node(seen=sighting(100.0))
    detach(newest)
    assert newest.waiting == ()


def test_a_call_that_a_span_tells_of_awaits_none() -> None:
    """Where there is a span, the request finds it by the context: only calls without one are waited for."""
    detach(node(key=7, seen=sighting(99.9)))
    newest = node(seen=sighting(100.0))
    detach(newest)
    assert newest.waiting == ()


def test_what_merely_wraps_this_call_awaits_none() -> None:
    """A model around this one (a fallback, a wrapper) makes no request of its own."""
    wrapper = node(seen=sighting(99.9))
    detach(wrapper)
    inner = node(seen=sighting(100.0))
    detach(inner, outside=wrapper)
    assert inner.waiting == ()


def test_two_sightings_of_one_call_do_not_await_each_other() -> None:
    """A second layer of the same call is not another call begun just before."""
    seen = sighting(99.9)
    again = Sighting(seen.call, Layer.CLIENT, "other", 100.0)
    detach(node(seen=seen))
    newest = node(seen=again)
    detach(newest)
    assert newest.waiting == ()


def test_a_node_that_is_no_call_awaits_nothing_and_is_not_awaited() -> None:
    """A tool or an agent among them takes part in neither."""
    detach(node(seen=sighting(99.9)))
    agent = node()
    detach(agent)
    assert agent.waiting == ()
    newest = node(seen=sighting(100.0))
    detach(newest)
    assert newest.waiting == ()


# What is around a sighting ----------------------------------------------------------------------------------------------


def test_sightings_around_come_nearest_first() -> None:
    """First the spans around it, innermost first; then calls of this context that still await a request; then its own."""
    outer = node(1, seen=sighting())
    agent = node(2, parent=outer)
    inner = node(3, seen=sighting(), parent=agent)
    newest = waiting(0.1)
    expected = [inner.seen, outer.seen, newest.waiting[0].seen, newest.seen]
    assert list(around(inner)) == expected
    assert list(around(None)) == expected[2:]
    CURRENT_FRAME.set(None)
    assert list(around(inner)) == expected[:2]
    assert list(around(None)) == []


def test_a_call_that_has_its_request_takes_no_other() -> None:
    """Of the calls begun together, one that a request was seen for is passed over."""
    newest = waiting(0.2, 0.1)
    first = newest.waiting[0].seen
    assert first is not None
    first.call.sightings.append(Sighting(first.call, Layer.REQUEST, "request", 100.0))
    assert list(around(None)) == [newest.waiting[1].seen, newest.seen]
    CURRENT_FRAME.set(node())
    assert list(around(None)) == []


# Who a call belongs to --------------------------------------------------------------------------------------------------


def test_the_nearest_session_and_agent_count() -> None:
    """What whoever made the node told outranks its span's start, that outranks what its span says by now, outer ones last."""
    outer = node(1, session="outer", agent="planner")
    inner = node(2, parent=outer, span=Span(**{"toy.session": "live"}))
    assert inner.told() == ("live", "planner")
    inner = node(2, parent=outer, session="start", span=Span(**{"toy.session": "live", "toy.agent": "live"}))
    assert inner.told() == ("start", "live")
    inner.session = "hand"
    inner.agent = "writer"
    assert inner.told() == ("hand", "writer")
    assert node(3).told() == ("", "")
    assert node(3, span=Span()).told() == ("", "")
    assert node(4, parent=inner).told() == ("hand", "writer")


# What is remembered -----------------------------------------------------------------------------------------------------


def test_a_span_inside_stands_for_the_node_around_it() -> None:
    """A span that is no call itself leads to the call around it, and is forgotten without ending it."""
    known, call = OpenSpans(), node(1)
    known.put(1, call)
    known.put(2, call)
    assert known.get(2) is call
    assert known.get(3) is None
    assert len(known) == 2
    assert known.pop(2) is None
    assert known.get(1) is call
    assert known.pop(1) is call
    assert known.pop(1) is None
    assert len(known) == 0


def test_spans_that_never_end_are_forgotten_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number the oldest tenth is forgotten, so that memory is bounded."""
    monkeypatch.setattr(open_spans, "MAX_OPEN", 20)
    known = OpenSpans()
    for key in range(1, 21):
        known.put(key, node(key))
    assert len(known) == 20
    known.put(21, node(21))
    assert len(known) == 19
    assert known.get(1) is known.get(2) is None
    assert known.get(3) is not None


def test_an_end_after_the_span_was_dropped_still_finds_its_node() -> None:
    """A finaliser that ends a span which the garbage collector dropped reaches its call, while it is remembered."""
    known, call = OpenSpans(), node(1)
    known.put(1, call)
    known.drop(call)
    assert known.get(1) is None
    assert known.pop(1) is call
    stranger = node(9)
    known.drop(stranger)
    assert known.pop(9) is None, "what was not open was not dropped"
    for key in range(100, 100 + open_spans.MAX_DROPPED):
        known.put(key, node(key))
        known.drop(node(key))
    assert known.pop(1) is None, "and only so many are remembered"


def test_a_refusal_is_written_on_every_call_around() -> None:
    """The refused call's spans say so and end, those of calls around it too; an agent's span goes on."""
    agent_span, call_span, outer_span = Span(), Span(), Span()
    outer = node(1, seen=sighting(), span=outer_span)
    agent = node(2, parent=outer, span=agent_span)
    call = node(3, seen=sighting(), parent=agent, span=call_span)
    finish_calls(SentinelBudgetExceeded("no"), call, None)
    assert (call_span.ended, outer_span.ended, agent_span.ended) == (True, True, False)
    assert call_span.attributes["agent_fuse.refused"] is True
    assert "agent_fuse.refused" not in agent_span.attributes
    open_span = Span()
    finish_calls(SentinelBudgetExceeded("no"), node(4, seen=sighting(), span=open_span), end=False)
    assert (open_span.ended, open_span.attributes["agent_fuse.refused"]) == (False, True)
