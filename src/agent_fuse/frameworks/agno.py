"""Agno: the run of an agent, alone or as a team's member."""

from typing import Any

from agent_fuse.frameworks import Seam


def _name(agent: Any, *_: object, **__: object) -> object:
    return agent.name or agent.id


SEAMS = tuple(Seam(function=name, agent=_name) for name in ("_run", "_run_stream", "_arun", "_arun_stream"))

MODELS = (Seam(function="Model.arun_function_calls", drops=True),)
"""Where a tool's answer is streamed, as a member's is, whoever reads it waits for ever on anything but an Exception."""
WORKFLOWS = tuple(
    Seam(function=f"Parallel.{name}", drops=True) for name in ("aexecute", "execute_stream", "aexecute_stream")
)
"""A step that failed is an answer like others to the rest of a workflow."""
