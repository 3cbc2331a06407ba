"""Microsoft's agent framework: the team is an agent that has another as a tool."""

import asyncio

from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("agent-framework-core", "agent-framework-openai", "openai")
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


def instrument(provider) -> None:
    from agent_framework.observability import enable_instrumentation

    enable_instrumentation()
