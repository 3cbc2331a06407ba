"""Google ADK's own spans: they start with nothing but a name, and tell the rest by and by."""

from agent_fuse.dialects.base import Dialect, SpanRole
from agent_fuse.dialects.otel import KEYS, KINDS
from agent_fuse.sightings import Layer

_MODEL, _TOOL = "generate_content ", "execute_tool "


def _kind_of_name(name: str) -> tuple[SpanRole, str] | None:
    if name.startswith(_MODEL):
        return SpanRole.MODEL, "generate_content"
    if name.startswith(_TOOL):  # several at once lie in a span of their own, which is none
        return None if name.endswith("(merged)") else (SpanRole.TOOL, name.removeprefix(_TOOL))
    return (SpanRole.AGENT, "") if name.startswith("invoke_agent ") or name == "invocation" else None


GOOGLE_ADK = Dialect(
    name="google-adk",
    scopes=("gcp.vertex.agent",),
    layer=Layer.FRAMEWORK,
    keys=KEYS,
    kinds=KINDS,
    kind_of_name=_kind_of_name,
    model_of_name=lambda name: name.removeprefix(_MODEL),
)
"""`call_llm`, around a call, sums up what the call inside tells: it is no second call.

`gcp.vertex.agent.tool_call_args` is `{}` where content is not recorded, so it tells no arguments.
"""

DIALECTS = (GOOGLE_ADK,)
