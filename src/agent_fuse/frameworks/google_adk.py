"""Google ADK: the run of an agent; one that runs others (SequentialAgent) makes no calls itself."""

from typing import Any

from agent_fuse.frameworks import Seam


def _name(agent: Any, *_: object, **__: object) -> object:
    return agent.name


SEAMS = (
    Seam(function="BaseAgent.run_async", agent=_name),
    Seam(function="BaseAgent.run_live", agent=_name),
)
