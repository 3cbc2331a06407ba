"""AutoGen: an assistant's turn, alone or in a team."""

from typing import Any

from agent_fuse.frameworks import Seam


def _name(agent: Any, *_: object, **__: object) -> object:
    return agent.name


SEAMS = (Seam(function="AssistantAgent.on_messages_stream", agent=_name),)
