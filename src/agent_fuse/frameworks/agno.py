"""Agno: the run of an agent, alone or as a team's member."""

from typing import Any

from agent_fuse.frameworks import Seam


def _name(agent: Any, *_: object, **__: object) -> object:
    return agent.name or agent.id


SEAMS = tuple(Seam(function=name, agent=_name) for name in ("_run", "_run_stream", "_arun", "_arun_stream"))
