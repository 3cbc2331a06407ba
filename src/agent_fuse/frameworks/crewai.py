"""CrewAI: an agent's name is its role."""

from typing import Any

from agent_fuse.frameworks import Seam


def _role(agent: Any, *_: object, **__: object) -> object:
    return str(agent.role).strip()


SEAMS = tuple(
    Seam(function=f"Agent.{name}", agent=_role)
    for name in ("execute_task", "aexecute_task", "kickoff", "kickoff_async")
)
