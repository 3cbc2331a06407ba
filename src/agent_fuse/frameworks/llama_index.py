"""LlamaIndex: one step of an agent, alone or in a workflow; on anything but an Exception its events never end."""

from typing import Any

from agent_fuse.frameworks import Seam


def _name(agent: Any, *_: object, **__: object) -> object:
    return agent.name


SEAMS = tuple(
    Seam(function=f"{kind}.take_step", agent=_name, soft=True)
    for kind in ("FunctionAgent", "ReActAgent", "CodeActAgent")
)
