"""AG2: the team is an agent that has another as a tool."""

import asyncio

from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("ag2", "openai")
INSTRUMENTATION = ""
ASKED = "What is the answer?"


def made(world: World, name: str, tools=(), *, stream: bool = False):
    from ag2 import Agent
    from ag2.config import OpenAIConfig

    config = OpenAIConfig(model=MODEL, api_key="none", base_url=world.base_url, max_retries=0, streaming=stream)
    return Agent(name, config=config, tools=[world.lookup, *tools])


def async_agent(world: World, name: str) -> AsyncRun:
    one = made(world, name)
    return lambda: one.ask(ASKED)


def agent(world: World, name: str) -> Run:
    one = made(world, name)
    return lambda: asyncio.run(one.ask(ASKED))


def streamed(world: World, name: str) -> Run:
    one = made(world, name, stream=True)
    return lambda: asyncio.run(one.ask(ASKED))


def team(world: World, names: tuple[str, str]) -> Run:
    other = made(world, names[1])

    async def delegate(query: str) -> str:
        """Ask the other agent."""
        return str((await other.ask(query)).body)

    one = made(world, names[0], [delegate])
    world.ask_first("delegate")
    return lambda: asyncio.run(one.ask(ASKED))
