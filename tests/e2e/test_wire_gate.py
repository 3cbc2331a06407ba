"""The wire gate: HTTP client spans to a model endpoint stop and book calls of any SDK, and add none to known ones."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from opentelemetry import context
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from agent_fuse import AgentFuseSpanProcessor, SentinelBudgetExceeded
from agent_fuse.calls import Status, Usage
from agent_fuse.otel import instrumentor
from agent_fuse.testing import LedgerReader, LoopbackProvider, Reply, assert_books_balance
from unpatch import restored

MESSAGES: Any = [{"role": "user", "content": "Say hello."}]
TOLD = Usage(input_tokens=1117, output_tokens=233, cache_read_tokens=512)
COST = (1117 - 512) * 2_500 + 512 * 1_250 + 233 * 10_000
"""At gpt-4o's price, in nano-dollars."""


@pytest.fixture(scope="module")
def tracing() -> Iterator[TracerProvider]:
    """HTTP client spans under Traceloop's, instrumented once."""
    provider = TracerProvider(shutdown_on_exit=False)
    instrumentors = [HTTPXClientInstrumentor(), HTTPX2ClientInstrumentor(), OpenAIInstrumentor()]
    with restored():
        for one in instrumentors:
            one.instrument(tracer_provider=provider)
        yield provider
        for one in instrumentors:
            one.uninstrument()


class Rig:
    def __init__(self, tracing: TracerProvider, server: LoopbackProvider, **options: Any) -> None:
        self.server = server
        self.processor = AgentFuseSpanProcessor(
            session_id="test", db_path="memory://", endpoints=(server.url,), warn_at=(), **options
        )
        tracing._active_span_processor._span_processors = (self.processor,)
        self.books = LedgerReader(self.processor.fuse.ledger)
        self.client = openai.OpenAI(base_url=server.openai_base_url, api_key="test", max_retries=2)

    def post(self) -> httpx.Response:
        body = {"model": "gpt-4o", "messages": MESSAGES}
        return httpx.post(f"{self.server.openai_base_url}/chat/completions", json=body)

    def chat(self) -> Any:
        return self.client.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    def entries(self) -> list[Any]:
        return self.books.entries(Status.SETTLED, Status.ESTIMATED)


@pytest.fixture
def rig(tracing: TracerProvider, loopback: LoopbackProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made: list[Rig] = []
    context.attach(context.Context())  # Traceloop leaves its suppression keys in the context of the test before
    loopback.reset()
    loopback.default = Reply(usage=TOLD)
    was_on = instrumentor.wanted()

    def make(*, gate: bool = False, **options: Any) -> Rig:
        if not gate:
            instrumentor.uninstall()
        made.append(Rig(tracing, loopback, request_gate=gate, **{"budget": 100, **options}))
        if gate:
            instrumentor.install()
        return made[-1]

    yield make
    for one in made:
        one.processor.shutdown()
    tracing._active_span_processor._span_processors = ()
    if was_on:
        instrumentor.install()


def test_a_bare_request_to_a_model_endpoint_is_stopped(rig: Any) -> None:
    """Without any SDK, the HTTP client's span alone keeps the request from leaving."""
    one = rig(budget=0)
    with pytest.raises(SentinelBudgetExceeded):
        one.post()
    assert one.server.count == 0
    assert one.books.open_holds() == []


def test_a_bare_request_is_booked_at_its_quote_once(rig: Any) -> None:
    """The span sees no usage: the call is booked by estimate, and given back when it failed."""
    one = rig()
    one.post()
    assert [entry.status for entry in one.entries()] == [Status.ESTIMATED]
    one.server.reply(Reply(status=429))
    one.post()
    assert len(one.entries()) == 1
    assert one.books.open_holds() == []
    assert_books_balance(one.books.ledger)


@pytest.mark.parametrize("gate", [True, False], ids=["request gate", "spans alone"])
def test_http_spans_under_the_others_add_no_call(rig: Any, gate: bool) -> None:
    """SDK request, client span and HTTP span are one call, at the usage that was reported, retries included."""
    one = rig(gate=gate)
    one.server.reply(Reply(status=429, retry_after_s=0.01), Reply(usage=TOLD))
    one.chat()
    assert one.server.count == 2
    one.client.responses.create(model="gpt-4o", input="Say hello.")
    assert [entry.cost for entry in one.entries()] == [COST, COST]
    assert one.books.open_holds() == []
    assert_books_balance(one.books.ledger)


def test_traceloops_late_responses_span_is_stopped_on_the_wire(rig: Any) -> None:
    """Traceloop starts no span in time for the Responses API: the HTTP span does."""
    one = rig(budget=0)
    with pytest.raises(SentinelBudgetExceeded):
        one.client.responses.create(model="gpt-4o", input="Say hello.")
    assert one.server.count == 0
