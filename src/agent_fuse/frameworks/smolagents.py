"""smolagents: the steps of an agent, of a managed one too; it may have no name."""

from typing import Any

from agent_fuse.frameworks import Seam


def _name(agent: Any, *_: object, **__: object) -> object:
    return agent.name


SEAMS = (Seam(function="MultiStepAgent._run_stream", agent=_name),)
