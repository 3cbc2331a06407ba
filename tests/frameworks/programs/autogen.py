"""AutoGen: assistants in a RoundRobinGroupChat."""

import asyncio

from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("autogen-agentchat", "autogen-ext", "openai")
ASKED = "What is the answer?"


def group(world: World, *names: str, stream: bool = False):
    from autogen_agentchat.agents import AssistantAgent
    from autogen_agentchat.conditions import MaxMessageTermination
    from autogen_agentchat.teams import RoundRobinGroupChat
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    agents = [
        AssistantAgent(
            name,
            model_client=OpenAIChatCompletionClient(model=MODEL),
            tools=[world.lookup],
            max_tool_iterations=40,
            model_client_stream=stream,
        )
        for name in names
    ]
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


FORMS = {"Swarm": swarm}


def instrument(provider) -> None:
    """AutoGen makes spans of its own with the global provider."""
