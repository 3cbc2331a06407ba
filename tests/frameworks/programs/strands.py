"""Strands Agents: the team is a Graph of two agents, and as another form a Swarm."""

import asyncio

from agent_fuse.testing import Reply, Request, ToolCall
from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("strands-agents", "openai")
ASKED = "What is the answer?"


def made(world: World, name: str, *others):
    from strands import Agent, tool
    from strands.models.openai import OpenAIModel

    def lookup(query: str) -> str:
        """Look something up.

        Args:
            query: What to look for.
        """
        return world.lookup(query)

    model = OpenAIModel(client_args={"api_key": "none", "base_url": world.base_url}, model_id=MODEL)
    return Agent(name=name, model=model, tools=[tool(lookup), *others], callback_handler=None)


def agent(world: World, name: str) -> Run:
    return lambda: made(world, name)(ASKED)  # an agent keeps what was said


def async_agent(world: World, name: str) -> AsyncRun:
    return lambda: made(world, name).invoke_async(ASKED)


def streamed(world: World, name: str) -> Run:
    async def run():
        return [one async for one in made(world, name).stream_async(ASKED)]

    return lambda: asyncio.run(run())


def team(world: World, names: tuple[str, str]) -> Run:
    from strands.multiagent import GraphBuilder

    builder = GraphBuilder()
    for name in names:
        builder.add_node(made(world, name), name)
    builder.add_edge(*names)
    builder.set_entry_point(names[0])
    graph = builder.build()
    return lambda: graph(ASKED)


def swarm(world: World, names: tuple[str, str]) -> Run:
    """The first hands over to the second."""
    from strands.multiagent import Swarm

    asked = {"agent_name": names[1], "message": "Look it up."}
    world.hand_over = lambda request: None if world.mode != "once" else handed(request)
    done: list[str] = []

    def handed(request: Request) -> Reply | None:
        if done:
            return None
        done.append("handed over")
        return Reply(tool_calls=(ToolCall(name="handoff_to_agent", arguments=asked),))

    agents = [made(world, name) for name in names]
    return lambda: Swarm(agents)(ASKED)


def parallel(world: World, names: tuple[str, str]) -> Run:
    """A Graph with two entry points, which work at once."""
    from strands.multiagent import GraphBuilder

    builder = GraphBuilder()
    for name in names:
        builder.add_node(made(world, name), name)
        builder.set_entry_point(name)
    graph = builder.build()
    return lambda: graph(ASKED)


def nested(world: World, names: tuple[str, str]) -> Run:
    """The second is in a Graph that is a node of another."""
    from strands.multiagent import GraphBuilder

    inner = GraphBuilder()
    inner.add_node(made(world, names[1]), names[1])
    outer = GraphBuilder()
    outer.add_node(made(world, names[0]), names[0])
    outer.add_node(inner.build(), "inner")
    outer.add_edge(names[0], "inner")
    graph = outer.build()
    return lambda: graph(ASKED)


def as_tool(world: World, names: tuple[str, str]) -> Run:
    """The second is asked by a tool of the first."""
    from strands import tool

    second = made(world, names[1])

    def ask_other(query: str) -> str:
        """Asks somebody else.

        Args:
            query: What to ask.
        """
        return str(second(query))

    first = made(world, names[0], tool(ask_other))
    world.ask_first("ask_other")
    return lambda: first(ASKED)


def tools_of_agents(world: World, names: tuple[str, str]) -> Run:
    """The second is given to the first in place of a tool."""
    first = made(world, names[0], made(world, names[1]))
    world.ask_first(names[1], {"input": ASKED})
    return lambda: first(ASKED)


def streamed_graph(world: World, names: tuple[str, str]) -> Run:
    from strands.multiagent import GraphBuilder

    async def run():
        builder = GraphBuilder()
        for name in names:
            builder.add_node(made(world, name), name)
        builder.add_edge(*names)
        return [one async for one in builder.build().stream_async(ASKED)]

    return lambda: asyncio.run(run())


FORMS = {
    "Swarm": swarm,
    "parallel Graph": parallel,
    "nested Graph": nested,
    "streamed Graph": streamed_graph,
    "agents in tools": as_tool,
    "agents as tools": tools_of_agents,
}


def instrument(provider) -> None:
    """Strands makes spans of its own with the global provider."""
