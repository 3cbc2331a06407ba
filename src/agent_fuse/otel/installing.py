"""What `init()` does to a tracer provider: wraps its sampler, and turns on the instrumentations that are used."""

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from agent_fuse.otel import langchain_tools, openai_spans
from agent_fuse.otel.sampler import AgentFuseSampler

_MAX_PROCESSORS = 1_000


def global_provider() -> TracerProvider | None:
    """The SDK's provider that is the global one, or that a proxy set in its place (logfire's) makes its spans with."""
    found: object = trace.get_tracer_provider()
    held = (found, *getattr(found, "__dict__", {}).values())
    return next((one for one in held if isinstance(one, TracerProvider)), None)


def wrap_sampler(provider: TracerProvider) -> None:
    """Put AgentFuseSampler around the provider's sampler, also in the tracers that were handed out already."""
    if not isinstance(provider.sampler, AgentFuseSampler):
        provider.sampler = AgentFuseSampler(provider.sampler)
    for tracer in list(getattr(provider, "_tracers", {}).values()):
        if not isinstance(tracer.sampler, AgentFuseSampler):
            tracer.sampler = AgentFuseSampler(tracer.sampler)


def is_on(provider: TracerProvider, processor: SpanProcessor) -> bool:
    """Whether a provider hands its spans to this processor, directly or through processors that wrap others."""
    waiting: list[object] = [getattr(provider, "_active_span_processor", None)]
    for _ in range(_MAX_PROCESSORS):
        if not waiting:
            return False
        one = waiting.pop()
        if one is processor:
            return True
        for held in vars(one).values() if isinstance(one, SpanProcessor) else ():
            waiting += held if isinstance(held, tuple | list) else (held,)
    return False


def instrument_when_used(provider: TracerProvider) -> None:
    """Turn on the installed instrumentations of openai and langchain, now or once those are imported."""
    openai_spans.turn_on_when_used(provider)
    langchain_tools.turn_on_when_used(provider)
