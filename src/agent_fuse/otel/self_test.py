"""The self-test: a probe span that must be refused proves that a trip raised at a span's start reaches the caller."""

from copy import copy
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, Tracer, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, StaticSampler

from agent_fuse.errors import SentinelError, SentinelSystemError
from agent_fuse.otel import active
from agent_fuse.otel.blind import blind_at_start
from agent_fuse.otel.facts import Fact, blind, ok
from agent_fuse.otel.trips import finish_refused

PROBE = "agent_fuse.self_test"
"""Name of the probe span; the very object, so that no span of a user's is ever taken for it."""


def self_test(provider: TracerProvider) -> Fact:
    """Start a probe span on the provider; its AgentFuse processor must refuse it.

    No processor but AgentFuse's own sees the probe, no ledger is touched, and nothing is exported.
    """
    for fact in blind_at_start():
        return fact
    tracer: Any = provider.get_tracer(PROBE)
    chain = guards_only(getattr(tracer, "span_processor", None))
    if not isinstance(tracer, Tracer) or chain is None:
        return blind("the self-test found no AgentFuse processor at the provider's spans", "call agent_fuse.init()")
    own: Any = copy(tracer)
    own.sampler, own.span_processor = StaticSampler(Decision.RECORD_ONLY), chain
    if hasattr(own, "_tracer_config"):
        own._tracer_config = type(own._tracer_config)(is_enabled=True)  # noqa: SLF001
    try:
        own.start_span(PROBE, context=Context())
    except SentinelError:
        return ok("self-test: a trip raised when a span starts reaches the caller")
    return blind(
        "self-test: a trip raised when a span starts does not reach the caller, so no span gate can stop a call",
        "use the SDK's SynchronousMultiSpanProcessor, and opentelemetry-sdk as installed",
    )


def refuse_probe(span: Span) -> None:
    """What a processor does with the probe.

    Raises:
        SentinelSystemError: always.
    """
    trip = SentinelSystemError("the self-test's probe", operation="self-test", original_error=None, retry_count=0)
    finish_refused(span, trip)
    raise trip


def guards_of(processors: object) -> tuple[object, ...]:
    """AgentFuse's processors among those of a provider."""
    every: tuple[object, ...] = getattr(processors, "_span_processors", ())
    known = active.guards()
    return tuple(one for one in every if any(one is guard for guard in known))


def guards_only(processors: object) -> object | None:
    """The same kind of multi-processor with AgentFuse's processors alone; None where there are none."""
    found = guards_of(processors)
    if not found:
        return None
    chain: Any = copy(processors)
    chain._span_processors = found  # noqa: SLF001
    return chain  # type: ignore[no-any-return]
