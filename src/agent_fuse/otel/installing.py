"""What `init()` does to a tracer provider: wraps its sampler, and turns on the instrumentations that are installed."""

import importlib
import logging

from opentelemetry.sdk.trace import TracerProvider

from agent_fuse.otel.sampler import AgentFuseSampler

log = logging.getLogger("agent_fuse")

_INSTRUMENTORS = (
    ("openai", "opentelemetry.instrumentation.openai", "OpenAIInstrumentor"),
    ("langchain_core", "opentelemetry.instrumentation.langchain", "LangchainInstrumentor"),
)


def wrap_sampler(provider: TracerProvider) -> None:
    """Put AgentFuseSampler around the provider's sampler, also in the tracers that were handed out already."""
    if not isinstance(provider.sampler, AgentFuseSampler):
        provider.sampler = AgentFuseSampler(provider.sampler)
    for tracer in list(getattr(provider, "_tracers", {}).values()):
        if not isinstance(tracer.sampler, AgentFuseSampler):
            tracer.sampler = AgentFuseSampler(tracer.sampler)


def instrument_installed(provider: TracerProvider) -> list[str]:
    """Turn on the openai and langchain instrumentations that are installed, unless they are. Returns their names."""
    turned_on: list[str] = []
    for library, module, name in _INSTRUMENTORS:
        try:
            importlib.import_module(library)
            instrumentor = getattr(importlib.import_module(module), name)()
        except ImportError:
            continue
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument(tracer_provider=provider)
            turned_on.append(module)
    return turned_on
