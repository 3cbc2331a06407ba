"""AgentFuse, the circuit breaker for AI agents: refuses model calls before they are paid, books what they cost."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_fuse.api import UsageStats, boundary, init, monitor, session
    from agent_fuse.calls import Usage
    from agent_fuse.errors import (
        ConfigurationError,
        SentinelBudgetExceeded,
        SentinelError,
        SentinelLoopError,
        SentinelSystemError,
        UnknownModelError,
    )
    from agent_fuse.limits import Limit
    from agent_fuse.otel.instrumentor import AgentFuseInstrumentor
    from agent_fuse.otel.sampler import AgentFuseSampler
    from agent_fuse.otel.span_processor import AgentFuseSpanProcessor
    from agent_fuse.prices import Price

__all__ = [
    "AgentFuseInstrumentor",
    "AgentFuseSampler",
    "AgentFuseSpanProcessor",
    "ConfigurationError",
    "Limit",
    "Price",
    "SentinelBudgetExceeded",
    "SentinelError",
    "SentinelLoopError",
    "SentinelSystemError",
    "UnknownModelError",
    "Usage",
    "UsageStats",
    "boundary",
    "init",
    "monitor",
    "session",
]

_HOMES = {
    "api": ("UsageStats", "boundary", "init", "monitor", "session"),
    "calls": ("Usage",),
    "errors": (
        "ConfigurationError",
        "SentinelBudgetExceeded",
        "SentinelError",
        "SentinelLoopError",
        "SentinelSystemError",
        "UnknownModelError",
    ),
    "limits": ("Limit",),
    "otel.instrumentor": ("AgentFuseInstrumentor",),
    "otel.sampler": ("AgentFuseSampler",),
    "otel.span_processor": ("AgentFuseSpanProcessor",),
    "prices": ("Price",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: the command line starts without OpenTelemetry and prices."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
