"""Cost, session and refusal on the spans of real instrumentations: once for each call, exactly."""

import openai
import pytest

from agent_fuse.calls import RefusedBy
from agent_fuse.errors import SentinelBudgetExceeded, SentinelLoopError
from agent_fuse.otel.span_attributes import (
    ADVICE,
    AMOUNT,
    CAP,
    CURRENCY,
    ERROR,
    ESTIMATED,
    KEY,
    LIMIT,
    PER,
    REASON,
    REFUSED,
    SESSION,
    SOURCE,
    TABLE,
)
from agent_fuse.otel.trips import refusal_attributes
from agent_fuse.testing import Reply

from .conftest import Rig
from .kinds import KINDS, Kind
from .test_booking import script


def marked(rig: Rig) -> list:
    return [span for span in rig.spans() if AMOUNT in span.attributes]


NO_OPEN_SPAN = ("responses", "raw", "streaming_response", "openai_after_ainvoke")
"""Calls whose span is made after the call, or ends before its response is read: their cost is on no span."""


def has_open_span(rig: Rig, kind: Kind) -> bool:
    """Whether some span is sure to be open when the call is booked."""
    seen = rig.instrumentation != "langchain" or (kind.langchain and "embeddings" not in kind.name)
    return seen and not any(part in kind.name for part in NO_OPEN_SPAN)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_costs_on_spans_are_the_ledger(rig: Rig, kind: Kind) -> None:
    """Each call has its cost on one span, to the nano-dollar, if one is open in time; none has it on two."""
    books = rig.use(budget=100, stream_usage=False)
    rig.provider.default = script(kind)
    kind.call(rig.provider)
    spans = marked(rig)
    told, spent = round(sum(span.attributes[AMOUNT] for span in spans) * 10**9), books.spent("session=test")
    assert told == spent or (told < spent and not has_open_span(rig, kind))
    for span in spans:
        assert span.attributes[CURRENCY] == "USD"
        assert span.attributes[SOURCE] == "local"
        assert span.attributes[SESSION] == "test"
        assert span.attributes[ESTIMATED] is not kind.usage_told


def chat_of(rig: Rig) -> Kind:
    """A chat that this instrumentation sees."""
    name = "langchain_invoke" if rig.instrumentation == "langchain" else "chat_create"
    return next(kind for kind in KINDS if kind.name == name)


def test_a_cost_that_the_provider_told_is_marked_as_its_own(rig: Rig) -> None:
    """Whoever sums costs by their source is not told that we priced it."""
    rig.use(budget=100, stream_usage=False)
    rig.provider.default = Reply(headers={"x-litellm-response-cost": "0.0123"})
    chat_of(rig).call(rig.provider)
    assert {(span.attributes[AMOUNT], span.attributes[SOURCE]) for span in marked(rig)} == {(0.0123, "provider")}


def test_spans_can_be_left_as_they_are(rig: Rig) -> None:
    """With cost_on_spans=False none has an attribute of ours, whatever was called, but those refused, in full."""
    books = rig.use(budget=100, cost_on_spans=False)
    for kind in KINDS:
        rig.provider.default = script(kind)
        before = books.spent("session=test")
        kind.call(rig.provider)
        assert books.spent("session=test") > before, kind.name
    chat = chat_of(rig)
    rig.provider.default = Reply(status=400)
    with pytest.raises(openai.BadRequestError):
        chat.call(rig.provider)
    ours = {mark.name for mark in TABLE} - {ERROR}
    passed = rig.spans()
    assert len(passed) >= len(KINDS) // 4
    assert {name for span in passed for name in span.attributes if name in ours or "agent_fuse" in name} == set()
    assert not [event for span in passed for event in span.events if "agent_fuse" in str(event.attributes)]
    rig.use(budget=0, cost_on_spans=False)
    with pytest.raises(SentinelBudgetExceeded):
        chat.call(rig.provider)
    refused = rig.spans()[len(passed) :]
    assert any(span.attributes.get(REFUSED) for span in refused)
    for span in refused:
        if span.attributes.get(REFUSED):
            assert (span.attributes[KEY], span.attributes[SESSION]) == ("test", "test")
        else:
            assert not ours & set(span.attributes)


def test_a_refused_span_says_why_and_whose(rig: Rig) -> None:
    """A refused call's span names the reason, the limit, the session and the trip, and has no cost."""
    rig.use(budget=0)
    with pytest.raises(SentinelBudgetExceeded):
        chat_of(rig).call(rig.provider)
    refused = [span for span in rig.spans() if span.attributes.get(REFUSED)]
    assert refused
    for span in refused:
        told = {name: span.attributes.get(name) for name in (REASON, LIMIT, PER, KEY, CAP, SESSION, ERROR, AMOUNT)}
        assert span.attributes[ADVICE] == "the limit admits nothing; raise the limit"
        assert told == {
            REASON: "budget",
            LIMIT: "$0.00 per session 'test'",
            PER: "session",
            KEY: "test",
            CAP: 0,
            SESSION: "test",
            ERROR: "SentinelBudgetExceeded",
            AMOUNT: None,
        }


def test_the_table_of_span_attributes_is_whole() -> None:
    """Each attribute that a refusal writes is in the table, and those of altered and cut-off calls."""
    by = RefusedBy(limit="l", per="user.id", value="ann", meter="usd", cap=2_500_000_000, spent=1, advice="a")
    trips = [SentinelBudgetExceeded("m", limit="l 'ann'", refused_by=by), SentinelLoopError("m", tool="t")]
    written = {name for trip in trips for name in refusal_attributes(trip)}
    assert refusal_attributes(trips[0])["agent_fuse.refused.limit.cap"] == 2.5
    altered = {"agent_fuse." + name for name in ("clamped_from", "clamped_to", "cut_off", "downgraded_from", "told")}
    assert {mark.name for mark in TABLE} == written | altered | {AMOUNT, CURRENCY, SOURCE, ESTIMATED, SESSION}
