"""AutoGen's teams: they report nothing but an Exception; on anything else whoever runs one waits for ever."""

from typing import Any

from agent_fuse.frameworks import Seam

SEAMS = (Seam(function="BaseGroupChat.run_stream", soft=True),)
"""What comes out of one is a RuntimeError without a cause: the trip is raised in its stead."""


def _name(manager: Any, *_: object, **__: object) -> object:
    return manager._name  # noqa: SLF001  it has no other


SELECTOR = (Seam(function="SelectorGroupChatManager.select_speaker", agent=_name),)
"""Who speaks next is asked of a model; so it is by MagenticOne's orchestrator, which also plans. Both have a name."""
MAGENTIC = tuple(
    Seam(function=f"MagenticOneOrchestrator.{name}", agent=_name) for name in ("handle_start", "handle_agent_response")
)
