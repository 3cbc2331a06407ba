"""Haystack: an Agent component. It has no name but the one that a pipeline gives it."""

import asyncio

from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("haystack-ai", "openai")
INSTRUMENTATION = "openinference-instrumentation-haystack"


def made(world: World, read=None, tools=()):
    from haystack.components.agents import Agent
    from haystack.components.generators.chat import OpenAIChatGenerator
    from haystack.tools import create_tool_from_function

    def lookup(query: str) -> str:
        """Look something up."""
        return world.lookup(query)

    return Agent(
        chat_generator=OpenAIChatGenerator(model=MODEL, max_retries=0, streaming_callback=read),
        tools=[create_tool_from_function(lookup), *tools],
        max_agent_steps=40,
    )


def _asked():
    from haystack.dataclasses import ChatMessage

    return [ChatMessage.from_user("What is the answer?")]


def agent(world: World, name: str) -> Run:
    one = made(world)
    return lambda: one.run(messages=_asked())


def async_agent(world: World, name: str) -> AsyncRun:
    one = made(world)
    return lambda: one.run_async(messages=_asked())


def streamed(world: World, name: str) -> Run:
    one = made(world, lambda _: None)
    return lambda: one.run(messages=_asked())


def team(world: World, names: tuple[str, str]) -> Run:
    from haystack import Pipeline

    pipeline = Pipeline()
    for name in names:
        pipeline.add_component(name, made(world))
    return lambda: pipeline.run({name: {"messages": _asked()} for name in names})


def awaited_pipeline(world: World, names: tuple[str, str]) -> Run:
    """A pipeline of both, awaited: they work at once."""
    from haystack import Pipeline

    pipeline = Pipeline()
    for name in names:
        pipeline.add_component(name, made(world))
    return lambda: asyncio.run(pipeline.run_async({name: {"messages": _asked()} for name in names}))


def chained(world: World, names: tuple[str, str]) -> Run:
    """What the first said goes to the second."""
    from haystack import Pipeline

    pipeline = Pipeline()
    for name in names:
        pipeline.add_component(name, made(world))
    pipeline.connect(f"{names[0]}.messages", f"{names[1]}.messages")
    return lambda: pipeline.run({names[0]: {"messages": _asked()}})


def as_tool(world: World, names: tuple[str, str]) -> Run:
    """The second is a tool of the first, which is in a pipeline."""
    from haystack import Pipeline
    from haystack.tools import ComponentTool

    second = ComponentTool(
        component=made(world), name=names[1], description="Knows.", outputs_to_string={"source": "last_message"}
    )
    pipeline = Pipeline()
    pipeline.add_component(names[0], made(world, tools=[second]))
    world.ask_first(names[1], {"messages": [{"role": "user", "content": [{"text": "What?"}]}]})
    return lambda: pipeline.run({names[0]: {"messages": _asked()}})


FORMS = {
    "awaited pipeline": awaited_pipeline,
    "chained": chained,
    "agents as tools": as_tool,
}


def instrument(provider) -> None:
    from openinference.instrumentation.haystack import HaystackInstrumentor

    HaystackInstrumentor().instrument(tracer_provider=provider)
