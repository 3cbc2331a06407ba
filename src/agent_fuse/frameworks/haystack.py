"""Haystack: an Agent has no name but the one that it has as a component of a pipeline, or as a tool."""

from typing import Any, cast

from agent_fuse.frameworks import Seam

_AGENTS = "haystack.components.agents"


def _is_agent(component: object) -> bool:
    return any(one.__module__.startswith(_AGENTS) for one in type(component).__mro__)


def _name(component_name: object, component: Any, *_: object, **__: object) -> object:
    return component_name if _is_agent(cast("object", component.get("instance"))) else ""


def _tool(tool: Any, **__: object) -> object:
    return tool.name if _is_agent(getattr(tool, "_component", None)) else ""


SEAMS = (
    Seam(function="Pipeline._run_component", agent=_name),
    Seam(function="Pipeline._run_component_async", agent=_name),
)
TOOLS = (Seam(function="Tool.invoke", agent=_tool), Seam(function="Tool.invoke_async", agent=_tool))
