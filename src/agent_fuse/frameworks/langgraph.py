"""LangGraph: a graph that `create_agent` or `create_react_agent` made is an agent; any other is a workflow."""

from typing import Any

from agent_fuse.frameworks import Seam

_UNNAMED = "LangGraph"
_OF_AGENTS = frozenset({"agent", "model"})
"""Names of the node that calls the model in a graph of `create_react_agent`."""


def _name(graph: Any, *_: object, **__: object) -> object:
    config: dict[str, Any] = graph.config or {}
    told: dict[str, Any] = config.get("metadata") or {}
    said: object = told.get("lc_agent_name")
    if said:
        return said
    return graph.name if graph.name != _UNNAMED and not _OF_AGENTS.isdisjoint(graph.nodes) else ""


SEAMS = (Seam(function="Pregel.stream", agent=_name), Seam(function="Pregel.astream", agent=_name))
