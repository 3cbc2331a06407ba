"""CrewAI: an agent's name is its role."""

from typing import Any

from agent_fuse.errors import SentinelError
from agent_fuse.frameworks import Seam


def _role(agent: Any, *_: object, **__: object) -> object:
    return str(agent.role).strip()


SEAMS = tuple(
    Seam(function=f"Agent.{name}", agent=_role)
    for name in ("execute_task", "aexecute_task", "kickoff", "kickoff_async")
)


def _told(trip: SentinelError, *given: Any, **named: Any) -> bool:
    future = named["future"] if named else given[-1]
    future.set_exception(trip)
    return True


TASKS = (Seam(function="Task._execute_task_async", let_go=_told),)
"""A task that is run in a thread of its own; whoever waits for it does so for ever on anything but an Exception."""
