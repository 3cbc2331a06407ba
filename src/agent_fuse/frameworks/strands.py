"""Strands Agents: the run of an agent; without a name of its own it has the framework's."""

from typing import Any

from agent_fuse.frameworks import Seam

_UNNAMED = "Strands Agents"


def _name(agent: Any, *_: object, **__: object) -> object:
    return agent.name if agent.name != _UNNAMED else ""


SEAMS = (Seam(function="Agent.stream_async", agent=_name, unwrap=True),)
