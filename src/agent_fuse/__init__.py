"""AgentFuse, the circuit breaker for AI agents: refuses model calls before they are paid, books what they cost."""

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
