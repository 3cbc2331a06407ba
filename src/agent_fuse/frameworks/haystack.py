"""Haystack: an Agent has no name but the one that it has as a component of a pipeline."""

from typing import Any, cast

from agent_fuse.frameworks import Seam

_AGENTS = "haystack.components.agents"


def _name(component_name: object, component: Any, *_: object, **__: object) -> object:
    kind = type(cast("object", component.get("instance")))
    return component_name if any(one.__module__.startswith(_AGENTS) for one in kind.__mro__) else ""


SEAMS = (
    Seam(function="Pipeline._run_component", agent=_name),
    Seam(function="Pipeline._run_component_async", agent=_name),
)
