"""pydantic-ai: the team is an agent whose tool runs another."""

import asyncio

from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("pydantic-ai-slim", "openai")
ASKED = "What is the answer?"


def made(world: World, name: str, tools=()):
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel

    return Agent(OpenAIChatModel(MODEL), name=name, tools=[world.lookup, *tools])


def agent(world: World, name: str) -> Run:
    one = made(world, name)
    return lambda: one.run_sync(ASKED, usage_limits=_unlimited())


def async_agent(world: World, name: str) -> AsyncRun:
    one = made(world, name)
    return lambda: one.run(ASKED, usage_limits=_unlimited())


def streamed(world: World, name: str) -> Run:
    async def read(context, events):
        async for _ in events:
            pass

    one = made(world, name)
    return lambda: one.run_sync(ASKED, usage_limits=_unlimited(), event_stream_handler=read)


def team(world: World, names: tuple[str, str]) -> Run:
    other = made(world, names[1])

    async def delegate(query: str) -> str:
        """Ask the other agent."""
        return (await other.run(query)).output

    first = made(world, names[0], [delegate])
    world.ask_first("delegate")
    return lambda: first.run_sync(ASKED)


def stepped(world: World, names: tuple[str, str]) -> Run:
    """Both one after the other, node by node."""

    async def run() -> None:
        for name in names:
            async with made(world, name).iter(ASKED, usage_limits=_unlimited()) as steps:
                async for _ in steps:
                    pass

    return lambda: asyncio.run(run())


def run_stream(world: World, names: tuple[str, str]) -> Run:
    """Both one after the other, their last answers streamed."""

    async def run() -> None:
        for name in names:
            async with made(world, name).run_stream(ASKED, usage_limits=_unlimited()) as result:
                [one async for one in result.stream_text()]

    return lambda: asyncio.run(run())


FORMS = {"iter": stepped, "run_stream": run_stream}


def instrument(provider) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings

    Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))


def _unlimited():
    from pydantic_ai.usage import UsageLimits

    return UsageLimits(request_limit=None)
