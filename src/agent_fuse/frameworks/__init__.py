"""The agent frameworks that AgentFuse knows: where each one's agents work, and what their names are.

An adapter is a table of seams, one file a framework, loaded once the module of the framework is imported that its first
seam stands in. Another package offers one under the entry point group `agent_fuse.frameworks`: the entry's name is the
module that is waited for, its value a Seam or a sequence of them.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import cast

from agent_fuse.errors import SentinelError

log = logging.getLogger("agent_fuse")

GROUP = "agent_fuse.frameworks"

_OURS = {
    "ag2.agent": "ag2",
    "agent_framework._agents": "agent_framework",
    "agents.run_internal.run_loop": "openai_agents",
    "agno.agent._run": "agno",
    "agno.models.base": "agno.MODELS",
    "agno.team._run": "agno_team",
    "agno.workflow.parallel": "agno.WORKFLOWS",
    "autogen_agentchat.agents._assistant_agent": "autogen",
    "autogen_agentchat.agents._society_of_mind_agent": "autogen.SOCIETY",
    "autogen_agentchat.teams._group_chat._base_group_chat": "autogen_team",
    "autogen_agentchat.teams._group_chat._magentic_one._magentic_one_orchestrator": "autogen_team.MAGENTIC",
    "autogen_agentchat.teams._group_chat._selector_group_chat": "autogen_team.SELECTOR",
    "crewai.agent.core": "crewai",
    "crewai.task": "crewai.TASKS",
    "dspy.adapters.types.tool": "dspy",
    "google.adk.agents.base_agent": "google_adk",
    "google.adk.runners": "google_adk_runner",
    "haystack.core.pipeline.pipeline": "haystack",
    "haystack.tools.tool": "haystack.TOOLS",
    "langgraph.pregel.main": "langgraph",
    "litellm.proxy.common_request_processing": "litellm_proxy",
    "llama_index.core.agent.workflow": "llama_index",
    "pydantic_ai.agent": "pydantic_ai",
    "smolagents.agents": "smolagents",
    "smolagents.tools": "smolagents_tools",
    "strands.agent.agent": "strands",
    "strands.multiagent.graph": "strands_graph",
    "strands.tools.executors._executor": "strands_tools",
}
"""Modules of frameworks, and our adapter for each: a file here, and the table in it, SEAMS where none is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seam:
    """A function of a framework inside which one agent, one team or one tool works."""

    function: str
    """Its name in the module: `Class.method`, or `function`; plain, a coroutine, or a generator of either kind."""
    agent: Callable[..., object] | None = None
    """The agent's name, read off the function's own arguments; empty where it has none."""
    tool: Callable[..., tuple[str, object]] | None = None
    """It is one run of a tool: the tool's name and its arguments, read off the function's own. For frameworks that keep
    tool calls out of the conversation's own fields, where AgentFuse would see them."""
    instead: Callable[[SentinelError], BaseException] | None = None
    """What it raises in a trip's stead, where whoever called it is another process."""
    soft: bool = False
    """Only an Exception gets out of it: trips inside are raised in their soft form, and leave it whole."""
    unwrap: bool = False
    """It wraps what ended it in an error of its own, the cause kept: a trip leaves it as itself, in its hard form."""
    drops: bool = False
    """It goes on where an Exception ended an agent that it ran, and never ends on anything else: trips inside are soft,
    and the last one leaves it at its end, whole. Not for plain functions."""
    let_go: Callable[..., bool] | None = None
    """Called with a trip that leaves it, and its own arguments, where somebody would wait for its end for ever. What
    returns true has told them, and the trip ends there."""


def modules() -> frozenset[str]:
    """The modules that adapters wait for."""
    return frozenset(_OURS) | frozenset(_others())


def seams_of(module: str) -> tuple[Seam, ...]:
    """The seams in a module. An adapter that cannot be loaded is left out, with a warning."""
    found: list[Seam] = []
    ours = _OURS.get(module)
    if ours is not None:
        file, _, table = ours.partition(".")
        found += getattr(import_module(f"{__name__}.{file}"), table or "SEAMS")
    for load in _others().get(module, ()):
        try:
            loaded = load()
        except Exception:
            log.warning("the adapter for %s could not be loaded", module, exc_info=True)
            continue
        many = cast("Iterable[object]", loaded) if isinstance(loaded, list | tuple) else (loaded,)
        for one in many:
            if isinstance(one, Seam):
                found.append(one)
            else:
                log.warning("the adapter for %s is %r; it must be a Seam", module, one)
    return tuple(found)


@cache
def _others() -> dict[str, list[Callable[[], object]]]:
    """What other packages offer, by the module it waits for."""
    found: dict[str, list[Callable[[], object]]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(cast("Callable[[], object]", entry.load))
    return found
