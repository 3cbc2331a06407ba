"""Microsoft's agent framework: the team is an agent that has another as a tool."""

import asyncio
import json

from agent_fuse.testing import Reply, Request
from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("agent-framework-core", "agent-framework-openai", "agent-framework-orchestrations", "openai")
ASKED = "What is the answer?"


def made(world: World, name: str, tools=()):
    from agent_framework import Agent
    from agent_framework.openai import OpenAIChatCompletionClient

    client = OpenAIChatCompletionClient(model=MODEL, api_key="none", base_url=world.base_url)
    return Agent(client, "Answer.", name=name, tools=[world.lookup, *tools])


def async_agent(world: World, name: str) -> AsyncRun:
    async def run():
        return await made(world, name).run(ASKED)

    return run


def agent(world: World, name: str) -> Run:
    return lambda: asyncio.run(async_agent(world, name)())


def streamed(world: World, name: str) -> Run:
    async def run():
        return [one async for one in made(world, name).run(ASKED, stream=True)]

    return lambda: asyncio.run(run())


def team(world: World, names: tuple[str, str]) -> Run:
    async def run():
        other = made(world, names[1])

        async def delegate(query: str) -> str:
            """Ask the other agent."""
            return str(await other.run(query))

        return await made(world, names[0], [delegate]).run(ASKED)

    world.ask_first("delegate")
    return lambda: asyncio.run(run())


def _workflow(world: World, names: tuple[str, str], build) -> Run:
    """What a builder makes of both; its agents, like their clients, belong to one event loop."""

    async def run():
        return await build([made(world, name) for name in names]).run(ASKED)

    return lambda: asyncio.run(run())


def sequential(world: World, names: tuple[str, str]) -> Run:
    from agent_framework_orchestrations import SequentialBuilder

    return _workflow(world, names, lambda agents: SequentialBuilder(participants=agents).build())


def concurrent(world: World, names: tuple[str, str]) -> Run:
    from agent_framework_orchestrations import ConcurrentBuilder

    return _workflow(world, names, lambda agents: ConcurrentBuilder(participants=agents).build())


def streamed_workflow(world: World, names: tuple[str, str]) -> Run:
    """One after the other, the workflow's events read as they come."""
    from agent_framework_orchestrations import SequentialBuilder

    async def run():
        workflow = SequentialBuilder(participants=[made(world, name) for name in names]).build()
        return [one async for one in workflow.run(ASKED, stream=True)]

    return lambda: asyncio.run(run())


def hand_off(world: World, names: tuple[str, str]) -> Run:
    """The first hands over to the second by a tool of the builder's."""
    from agent_framework_orchestrations import HandoffBuilder

    def built(agents):
        for one in agents:
            one.require_per_service_call_history_persistence = True
        builder = HandoffBuilder(participants=agents, termination_condition=lambda said: len(said) > 3)
        return builder.add_handoff(agents[0], agents[1:]).with_start_agent(agents[0]).build()

    world.ask_first(f"handoff_to_{names[1]}", {})
    return _workflow(world, names, built)


def group_chat(world: World, names: tuple[str, str]) -> Run:
    from agent_framework_orchestrations import GroupChatBuilder

    turns = iter(names * 9)

    def built(agents):
        return GroupChatBuilder(participants=agents, selection_func=lambda _: next(turns), max_rounds=2).build()

    return _workflow(world, names, built)


def magentic(world: World, names: tuple[str, str]) -> Run:
    """The first plans, and says who speaks next: the second."""
    from agent_framework_orchestrations import MagenticBuilder

    judged: list[str] = []

    def planned(request: Request) -> Reply | None:
        asked = str(request.body["messages"][-1])
        if "is_request_satisfied" in asked:
            judged.append(asked)
            said = {"is_request_satisfied": len(judged) > 1, "is_in_loop": False, "is_progress_being_made": True}
            said |= {"next_speaker": names[1], "instruction_or_question": ASKED}
            return Reply(text=json.dumps({key: {"reason": "", "answer": one} for key, one in said.items()}))
        return None if request.body.get("tools") else Reply(text="A plan.")

    def built(agents):
        from agent_framework import Agent

        manager = Agent(agents[0].client, "Plan.", name=names[0])
        return MagenticBuilder(participants=agents[1:], manager_agent=manager, max_round_count=4).build()

    world.hand_over = planned
    return _workflow(world, names, built)


FORMS = {
    "sequential": sequential,
    "streamed": streamed_workflow,
    "concurrent": concurrent,
    "hand-off": hand_off,
    "group chat": group_chat,
    "Magentic": magentic,
}


def instrument(provider) -> None:
    from agent_framework.observability import enable_instrumentation

    enable_instrumentation()
