"""What the matrix found: a slow machine opens no gate, a broken stream is paid for, a tool's result is its content."""

import json
import threading
import time
import types
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from opentelemetry.instrumentation.langchain import LangchainInstrumentor
from opentelemetry.instrumentation.langchain.config import Config
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

from agent_fuse import SentinelBudgetExceeded
from agent_fuse.calls import Usage
from agent_fuse.dialects import Dialects
from agent_fuse.dialects.reading import outcome_of
from agent_fuse.otel.span_processor import AgentFuseSpanProcessor
from agent_fuse.otel.trips import under_langchain
from agent_fuse.sightings import Book, Layer, Outcome, Release, Sightings

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai"}


def start(scope: str, seconds_ago: float) -> None:
    """A chat span that says it began so long ago, with nothing left to spend."""
    provider = TracerProvider()
    provider.add_span_processor(AgentFuseSpanProcessor(budget=0, db_path="memory://", request_gate=False))
    ago = time.time_ns() - int(seconds_ago * 1e9)
    try:
        provider.get_tracer(scope).start_span("chat gpt-4o", attributes=CHAT, start_time=ago).end()
    finally:
        provider.shutdown()


@pytest.mark.parametrize("scope", ["opentelemetry.instrumentation.genai.openai", "com.anthropic.sdk.python"])
def test_a_busy_machine_opens_no_gate(scope: str) -> None:
    """A span of an instrumentation that starts in time is refused however long ago its start seems to be."""
    with pytest.raises(SentinelBudgetExceeded):
        start(scope, seconds_ago=5)


def test_unknown_late_spans_are_not_refused() -> None:
    """Of an instrumentation that nobody knows, a span that began long ago was made after the work."""
    start("somebody.elses", seconds_ago=5)
    with pytest.raises(SentinelBudgetExceeded):
        start("somebody.elses", seconds_ago=-5)  # by a clock that runs ahead: a busy machine must not make it late


def test_an_error_without_a_class_may_have_cost() -> None:
    """An abandoned async stream X: the call is booked, not given back."""
    assert outcome_of(None, failed=True, error="_OTHER") is Outcome.BROKEN


@pytest.mark.parametrize(
    "wrap",
    [
        lambda call: json.dumps({"type": "tool", "data": {"content": "Rain in Bergen.", "tool_call_id": call}}),
        lambda call: json.dumps({"content": "Rain in Bergen.", "type": "tool", "tool_call_id": call}),
        lambda call: json.dumps({"output": f"content='Rain in Bergen.' name='weather' tool_call_id='{call}'"}),
    ],
    ids=["0.1.80", "0.1.55", "0.1.42"],
)
def test_openinference_tool_result_is_its_content(wrap) -> None:
    """Two equal results are equal although each is wrapped in a message with a call id of its own."""
    dialect = Dialects().of("openinference.instrumentation.langchain")
    assert dialect is not None

    def result(content: str) -> object:
        attributes = {"openinference.span.kind": "TOOL", "output.value": content}
        return dialect.end(types.SimpleNamespace(name="weather", attributes=attributes), failed=False).result

    assert result(wrap("call_1")) == result(wrap("call_2"))
    assert result(wrap("call_1")) != result(wrap("call_1").replace("Rain", "Sun"))


@pytest.mark.parametrize(
    ("scope", "name", "operation"),
    [
        ("opentelemetry.instrumentation.openai.v1", "openai.chat", "chat"),
        ("opentelemetry.instrumentation.openai.v1", "openai.embeddings", "embeddings"),
        ("opentelemetry.instrumentation.anthropic", "anthropic.chat", "chat"),
        ("opentelemetry.instrumentation.google_generativeai", "gemini.generate_content", "generate_content"),
    ],
)
def test_old_traceloop_releases_are_calls(scope: str, name: str, operation: str) -> None:
    """Traceloop 0.50 starts its spans with `llm.request.type` alone; they are known by their names."""
    provider = TracerProvider()
    provider.add_span_processor(AgentFuseSpanProcessor(budget=0, db_path="memory://", request_gate=False))
    dialect = Dialects().of(scope)
    assert dialect is not None
    with pytest.raises(SentinelBudgetExceeded):
        provider.get_tracer(scope).start_span(name, attributes={"llm.request.type": "chat"})
    provider.shutdown()

    spot = dialect.start(types.SimpleNamespace(name=name, attributes={}))
    assert spot is not None
    assert spot.operation == operation


@pytest.mark.parametrize(("inner_id", "calls"), [("resp_1", 1), ("resp_2", 2), ("", 2)])
def test_one_scope_of_two_instrumentations(inner_id: str, calls: int) -> None:
    """The genai-* packages' first releases share one scope: the same response told twice by it is one call."""
    scope, used = "opentelemetry.util.genai.handler", Usage(input_tokens=10, output_tokens=2)
    sightings: Sightings[str] = Sightings()
    outer = sightings.open("outer", layer=Layer.CLIENT, source=scope, now=1.0, model="gpt-4o")
    inner = sightings.open("inner", layer=Layer.CLIENT, source=scope, now=1.1, model="gpt-4o")
    done = sightings.close(inner, now=1.9, usage=used, response_id=inner_id)
    done += sightings.close(outer, now=2.0, usage=used, response_id="resp_1")
    assert sum(isinstance(one, Book) for one in done) == calls
    assert sum(isinstance(one, Release) for one in done) == 2 - calls


def test_callbacks_get_the_hard_form() -> None:
    """Inside LangChain's callback manager, which swallows every Exception, a trip is raised hard."""
    callbacks, models = (
        types.ModuleType("langchain_core.callbacks.manager"),
        types.ModuleType("langchain_core.language_models.chat_models"),
    )
    for module in (callbacks, models):
        exec("def call(inner): return inner()", module.__dict__)
    assert under_langchain() is False
    assert models.call(under_langchain) is True
    assert models.call(lambda: callbacks.call(under_langchain)) is False
    assert callbacks.call(lambda: models.call(under_langchain)) is True


def test_a_fact_told_by_another_thread_refuses_nothing() -> None:
    """Traceloop sets the prompt of an async stream in a thread of its own, where a trip stops nothing: it is booked."""
    provider = TracerProvider()
    processor = AgentFuseSpanProcessor(budget="0.001", db_path="memory://", session_id="s", request_gate=False)
    provider.add_span_processor(processor)
    span = provider.get_tracer("opentelemetry.instrumentation.anthropic").start_span(
        "anthropic.chat", attributes={"gen_ai.operation.name": "chat"}
    )
    facts = {"gen_ai.request.model": "gpt-4o", "gen_ai.input.messages": "x" * 100_000}
    told = threading.Thread(target=span.set_attributes, args=(facts,))
    told.start()
    told.join()
    assert span.is_recording()
    span.set_attributes({"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 500})
    span.end()
    (entry,) = processor.fuse.ledger.journal()
    assert (str(entry.status), entry.cost) == ("settled", 7_500_000)
    provider.shutdown()


class ChatCohere(FakeListChatModel):
    """A model of a provider that has no gate of its own."""

    responses: list[str] = ["Hello."]  # noqa: RUF012
    model: str = "command-r-plus-08-2024"
    asked: list[str] = []  # noqa: RUF012

    def _call(self, *args: Any, **kwargs: Any) -> str:
        self.asked.append("once")
        return super()._call(*args, **kwargs)

    def _stream(self, *args: Any, **kwargs: Any) -> Any:
        self.asked.append("streamed")
        return super()._stream(*args, **kwargs)


@pytest.fixture(scope="module")
def traced() -> Iterator[None]:
    """LangChain with Traceloop's spans, once: taken off, it cannot be put on again. There is room for no call."""
    provider = TracerProvider()
    provider.add_span_processor(AgentFuseSpanProcessor(budget="0.000001", db_path="memory://", request_gate=False))
    instrumentor = LangchainInstrumentor(use_attributes=False)
    instrumentor.instrument(tracer_provider=provider, logger_provider=LoggerProvider())
    yield
    instrumentor.uninstrument()
    Config.use_legacy_attributes = True
    provider.shutdown()


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("attributes", [True, False], ids=["attributes", "events"])
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_traceloop_langchain_waits_for_no_prompt_that_comes_as_an_event(
    monkeypatch: pytest.MonkeyPatch, *, attributes: bool, streamed: bool
) -> None:
    """With its prompts told as events, a call is judged once its model is known."""
    monkeypatch.setattr(Config, "use_legacy_attributes", attributes)
    model = ChatCohere(asked=[])
    with pytest.raises(SentinelBudgetExceeded):
        list(model.stream("Hi")) if streamed else model.invoke("Hi")
    assert model.asked == []


@pytest.mark.parametrize(
    "name",
    [
        "VertexAI",
        "VertexAIModelGarden",
        "GemmaVertexAIModelGarden",
        "GoogleGenerativeAI",
        "HuggingFaceEndpoint",
        "Cohere",
    ],
)
def test_openinference_langchain_knows_models_by_their_class(name: str) -> None:
    """Its spans start with LangChain's run name alone."""
    dialect = Dialects().of("openinference.instrumentation.langchain")
    assert dialect is not None
    spot = dialect.start(types.SimpleNamespace(name=name, attributes={}))
    assert spot is not None
    assert spot.operation == "chat"
    for other in (
        "RunnableSequence",
        "ChatPromptTemplate",
        "Cohere chain",
        "VectorStoreRetriever",
        "Together we stand",
    ):
        assert dialect.start(types.SimpleNamespace(name=other, attributes={})) is None
