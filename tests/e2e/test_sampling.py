"""Sampling and switches do not open the gate: what spans cannot see, the request gate stops; a warning says so."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from agent_fuse import AgentFuseSampler, AgentFuseSpanProcessor, SentinelBudgetExceeded
from agent_fuse.calls import Status, Usage
from agent_fuse.otel.installing import wrap_sampler
from agent_fuse.testing import LedgerReader, LoopbackProvider
from unpatch import restored

MESSAGES: Any = [{"role": "user", "content": "hi"}]
REMOTE = SpanContext(trace_id=7, span_id=7, is_remote=True, trace_flags=TraceFlags(0))


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as one:
        yield one


def ask(provider: LoopbackProvider) -> None:
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=500)


SAMPLERS: list[Sampler] = [TraceIdRatioBased(0), ParentBased(TraceIdRatioBased(1)), ALWAYS_OFF]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=["ratio-0", "parent-based", "always-off"])
@pytest.mark.parametrize("request_gate", [True, False], ids=["gated", "spans-only"])
@pytest.mark.parametrize("late", [False, True], ids=["sampler", "init"])
def test_dropped_spans_are_still_judged(
    provider: LoopbackProvider, tmp_path: Path, sampler: Sampler, request_gate: bool, late: bool
) -> None:
    """With the sampler, or init's wrapping of tracers handed out already: booked, then refused; nothing is exported."""
    tracing, exporter = TracerProvider(sampler=sampler if late else AgentFuseSampler(sampler)), InMemorySpanExporter()
    processor = AgentFuseSpanProcessor(
        budget="0.0075", db_path=str(tmp_path / "ledger.db"), session_id="s", request_gate=request_gate
    )
    tracing.add_span_processor(processor)
    tracing.add_span_processor(SimpleSpanProcessor(exporter))
    books = LedgerReader(processor.fuse.ledger)
    with restored():
        OpenAIInstrumentor().instrument(tracer_provider=tracing)
        if late:
            wrap_sampler(tracing)
        parent = trace.use_span(NonRecordingSpan(REMOTE))
        with parent:
            ask(provider)
            assert [str(entry.status) for entry in books.entries()] == ["settled"]
            with pytest.raises(SentinelBudgetExceeded):
                ask(provider)
        OpenAIInstrumentor().uninstrument()
    assert provider.count == 1
    assert exporter.get_finished_spans() == ()
    assert books.open_holds() == []
    processor.shutdown()


def refused_by_the_request_gate(provider: LoopbackProvider, processor: AgentFuseSpanProcessor) -> None:
    ask(provider)
    with pytest.raises(SentinelBudgetExceeded):
        ask(provider)
    assert provider.count == 1
    books = LedgerReader(processor.fuse.ledger)
    assert len(books.entries(Status.SETTLED)) == 1
    assert len(books.entries(Status.REFUSED)) == 1


def make(tmp_path: Path) -> AgentFuseSpanProcessor:
    return AgentFuseSpanProcessor(budget="0.0075", db_path=str(tmp_path / "ledger.db"), session_id="s")


def test_a_disabled_sdk(
    provider: LoopbackProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """OTEL_SDK_DISABLED: no span is made; the request gate refuses, and the warning names the variable and the fix."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with caplog.at_level(logging.WARNING, "agent_fuse"):
        processor = make(tmp_path)
    assert "OTEL_SDK_DISABLED" in caplog.text
    assert "unset OTEL_SDK_DISABLED" in caplog.text
    tracing = TracerProvider()
    tracing.add_span_processor(processor)
    with restored():
        OpenAIInstrumentor().instrument(tracer_provider=tracing)
        refused_by_the_request_gate(provider, processor)
        OpenAIInstrumentor().uninstrument()


def test_suppressed_instrumentation(provider: LoopbackProvider, tmp_path: Path) -> None:
    """Inside suppress_instrumentation() there are no spans; the request gate does not care."""
    processor = make(tmp_path)
    tracing = TracerProvider()
    tracing.add_span_processor(processor)
    with restored(), suppress_instrumentation():
        OpenAIInstrumentor().instrument(tracer_provider=tracing)
        refused_by_the_request_gate(provider, processor)
        OpenAIInstrumentor().uninstrument()


def test_the_concurrent_multi_processor(
    provider: LoopbackProvider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A provider that runs processors in pool threads: refused all the same, and a warning says what is blind."""
    tracing = TracerProvider(active_span_processor=ConcurrentMultiSpanProcessor(2))
    processor = make(tmp_path)
    tracing.add_span_processor(processor)
    with restored(), caplog.at_level(logging.WARNING, "agent_fuse"):
        OpenAIInstrumentor().instrument(tracer_provider=tracing)
        refused_by_the_request_gate(provider, processor)
        OpenAIInstrumentor().uninstrument()
    assert "ConcurrentMultiSpanProcessor" in caplog.text
    tracing.shutdown()


def test_an_unwrapped_sampler_that_drops_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first span that comes through tells of a sampler that hides others."""
    tracing = TracerProvider(sampler=TraceIdRatioBased(0.999999))
    tracing.add_span_processor(make(tmp_path))
    with caplog.at_level(logging.WARNING, "agent_fuse"):
        for _ in range(3):
            tracing.get_tracer("x").start_span("y").end()
    assert caplog.text.count("TraceIdRatioBased") == 1
    assert "AgentFuseSampler" in caplog.text
