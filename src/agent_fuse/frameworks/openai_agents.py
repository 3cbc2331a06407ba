"""openai-agents: each turn of a run is one agent's, which a handoff may change."""

from typing import Any

from agent_fuse.frameworks import Seam


def _name(*arguments: Any, bindings: Any = None, **_: object) -> object:
    if bindings is None:
        bindings = next(one for one in arguments if hasattr(one, "public_agent"))
    return bindings.public_agent.name


SEAMS = (Seam(function="get_new_response", agent=_name), Seam(function="run_single_turn_streamed", agent=_name))
