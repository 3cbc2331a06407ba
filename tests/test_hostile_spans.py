"""Hostile spans: whatever attributes a span carries, nothing but a trip reaches the host and the books stay right."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode

from agent_fuse import AgentFuseSpanProcessor, Limit, SentinelError
from agent_fuse.dialects import BUILT_IN
from agent_fuse.dialects.base import Field
from agent_fuse.testing import assert_books_balance
from spans.replay import load

KEYS = sorted(
    {key for dialect in BUILT_IN for names in dialect.keys.values() for key in names} | {"gen_ai.operation.name"}
)
SCOPES = sorted({scope.rstrip("*") for dialect in BUILT_IN for scope in dialect.scopes})
NAMES = ["openai.chat", "chat gpt-4o", "ChatOpenAI.chat", "execute_tool search", "openai.response", "x", ""]

values = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["chat", "embeddings", "execute_tool", "invoke_agent", "LLM", "TOOL", "gpt-4o", "{", "\ud800", "9" * 4000]
    ),
    st.integers(),
    st.sampled_from([-1, 0, 10**30, 2**63, 2**63 - 1, -(2**70)]),
    st.floats(),
    st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 1e300]),
    st.booleans(),
    st.none(),
    st.binary(max_size=20),
    st.lists(st.one_of(st.text(max_size=5), st.integers(0, 9)), max_size=4),
    st.builds(object),
    st.just("x" * 300_000),
)
HOSTILE = ["", "{", "\ud800", "9" * 4000, -1, 10**30, -(2**70), math.nan, math.inf, True, b"\xff", ["x", 1], object()]
"""One of each kind of wrong value."""

CALLS = list(
    {
        (start["scope"], start["name"], str(start["attributes"])): start
        for case in load()
        for start in case.starts
        if case.served and not case.file.endswith("@content")
    }.values()
)
"""Starts of recorded spans, so that most of those made here are judged."""

attributes = st.dictionaries(st.sampled_from(KEYS), values, max_size=12)


def rig() -> Iterator[Any]:
    provider = TracerProvider(shutdown_on_exit=False)
    processor = AgentFuseSpanProcessor(
        limits=Limit(calls=10**9), db_path="memory://", session_id="s", request_gate=False, loop_threshold=10**6
    )
    provider.add_span_processor(processor)
    yield provider, processor
    provider.shutdown()


tracing = pytest.fixture(rig, scope="module", name="tracing")
"""One for all examples of a test."""

anew = pytest.fixture(rig, name="anew")


def start(
    provider: Any, recorded: dict[str, Any], hostile: dict[str, Any], kind: SpanKind | None = None, **more: Any
) -> Any:
    """A recorded span, started with attributes that it never had; None when it was refused."""
    named = SpanKind[recorded.get("kind", "INTERNAL")] if kind is None else kind
    facts = {**recorded["attributes"], **hostile}
    more.setdefault("name", recorded["name"])
    try:
        return provider.get_tracer(recorded["scope"]).start_span(kind=named, attributes=facts, **more)
    except SentinelError:
        return None


def tell(span: Any, facts: dict[str, Any]) -> None:
    """Facts that arrive later, one by one and together."""
    try:
        for key, value in facts.items():
            span.set_attribute(key, value)
        span.set_attributes(facts)
    except SentinelError:
        pass


def check(processor: Any) -> None:
    """No hold and no span is left, and the books are right."""
    ledger = processor.fuse.ledger
    assert ledger.holds() == []
    assert_books_balance(ledger)
    assert all(entry.cost >= 0 for entry in ledger.journal())
    assert len(processor.gates.nodes) == 0


@given(
    recorded=st.sampled_from(CALLS),
    scope=st.one_of(st.none(), st.sampled_from(SCOPES)),
    name=st.one_of(st.none(), st.sampled_from(NAMES), st.text(max_size=20)),
    kind=st.one_of(st.none(), st.sampled_from(SpanKind)),
    early=attributes,
    later=attributes,
    status=st.sampled_from([None, *StatusCode]),
    past=st.sampled_from([None, 0, -5, 10**30]),
)
@settings(max_examples=400)
def test_only_trips_reach_the_host(
    tracing: Any,
    recorded: Any,
    scope: str | None,
    name: str | None,
    kind: SpanKind | None,
    early: Any,
    later: Any,
    status: Any,
    past: Any,
) -> None:
    """Wrong types, negatives, NaN, 10^30, missing, huge, unknown: no exception, no leaked hold, books in balance."""
    provider, processor = tracing
    like = recorded if scope is None else {**recorded, "scope": scope}
    named = {} if name is None else {"name": name}
    span = start(provider, like, early, kind, start_time=past, **named)
    if span is not None:
        tell(span, later)
        if status is not None:
            span.set_status(Status(status))
        span.end()
    check(processor)


@pytest.mark.parametrize("recorded", CALLS, ids=lambda one: f"{one['scope']}:{one['name']}")
def test_every_recorded_span_with_every_kind_of_wrong_value(anew: Any, recorded: Any) -> None:
    """Each attribute of a real call in turn holds each kind of wrong value, at its start and later."""
    provider, processor = anew
    for key in (*recorded["attributes"], "gen_ai.usage.input_tokens", "llm.token_count.prompt"):
        for wrong in HOSTILE:
            for early, later in (({key: wrong}, {}), ({}, {key: wrong})):
                span = start(provider, recorded, early)
                if span is not None:
                    tell(span, later)
                    span.end()
    check(processor)


def test_the_spans_that_hostile_ones_are_made_of_are_judged() -> None:
    """The tests here are not vacuous: of the instrumentations whose spans they vary, most book one that just ends."""
    judged = set()
    for recorded in CALLS:
        with contextmanager(rig)() as (provider, processor):
            start(provider, recorded, {}).end()
            if list(processor.fuse.ledger.journal()):
                judged.add(recorded["scope"])
    assert len(judged) > len({one["scope"] for one in CALLS}) / 2, judged


@given(inside=st.lists(st.sampled_from(CALLS), min_size=2, max_size=4), early=attributes, later=attributes)
@settings(max_examples=100)
def test_nested_hostile_spans(tracing: Any, inside: Any, early: Any, later: Any) -> None:
    """Spans in spans, ended out of order, and twice."""
    provider, processor = tracing
    spans: list[Any] = []
    for recorded in inside:
        around = trace.set_span_in_context(spans[-1], Context()) if spans else Context()
        span = start(provider, recorded, early, context=around)
        if span is not None:
            spans.append(span)
            tell(span, later)
    for span in (*spans[1:], *spans[:1]):
        span.end()
        span.end()
    check(processor)


def test_every_fact_has_a_place_in_the_conventions() -> None:
    """No dialect names a fact without an attribute."""
    for dialect in BUILT_IN:
        for fact, names in dialect.keys.items():
            assert isinstance(fact, Field)
            assert names, (dialect.name, fact)
