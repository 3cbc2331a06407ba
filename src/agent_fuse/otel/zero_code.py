"""Zero code: `AGENTFUSE_BUDGET=5 opentelemetry-instrument python agent.py` guards an agent that knows nothing of it."""

import logging
import os
from collections.abc import Collection, Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.sdk.trace import TracerProvider

from agent_fuse.errors import ConfigurationError
from agent_fuse.otel import active, instrumentor
from agent_fuse.otel.blind import warn_of
from agent_fuse.otel.installing import wrap_sampler
from agent_fuse.otel.self_test import self_test
from agent_fuse.otel.span_processor import AgentFuseSpanProcessor
from agent_fuse.settings import OPTIONS

log = logging.getLogger("agent_fuse")


class AgentFuseInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Turns the request gate on and off, and guards a process whose environment asks for it.

    The entry point that `opentelemetry-instrument` loads. Where an option is set by its `AGENTFUSE_*` variable and no
    processor is at work, a fuse is opened and put on the global SDK provider (or the `tracer_provider` given), sampler
    included; without such a variable nothing is limited, so that merely being installed surprises nobody.
    """

    @property
    def _is_instrumented_by_opentelemetry(self) -> bool:
        """Whether the gate is on, whoever turned it on: `AgentFuseSpanProcessor` and `init()` do so by themselves."""
        return instrumentor.wanted()

    @_is_instrumented_by_opentelemetry.setter
    def _is_instrumented_by_opentelemetry(self, value: bool) -> None:
        """The base class keeps its own note; the gate's is the one that counts."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: the gate waits for whichever SDK is imported."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        instrumentor.install()
        if active.guards():
            return
        if not asked_for(os.environ):
            log.info("AgentFuse limits nothing: neither AGENTFUSE_BUDGET nor another AGENTFUSE_* option is set")
            return
        _guard(kwargs.get("tracer_provider") or trace.get_tracer_provider())

    def _uninstrument(self, **kwargs: Any) -> None:
        del kwargs
        instrumentor.uninstall()


def asked_for(environ: Mapping[str, str]) -> bool:
    """Whether any option is set by its variable."""
    return any(environ.get(option.variable, "").strip() for option in OPTIONS if option.env)


def _guard(provider: Any) -> None:
    try:
        processor = AgentFuseSpanProcessor()
    except ConfigurationError as bad:
        # opentelemetry-instrument logs an Exception and runs the agent all the same, unguarded.
        raise SystemExit(f"agent-fuse: {bad}") from bad
    if isinstance(provider, TracerProvider):
        provider.add_span_processor(processor)
        wrap_sampler(provider)
        warn_of([self_test(provider)])
    limits = ", ".join(str(limit) for limit in processor.fuse.limits)
    log.info("AgentFuse guards this process: %s", limits)
