"""Strands Agents' own spans: each starts with nothing but a name, and is told the rest at once."""

from agent_fuse.dialects.base import Dialect, Field, SpanRole
from agent_fuse.dialects.otel import KEYS, KINDS
from agent_fuse.sightings import Layer

_TOOL = "execute_tool "


def _kind_of_name(name: str) -> tuple[SpanRole, str] | None:
    if name == "chat":
        return SpanRole.MODEL, "chat"
    if name.startswith(_TOOL):
        return SpanRole.TOOL, name.removeprefix(_TOOL)
    return (SpanRole.AGENT, "") if name.startswith("invoke_agent ") else None


STRANDS = Dialect(
    name="strands",
    scopes=("strands.telemetry.tracer",),
    layer=Layer.FRAMEWORK,
    keys=KEYS,
    kinds=KINDS,
    kind_of_name=_kind_of_name,
    late_facts=frozenset({Field.MODEL}),
)

DIALECTS = (STRANDS,)
