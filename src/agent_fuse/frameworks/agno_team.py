"""Agno's teams: their leader is an agent of the team's name."""

from typing import Any

from agent_fuse.frameworks import Seam


def _name(team: Any, *_: object, **__: object) -> object:
    return team.name or team.id


SEAMS = tuple(Seam(function=name, agent=_name) for name in ("_run", "_run_stream", "_arun", "_arun_stream"))
