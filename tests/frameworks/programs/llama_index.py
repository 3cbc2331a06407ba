"""LlamaIndex: function agents; the team is an AgentWorkflow in which one hands over to the other."""

import asyncio

from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("llama-index-core", "llama-index-llms-openai", "openai")
INSTRUMENTATION = "openinference-instrumentation-llama-index"
ASKED = "What is the answer?"


def made(world: World, name: str, *, stream: bool = False):
    from llama_index.core.agent.workflow import FunctionAgent
    from llama_index.core.tools import FunctionTool
    from llama_index.llms.openai import OpenAI

    return FunctionAgent(
        name=name,
        description="Knows the answer.",
        streaming=stream,
        tools=[FunctionTool.from_defaults(world.lookup)],
        llm=OpenAI(model=MODEL, api_base=world.base_url, api_key="none", max_retries=0),
    )


def async_agent(world: World, name: str) -> AsyncRun:
    async def run():
        return await made(world, name).run(user_msg=ASKED, max_iterations=40)

    return run


def streamed(world: World, name: str) -> Run:
    """Which is what an agent does where nobody says otherwise."""

    async def run():
        handler = made(world, name, stream=True).run(user_msg=ASKED, max_iterations=40)
        async for _ in handler.stream_events():
            pass
        return await handler

    return lambda: asyncio.run(run())


def agent(world: World, name: str) -> Run:
    run = async_agent(world, name)
    return lambda: asyncio.run(run())


def team(world: World, names: tuple[str, str]) -> Run:
    from llama_index.core.agent.workflow import AgentWorkflow

    async def run():
        agents = [made(world, name) for name in names]
        return await AgentWorkflow(agents=agents, root_agent=names[0]).run(user_msg=ASKED)

    world.ask_first("handoff", {"to_agent": names[1], "reason": "It knows."})
    return lambda: asyncio.run(run())


def as_tool(world: World, names: tuple[str, str]) -> Run:
    """The second is asked by a tool of the first."""
    from llama_index.core.tools import FunctionTool

    async def run():
        first, second = (made(world, name) for name in names)

        async def ask_other(query: str) -> str:
            """Asks somebody else."""
            return str(await second.run(user_msg=query))

        first.tools.append(FunctionTool.from_defaults(async_fn=ask_other))
        return await first.run(user_msg=ASKED, max_iterations=40)

    world.ask_first("ask_other")
    return lambda: asyncio.run(run())


def react(world: World, names: tuple[str, str]) -> Run:
    """A workflow of agents whose first streams, and hands over to the second."""
    from llama_index.core.agent.workflow import AgentWorkflow

    async def run():
        agents = [made(world, name, stream=True) for name in names]
        handler = AgentWorkflow(agents=agents, root_agent=names[0]).run(user_msg=ASKED, max_iterations=40)
        async for _ in handler.stream_events():
            pass
        return await handler

    world.ask_first("handoff", {"to_agent": names[1], "reason": "It knows."})
    return lambda: asyncio.run(run())


def workflow(world: World, names: tuple[str, str]) -> Run:
    """Steps of a workflow of one's own, which work at once."""
    from llama_index.core.workflow import Context, Event, StartEvent, StopEvent, Workflow, step

    class Asked(Event):
        name: str

    class Answered(Event):
        pass

    class Both(Workflow):
        @step
        async def begin(self, ctx: Context, ev: StartEvent) -> Asked | None:
            for name in names:
                ctx.send_event(Asked(name=name))

        @step(num_workers=2)
        async def work(self, ctx: Context, ev: Asked) -> Answered:
            await made(world, ev.name).run(user_msg=ASKED, max_iterations=40)
            return Answered()

        @step
        async def end(self, ctx: Context, ev: Answered) -> StopEvent | None:
            both = ctx.collect_events(ev, [Answered] * 2)
            return StopEvent(result="done") if both else None

    Both.begin.__annotations__["return"] = Asked | None
    for one in (Both.work, Both.end):
        one.__annotations__.update(ev=Asked if one is Both.work else Answered)

    async def run():
        return await Both(timeout=60).run()

    return lambda: asyncio.run(run())


FORMS = {
    "agents as tools": as_tool,
    "streamed AgentWorkflow": react,
    "Workflow": workflow,
}


def instrument(provider) -> None:
    from openinference.instrumentation.llama_index import LlamaIndexInstrumentor

    LlamaIndexInstrumentor().instrument(tracer_provider=provider)
