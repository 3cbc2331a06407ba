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


def graph(world: World, names: tuple[str, str]) -> Run:
    """Both are steps of a graph that work at once (pydantic-graph)."""
    from pydantic_graph import GraphBuilder, StepContext, reduce_list_append

    builder = GraphBuilder(input_type=list, output_type=list)

    @builder.step
    async def ask(context: StepContext[None, None, str]) -> str:
        return (await made(world, context.inputs).run(ASKED, usage_limits=_unlimited())).output

    both = builder.join(reduce_list_append, initial_factory=list)
    builder.add_mapping_edge(builder.start_node, ask)
    builder.add_edge(ask, both)
    builder.add_edge(both, builder.end_node)
    return lambda: asyncio.run(builder.build().run(inputs=list(names)))


def deferred(world: World, names: tuple[str, str]) -> Run:
    """The first ends to have a tool approved, and is resumed with the second's word for it."""
    from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, Tool
    from pydantic_ai.models.openai import OpenAIChatModel

    def delete(query: str) -> str:
        """Delete it."""
        return query

    first = Agent(
        OpenAIChatModel(MODEL),
        name=names[0],
        tools=[world.lookup, Tool(delete, requires_approval=True)],
        output_type=[str, DeferredToolRequests],
    )
    world.ask_first("delete")

    def run():
        paused = first.run_sync(ASKED, usage_limits=_unlimited())
        made(world, names[1]).run_sync(ASKED, usage_limits=_unlimited())
        approved = DeferredToolResults(approvals={one.tool_call_id: True for one in paused.output.approvals})
        said = paused.all_messages()
        return first.run_sync(message_history=said, deferred_tool_results=approved, usage_limits=_unlimited())

    return run


def events(world: World, names: tuple[str, str]) -> Run:
    """Both one after the other, each run's events read as they come."""

    async def run() -> None:
        for name in names:
            async with made(world, name).run_stream_events(ASKED, usage_limits=_unlimited()) as stream:
                [one async for one in stream]

    return lambda: asyncio.run(run())


def at_once(world: World, names: tuple[str, str]) -> Run:
    """Both at once, in tasks."""

    async def run():
        return await asyncio.gather(*(made(world, name).run(ASKED, usage_limits=_unlimited()) for name in names))

    return lambda: asyncio.run(run())


FORMS = {
    "iter": stepped,
    "run_stream": run_stream,
    "graph": graph,
    "deferred tools": deferred,
    "run_stream_events": events,
    "gathered": at_once,
}


def instrument(provider) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings

    Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))


def _unlimited():
    from pydantic_ai.usage import UsageLimits

    return UsageLimits(request_limit=None)
