"""How each instrumentation is turned on, and how a session is named in its own way."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from opentelemetry import context
from opentelemetry.sdk.trace import TracerProvider

from .place import Place


def _instrumentor(module: str, name: str, **options: Any) -> Callable[[TracerProvider], None]:
    def turn_on(tracing: TracerProvider) -> None:
        getattr(importlib.import_module(module), name)().instrument(tracer_provider=tracing, **options)

    return turn_on


def _httpx(tracing: TracerProvider) -> None:
    """HTTP client spans of httpx, and of httpx2 where this release knows it."""
    module = importlib.import_module("opentelemetry.instrumentation.httpx")
    for name in ("HTTPXClientInstrumentor", "HTTPX2ClientInstrumentor"):
        if hasattr(module, name):
            getattr(module, name)().instrument(tracer_provider=tracing)


def _anthropic_own(tracing: TracerProvider) -> None:
    """The anthropic SDK's own spans go to the global provider, and are on unless its environment says otherwise."""
    del tracing


def _pydantic_ai(version: int | None) -> Callable[[TracerProvider], None]:
    def turn_on(tracing: TracerProvider) -> None:
        from pydantic_ai import Agent
        from pydantic_ai.agent import InstrumentationSettings

        options: Any = {} if version is None else {"version": version}
        Agent.instrument_all(InstrumentationSettings(tracer_provider=tracing, **options))

    return turn_on


def _litellm(tracing: TracerProvider) -> None:
    import litellm
    from litellm.integrations.opentelemetry import OpenTelemetry, OpenTelemetryConfig

    del tracing
    litellm.callbacks = [OpenTelemetry(config=OpenTelemetryConfig(exporter="console"))]


SWITCHES: dict[str, Callable[[TracerProvider], None]] = {
    "tl-openai": _instrumentor("opentelemetry.instrumentation.openai", "OpenAIInstrumentor"),
    "tl-anthropic": _instrumentor("opentelemetry.instrumentation.anthropic", "AnthropicInstrumentor"),
    "tl-langchain": _instrumentor("opentelemetry.instrumentation.langchain", "LangchainInstrumentor"),
    "tl-agents": _instrumentor("opentelemetry.instrumentation.openai_agents", "OpenAIAgentsInstrumentor"),
    "tl-google": _instrumentor("opentelemetry.instrumentation.google_generativeai", "GoogleGenerativeAiInstrumentor"),
    "genai-openai": _instrumentor("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor"),
    "genai-anthropic": _instrumentor("opentelemetry.instrumentation.genai.anthropic", "AnthropicInstrumentor"),
    "genai-langchain": _instrumentor("opentelemetry.instrumentation.genai.langchain", "LangChainInstrumentor"),
    "genai-agents": _instrumentor("opentelemetry.instrumentation.genai.openai_agents", "OpenAIAgentsInstrumentor"),
    "genai-google": _instrumentor("opentelemetry.instrumentation.google_genai", "GoogleGenAiSdkInstrumentor"),
    "openai-v2": _instrumentor("opentelemetry.instrumentation.openai_v2", "OpenAIInstrumentor"),
    "oi-openai": _instrumentor("openinference.instrumentation.openai", "OpenAIInstrumentor"),
    "oi-anthropic": _instrumentor("openinference.instrumentation.anthropic", "AnthropicInstrumentor"),
    "oi-langchain": _instrumentor("openinference.instrumentation.langchain", "LangChainInstrumentor"),
    "anthropic-own": _anthropic_own,
    "pydantic-ai": _pydantic_ai(None),
    "pydantic-ai-1": _pydantic_ai(1),
    "pydantic-ai-2": _pydantic_ai(2),
    "pydantic-ai-3": _pydantic_ai(3),
    "pydantic-ai-4": _pydantic_ai(4),
    "pydantic-ai-6": _pydantic_ai(6),
    "litellm": _litellm,
    "httpx": _httpx,
}


@contextmanager
def _association(place: Place, session: str) -> Iterator[None]:
    """What traceloop-sdk's `Traceloop.set_association_properties` does."""
    token = context.attach(context.set_value("association_properties", {"session_id": session}))
    try:
        yield
    finally:
        context.detach(token)


@contextmanager
def _using_session(place: Place, session: str) -> Iterator[None]:
    """OpenInference's `using_session`."""
    from openinference.instrumentation import using_session

    with using_session(session):
        yield


NAMING: dict[str, Callable[[Place, str], AbstractContextManager[None]]] = {
    "association properties": _association,
    "using_session": _using_session,
    "metadata session_id": Place.naming,
    "conversation_id": Place.naming,
    "group_id": Place.naming,
}
"""How a session is named in an instrumentation's own way."""
