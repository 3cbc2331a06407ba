"""AG2: one turn of an agent."""

from typing import Any

from agent_fuse.frameworks import Seam


def _name(agent: Any, *_: object, **__: object) -> object:
    return agent.name


SEAMS = (Seam(function="Agent._turn_scope", agent=_name),)
