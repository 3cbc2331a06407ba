"""A real set-up: SDK provider, exporter, Traceloop's instrumentations, AgentFuse, and a loopback model provider."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import context
from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.langchain import LangchainInstrumentor
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent_fuse.otel import active
from agent_fuse.otel.opening import open_fuse
from agent_fuse.otel.span_processor import AgentFuseSpanProcessor
from agent_fuse.settings import settings
from agent_fuse.testing import LedgerReader, LoopbackProvider, Reply
from unpatch import restored

from . import kinds  # noqa: F401  every library is loaded before it is instrumented

INSTRUMENTATIONS: dict[str, list[Callable[[], Any]]] = {
    "openai": [OpenAIInstrumentor, AnthropicInstrumentor],
    "langchain": [LangchainInstrumentor],
    "both": [OpenAIInstrumentor, LangchainInstrumentor, AnthropicInstrumentor],
    "none": [],
}


@dataclass
class Rig:
    """What a test drives and looks at."""

    processor: AgentFuseSpanProcessor
    exporter: InMemorySpanExporter
    provider: LoopbackProvider
    folder: Path
    instrumentation: str

    def use(self, **options: Any) -> LedgerReader:
        """A fresh fuse with these options on a ledger of its own."""
        options.setdefault("db_path", str(self.folder / "ledger.db"))
        options.setdefault("session_id", "test")
        self.processor.use(open_fuse(settings({}, **options)))
        return self.books

    @property
    def books(self) -> LedgerReader:
        return LedgerReader(self.processor.fuse.ledger)

    def spans(self) -> list[Any]:
        return list(self.exporter.get_finished_spans())


@pytest.fixture(autouse=True)
def _guards_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processors that a test makes guard nothing after it."""
    monkeypatch.setattr(active, "_guards", active._guards)


@pytest.fixture(scope="session")
def loopback() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as provider:
        yield provider


@pytest.fixture(scope="module", params=["openai", "langchain", "both"])
def wired(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The provider with its processors, instrumented; one for a module, since instrumenting is slow."""
    tracing, exporter = TracerProvider(), InMemorySpanExporter()
    folder = tmp_path_factory.mktemp("wired")
    processor = AgentFuseSpanProcessor(budget=1, db_path=str(folder / "ledger.db"))
    tracing.add_span_processor(processor)
    tracing.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentors = [make() for make in INSTRUMENTATIONS[request.param]]
    with restored():
        for one in instrumentors:
            one.instrument(tracer_provider=tracing)
        yield processor, exporter, request.param
        for one in instrumentors:
            one.uninstrument()
    tracing.shutdown()


@pytest.fixture
def rig(wired: Any, loopback: LoopbackProvider, tmp_path: Path) -> Iterator[Rig]:
    processor, exporter, instrumentation = wired
    context.attach(context.Context())  # Traceloop leaves its suppression keys in the context of the test before
    exporter.clear()
    processor.gates.nodes._nodes.clear()
    processor.gates.nodes.settle_dropped()
    processor.gates._unfollowed.clear()
    loopback.reset()
    loopback.default = Reply()
    yield Rig(processor, exporter, loopback, tmp_path, instrumentation)
    processor.fuse.ledger.close()
