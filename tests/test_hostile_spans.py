"""Hostile spans: whatever attributes a span carries, nothing but a trip reaches the host and the books stay right."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode

from agent_fuse import AgentFuseSpanProcessor, Limit, SentinelError
from agent_fuse.dialects import BUILT_IN
from agent_fuse.dialects.base import Fact
from agent_fuse.testing import assert_books_balance

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
CALLS = [
    {},
    {"gen_ai.operation.name": "chat"},
    {"gen_ai.operation.name": "execute_tool"},
    {"openinference.span.kind": "LLM"},
    {"openinference.span.kind": "TOOL"},
    {"http.request.method": "POST", "url.full": "https://api.openai.com/v1/chat/completions"},
]
"""What makes a span one that is judged, so that most of those here are."""

attributes = st.builds(
    lambda call, rest: call | rest, st.sampled_from(CALLS), st.dictionaries(st.sampled_from(KEYS), values, max_size=12)
)


@pytest.fixture(scope="module")
def tracing() -> Any:
    provider = TracerProvider()
    processor = AgentFuseSpanProcessor(
        limits=Limit(calls=10**9), db_path="memory://", session_id="s", request_gate=False, loop_threshold=10**6
    )
    provider.add_span_processor(processor)
    yield provider, processor
    provider.shutdown()


@given(
    scope=st.sampled_from(SCOPES),
    name=st.one_of(st.sampled_from(NAMES), st.text(max_size=20)),
    kind=st.sampled_from(SpanKind),
    start=attributes,
    later=attributes,
    status=st.sampled_from([None, *StatusCode]),
    past=st.sampled_from([None, 0, -5, 10**30]),
)
@settings(max_examples=400)
def test_only_trips_reach_the_host(
    tracing: Any, scope: str, name: str, kind: SpanKind, start: Any, later: Any, status: Any, past: Any
) -> None:
    """Wrong types, negatives, NaN, 10^30, missing, huge, unknown: no exception, no leaked hold, books in balance."""
    provider, processor = tracing
    try:
        span = provider.get_tracer(scope).start_span(name, kind=kind, attributes=start, start_time=past)
    except SentinelError:
        span = None
    if span is not None:
        try:
            for key, value in later.items():
                span.set_attribute(key, value)
            span.set_attributes(later)
        except SentinelError:
            pass
        if status is not None:
            span.set_status(Status(status))
        span.end()
    ledger = processor.fuse.ledger
    assert ledger.holds() == []
    assert_books_balance(ledger)
    for entry in ledger.journal():
        assert entry.cost >= 0
    assert len(processor.gates.nodes) == 0


@given(start=attributes, later=attributes)
@settings(max_examples=100)
def test_nested_hostile_spans(tracing: Any, start: Any, later: Any) -> None:
    """Spans in spans, ended out of order, twice, or never."""
    provider, processor = tracing
    spans = []
    for scope in SCOPES[:4]:
        try:
            spans.append(provider.get_tracer(scope).start_span("openai.chat", attributes=start))
            spans[-1].set_attributes(later)
        except SentinelError:
            continue
    for span in spans[1:]:
        span.end()
        span.end()
    assert_books_balance(processor.fuse.ledger)


def test_every_fact_has_a_place_in_the_conventions() -> None:
    """No dialect names a fact without an attribute."""
    for dialect in BUILT_IN:
        for fact, names in dialect.keys.items():
            assert isinstance(fact, Fact)
            assert names, (dialect.name, fact)


def test_the_hostile_spans_were_judged(tracing: Any) -> None:
    """The spans above did reach the books: the test is not vacuous."""
    _, processor = tracing
    assert sum(1 for _ in processor.fuse.ledger.journal()) > 100
