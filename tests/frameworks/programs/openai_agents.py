"""openai-agents: the team is an agent that hands over to another."""

import asyncio

from agent_fuse.testing import Reply, ToolCall
from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("openai-agents", "openai")
INSTRUMENTATION = "openinference-instrumentation-openai-agents"
ASKED, TURNS = "What is the answer?", 40


def made(world: World, name: str, handoffs=()):
    from agents import Agent, OpenAIResponsesModel, function_tool
    from openai import AsyncOpenAI

    model = OpenAIResponsesModel(MODEL, AsyncOpenAI(max_retries=0))
    return Agent(name=name, model=model, tools=[function_tool(world.lookup)], handoffs=list(handoffs))


def agent(world: World, name: str) -> Run:
    from agents import Runner

    one = made(world, name)
    return lambda: Runner.run_sync(one, ASKED, max_turns=TURNS)


def async_agent(world: World, name: str) -> AsyncRun:
    from agents import Runner

    one = made(world, name)
    return lambda: Runner.run(one, ASKED, max_turns=TURNS)


def streamed(world: World, name: str) -> Run:
    from agents import Runner

    async def run():
        return [one async for one in Runner.run_streamed(made(world, name), ASKED, max_turns=TURNS).stream_events()]

    return lambda: asyncio.run(run())


def team(world: World, names: tuple[str, str]) -> Run:
    from agents import Runner

    first = made(world, names[0], [made(world, names[1])])

    def hand_over(request):
        offered = "transfer_to_" + names[1]
        if offered in str(request.body.get("tools")):
            return Reply(tool_calls=(ToolCall(name=offered, arguments={}),))
        return None

    world.hand_over = hand_over
    return lambda: Runner.run_sync(first, ASKED, max_turns=TURNS)


def as_tool(world: World, names: tuple[str, str]) -> Run:
    """The second is a tool of the first."""
    from agents import Runner

    first, second = (made(world, name) for name in names)
    first.tools.append(second.as_tool(f"ask_{names[1]}", "Asks somebody else."))
    world.ask_first(f"ask_{names[1]}", {"input": ASKED})
    return lambda: Runner.run_sync(first, ASKED, max_turns=TURNS)


def streamed_hand_off(world: World, names: tuple[str, str]) -> Run:
    """The first hands over to the second; events are read as they come."""
    from agents import Runner

    async def run():
        first = made(world, names[0], [made(world, names[1])])
        return [one async for one in Runner.run_streamed(first, ASKED, max_turns=TURNS).stream_events()]

    world.ask_first(f"transfer_to_{names[1]}", {})
    return lambda: asyncio.run(run())


def streamed_tool(world: World, names: tuple[str, str]) -> Run:
    """The second is a tool of the first; events are read as they come, also those of the second."""
    from agents import Runner

    async def run():
        first, second = (made(world, name) for name in names)
        first.tools.append(second.as_tool(f"ask_{names[1]}", "Asks somebody else.", on_stream=lambda _: None))
        return [one async for one in Runner.run_streamed(first, ASKED, max_turns=TURNS).stream_events()]

    world.ask_first(f"ask_{names[1]}", {"input": ASKED})
    return lambda: asyncio.run(run())


def at_once(world: World, names: tuple[str, str]) -> Run:
    """Both at once, in tasks."""
    from agents import Runner

    async def run():
        return await asyncio.gather(*(Runner.run(made(world, name), ASKED, max_turns=TURNS) for name in names))

    return lambda: asyncio.run(run())


def guarded(world: World, names: tuple[str, str]) -> Run:
    """The second judges what the first was asked, at the same time: a guardrail."""
    from agents import GuardrailFunctionOutput, InputGuardrail, Runner

    async def judge(context, agent, asked):
        await Runner.run(made(world, names[1]), asked, max_turns=TURNS)
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)

    async def run():
        first = made(world, names[0])
        first.input_guardrails = [InputGuardrail(judge)]
        return await Runner.run(first, ASKED, max_turns=TURNS)

    return lambda: asyncio.run(run())


FORMS = {
    "agents as tools": as_tool,
    "streamed hand-off": streamed_hand_off,
    "streamed tools": streamed_tool,
    "gathered": at_once,
    "guardrail": guarded,
}


def instrument(provider) -> None:
    import agents
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    agents.set_tracing_disabled(False)
    OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)
