"""pydantic-ai: an agent's run, whole or step by step."""

from typing import Any

from agent_fuse.frameworks import Seam


def _name(agent: Any, *_: object, **__: object) -> object:
    return agent.name


SEAMS = (Seam(function="Agent.iter", agent=_name),)
