"""Zero code: `AGENTFUSE_BUDGET=5 opentelemetry-instrument python agent.py` guards an agent that knows nothing of it.

The guard itself is put there earlier, by the entry points of `agent_fuse.running`; this is the last of them.
"""

import logging
import os
from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.sdk.trace import TracerProvider

from agent_fuse.otel import active, every_provider, instrumentor
from agent_fuse.otel.asking import asked_for
from agent_fuse.otel.process_guard import CannotGuard, guard_process, process_guard

log = logging.getLogger("agent_fuse")


class AgentFuseInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Turns the request gate on and off, and guards a process whose environment asks for it.

    Where an `AGENTFUSE_*` variable is set and no processor is at work, a fuse is opened and put on every provider of
    the SDK (also the `tracer_provider` given), sampler included; without such a variable nothing is limited, so that
    merely being installed surprises nobody. Where the process is guarded from outside, its `request_gate` holds.
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

    def instrument(self, **kwargs: Any) -> Any:
        """See BaseInstrumentor, which would warn of a process that is guarded already: our entry points come first."""
        guarded = process_guard() is not None and instrumentor.wanted()
        return None if guarded else super().instrument(**kwargs)

    def _instrument(self, **kwargs: Any) -> None:
        if not active.guards():
            if asked_for(os.environ):
                _guard(kwargs.get("tracer_provider"))
            else:
                log.info("AgentFuse limits nothing: neither AGENTFUSE_BUDGET nor another AGENTFUSE_* option is set")
        guard = process_guard()
        if guard is None or guard.fuse.settings.request_gate:
            instrumentor.install()

    def _uninstrument(self, **kwargs: Any) -> None:
        del kwargs
        instrumentor.uninstall()


def _guard(provider: object) -> None:
    try:
        guard_process()
    except CannotGuard as why:
        raise why.__cause__ or why from None
    if isinstance(provider, TracerProvider):
        every_provider.adopt(provider)
