"""AgentFuse, the circuit breaker for AI agents: refuses model calls before they are paid, books what they cost."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agent_fuse.last_word import install as _speak_up

if TYPE_CHECKING:
    from agent_fuse.alert import Alert, AlertKind
    from agent_fuse.api import agent, final, init, monitor, remaining, session
    from agent_fuse.boundaries import boundary
    from agent_fuse.calls import Usage
    from agent_fuse.errors import (
        ConfigurationError,
        SentinelBudgetExceeded,
        SentinelBudgetExceededError,
        SentinelError,
        SentinelException,
        SentinelLoopError,
        SentinelSystemError,
        UnknownModelError,
        trip_of,
    )
    from agent_fuse.limits import Limit
    from agent_fuse.manual.calls import HandCall
    from agent_fuse.manual.charges import charge
    from agent_fuse.manual.guards import guard
    from agent_fuse.manual.loop_guards import check_loop, loop_guard
    from agent_fuse.manual.pre_post_flight import call, post_flight, pre_flight
    from agent_fuse.otel.handing import session_from, session_headers
    from agent_fuse.otel.sampler import AgentFuseSampler
    from agent_fuse.otel.span_processor import AgentFuseSpanProcessor
    from agent_fuse.otel.zero_code import AgentFuseInstrumentor
    from agent_fuse.prices import Price
    from agent_fuse.spend import UsageStats
    from agent_fuse.views.checkup import Fact, doctor
    from agent_fuse.views.reading import read_ledger

__all__ = [
    "AgentFuseInstrumentor",
    "AgentFuseSampler",
    "AgentFuseSpanProcessor",
    "Alert",
    "AlertKind",
    "ConfigurationError",
    "Fact",
    "HandCall",
    "Limit",
    "Price",
    "SentinelBudgetExceeded",
    "SentinelBudgetExceededError",
    "SentinelError",
    "SentinelException",
    "SentinelLoopError",
    "SentinelSystemError",
    "UnknownModelError",
    "Usage",
    "UsageStats",
    "agent",
    "boundary",
    "call",
    "charge",
    "check_loop",
    "doctor",
    "final",
    "guard",
    "init",
    "loop_guard",
    "monitor",
    "post_flight",
    "pre_flight",
    "read_ledger",
    "remaining",
    "session",
    "session_from",
    "session_headers",
    "trip_of",
]

_HOMES = {
    "alert": ("Alert", "AlertKind"),
    "api": ("agent", "final", "init", "monitor", "remaining", "session"),
    "boundaries": ("boundary",),
    "manual.pre_post_flight": ("call", "post_flight", "pre_flight"),
    "calls": ("Usage",),
    "views.checkup": ("Fact", "doctor"),
    "views.reading": ("read_ledger",),
    "errors": (
        "ConfigurationError",
        "SentinelBudgetExceeded",
        "SentinelBudgetExceededError",
        "SentinelError",
        "SentinelException",
        "SentinelLoopError",
        "SentinelSystemError",
        "UnknownModelError",
        "trip_of",
    ),
    "manual.charges": ("charge",),
    "manual.guards": ("guard",),
    "manual.calls": ("HandCall",),
    "limits": ("Limit",),
    "manual.loop_guards": ("check_loop", "loop_guard"),
    "otel.handing": ("session_from", "session_headers"),
    "otel.sampler": ("AgentFuseSampler",),
    "otel.span_processor": ("AgentFuseSpanProcessor",),
    "otel.zero_code": ("AgentFuseInstrumentor",),
    "prices": ("Price",),
    "spend": ("UsageStats",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


_speak_up()


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: the command line starts without OpenTelemetry and prices."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
