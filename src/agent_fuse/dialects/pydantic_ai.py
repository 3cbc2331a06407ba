"""Pydantic's own spans: pydantic-ai's, by every version of its settings (1 to 5), and Logfire's around model SDKs."""

from collections.abc import Mapping
from typing import NamedTuple

from agent_fuse.dialects.base import Attributes, Dialect, Field, SpanRole, Spot
from agent_fuse.dialects.otel import KEYS, KINDS
from agent_fuse.sightings import Layer

_KEYS: Mapping[Field, tuple[str, ...]] = {
    **KEYS,
    Field.AGENT: ("gen_ai.agent.name", "agent_name"),
    Field.ARGUMENTS: ("gen_ai.tool.call.arguments", "tool_arguments"),
    Field.RESULT: ("gen_ai.tool.call.result", "tool_response"),
    Field.CACHE_READ: (*KEYS[Field.CACHE_READ], "gen_ai.usage.details.cache_read_tokens"),
    Field.CACHE_WRITE: (*KEYS[Field.CACHE_WRITE], "gen_ai.usage.details.cache_write_tokens"),
    Field.REASONING: (*KEYS[Field.REASONING], "gen_ai.usage.details.reasoning_tokens"),
}


def _kind_of_name(name: str) -> tuple[SpanRole, str] | None:
    """For releases whose agent and tool spans name no operation."""
    if name == "agent run":
        return SpanRole.AGENT, ""
    return (SpanRole.TOOL, "") if name == "running tool" else None


PYDANTIC_AI = Dialect(
    name="pydantic-ai",
    scopes=("pydantic-ai", "logfire.pydantic-ai"),
    layer=Layer.FRAMEWORK,
    keys=_KEYS,
    kinds=KINDS,
    kind_of_name=_kind_of_name,
    model_of_name=lambda name: name.removeprefix("chat ") if name.startswith("chat ") else "",
    late_facts=frozenset({Field.MAX_TOKENS}),
)
"""Its agent span sums its calls up under `gen_ai.aggregated_usage.*`, which no row here names: it is no second call."""


class _Starting(NamedTuple):
    name: str
    attributes: Attributes


_AROUND_SDKS = Dialect(name="logfire", scopes=(), keys=KEYS, kinds=KINDS, gate_follows=True)


def _spot_of(attributes: Attributes) -> Spot | None:
    """What it writes down when a stream is over is a span too, with operation and usage; it is no second call."""
    return _AROUND_SDKS.start(_Starting("", attributes)) if attributes.get("logfire.span_type") == "span" else None


LOGFIRE = Dialect(name="logfire", scopes=("logfire.openai", "logfire.anthropic"), keys=KEYS, spot_of=_spot_of)
"""Of `instrument_openai` and `instrument_anthropic` (logfire 5.4, 2026-11)."""

DIALECTS = (PYDANTIC_AI, LOGFIRE)
