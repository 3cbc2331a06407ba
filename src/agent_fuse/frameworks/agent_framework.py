"""Microsoft's agent framework: the run of an agent, alone, as a tool, or in a workflow."""

from typing import Any

from agent_fuse.frameworks import Seam


def _name(agent: Any, *_: object, **__: object) -> object:
    return agent.name


SEAMS = (Seam(function="RawAgent.run", agent=_name),)
"""A streamed run begins when it is read: each piece of it is the agent's turn."""
