"""AutoGen: an assistant's turn, alone or in a team, and its runs of tools, for whose end it waits."""

from typing import Any

from agent_fuse.frameworks import Seam


def _name(agent: Any, *_: object, **__: object) -> object:
    return agent.name


def _end(*_: object, stream: Any, **__: object) -> bool:
    stream.put_nowait(None)
    return False


SEAMS = (
    Seam(function="AssistantAgent.on_messages_stream", agent=_name),
    Seam(function="AssistantAgent._execute_tool_call", let_go=_end),
)

SOCIETY = (Seam(function="SocietyOfMindAgent.on_messages_stream", agent=_name),)
"""What it says at the end, of what its team said, is its own."""
