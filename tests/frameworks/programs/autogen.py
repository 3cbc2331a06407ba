"""AutoGen: assistants in a RoundRobinGroupChat."""

import asyncio
import json

from agent_fuse.testing import Reply, Request
from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("autogen-agentchat", "autogen-ext", "openai")
ASKED = "What is the answer?"


def _assistants(world: World, *names: str, stream: bool = False, tools=()):
    from autogen_agentchat.agents import AssistantAgent
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    return [
        AssistantAgent(
            name,
            model_client=OpenAIChatCompletionClient(model=MODEL),
            tools=[world.lookup, *tools],
            max_tool_iterations=40,
            model_client_stream=stream,
        )
        for name in names
    ]


def group(world: World, *names: str, stream: bool = False):
    from autogen_agentchat.conditions import MaxMessageTermination
    from autogen_agentchat.teams import RoundRobinGroupChat

    agents = _assistants(world, *names, stream=stream)
    return RoundRobinGroupChat(agents, termination_condition=MaxMessageTermination(4 * len(names)))


def agent(world: World, name: str) -> Run:
    return lambda: asyncio.run(group(world, name).run(task="What is the answer?"))


def async_agent(world: World, name: str) -> AsyncRun:
    return lambda: group(world, name).run(task="What is the answer?")


def streamed(world: World, name: str) -> Run:
    async def run():
        return [one async for one in group(world, name, stream=True).run_stream(task="What is the answer?")]

    return lambda: asyncio.run(run())


def team(world: World, names: tuple[str, str]) -> Run:
    return lambda: asyncio.run(group(world, *names).run(task="What is the answer?"))


def swarm(world: World, names: tuple[str, str]) -> Run:
    """The first hands over to the second."""
    from autogen_agentchat.agents import AssistantAgent
    from autogen_agentchat.conditions import MaxMessageTermination
    from autogen_agentchat.teams import Swarm
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    def made(name: str, *others: str):
        client = OpenAIChatCompletionClient(model=MODEL)
        return AssistantAgent(name, client, tools=[world.lookup], handoffs=list(others), max_tool_iterations=40)

    world.ask_first(f"transfer_to_{names[1]}", {})
    return lambda: asyncio.run(
        Swarm([made(*names), made(names[1])], termination_condition=MaxMessageTermination(8)).run(task=ASKED)
    )


def _model():
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    return OpenAIChatCompletionClient(model=MODEL)


def selected(world: World, names: tuple[str, str]) -> Run:
    """A model picks who speaks next: a call of the team's own."""
    from autogen_agentchat.conditions import MaxMessageTermination
    from autogen_agentchat.teams import SelectorGroupChat

    turns = iter(names * 9)
    world.hand_over = lambda request: None if request.body.get("tools") else Reply(text=next(turns))

    async def run():
        agents = _assistants(world, *names)
        ended = MaxMessageTermination(3)
        return await SelectorGroupChat(agents, _model(), termination_condition=ended, allow_repeated_speaker=True).run(
            task=ASKED
        )

    return lambda: asyncio.run(run())


def magentic(world: World, names: tuple[str, str]) -> Run:
    """MagenticOne's orchestrator plans and says who speaks next: calls of the team's own."""
    from autogen_agentchat.teams import MagenticOneGroupChat

    turns = iter(names * 9)
    judged: list[str] = []

    def planned(request: Request) -> Reply | None:
        if request.body.get("tools"):
            return None
        asked = str(request.body["messages"][-1])
        if "is_request_satisfied" not in asked:
            return Reply(text="A plan.")
        judged.append(asked)
        said = {"is_request_satisfied": len(judged) > len(names), "is_in_loop": False, "is_progress_being_made": True}
        said |= {"next_speaker": next(turns), "instruction_or_question": ASKED}
        return Reply(text=json.dumps({key: {"reason": "", "answer": one} for key, one in said.items()}))

    world.hand_over = planned
    return lambda: asyncio.run(MagenticOneGroupChat(_assistants(world, *names), _model()).run(task=ASKED))


def as_tool(world: World, names: tuple[str, str]) -> Run:
    """The second is a tool of the first."""
    from autogen_agentchat.tools import AgentTool

    async def run():
        second = AgentTool(_assistants(world, names[1])[0])
        return await _assistants(world, names[0], tools=[second])[0].run(task=ASKED)

    world.ask_first(names[1], {"task": ASKED})
    return lambda: asyncio.run(run())


def flow(world: World, names: tuple[str, str]) -> Run:
    """A graph of both."""
    from autogen_agentchat.teams import DiGraphBuilder, GraphFlow

    async def run():
        first, second = agents = _assistants(world, *names)
        graph = DiGraphBuilder().add_node(first).add_node(second).add_edge(first, second).build()
        return await GraphFlow(agents, graph).run(task=ASKED)

    return lambda: asyncio.run(run())


def nested(world: World, names: tuple[str, str]) -> Run:
    """A team is a member of another, which tells in the end what was said in it."""
    from autogen_agentchat.agents import SocietyOfMindAgent
    from autogen_agentchat.conditions import MaxMessageTermination
    from autogen_agentchat.teams import RoundRobinGroupChat

    world.hand_over = lambda request: None if request.body.get("tools") else Reply(text=world.answer)

    async def run():
        society = SocietyOfMindAgent(names[1], group(world, "inner"), _model())
        ended = MaxMessageTermination(3)
        return await RoundRobinGroupChat([*_assistants(world, names[0]), society], termination_condition=ended).run(
            task=ASKED
        )

    return lambda: asyncio.run(run())


FORMS = {
    "Swarm": swarm,
    "SelectorGroupChat": selected,
    "MagenticOne": magentic,
    "agents as tools": as_tool,
    "GraphFlow": flow,
    "society of mind": nested,
}


def instrument(provider) -> None:
    """AutoGen makes spans of its own with the global provider."""
