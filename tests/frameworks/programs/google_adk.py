"""Google ADK over LiteLLM: the team is a SequentialAgent of two."""

import asyncio

from agent_fuse.testing import Reply, Request, ToolCall
from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("google-adk", "litellm", "openai")
INSTRUMENTATION = "openinference-instrumentation-google-adk"


def made(world: World, name: str, **options):
    from google.adk.agents import LlmAgent
    from google.adk.models.lite_llm import LiteLlm

    model = LiteLlm(model=f"openai/{MODEL}", api_base=world.base_url, api_key="none")
    return LlmAgent(name=name, model=model, instruction="Answer.", tools=[world.lookup], **options)


def _message():
    from google.genai import types

    return types.Content(role="user", parts=[types.Part(text="What is the answer?")])


def _runner(one):
    from google.adk.runners import InMemoryRunner

    return InMemoryRunner(agent=one, app_name="app")


def _sync(one, **options) -> Run:
    def run():
        runner = _runner(one)
        session = asyncio.run(runner.session_service.create_session(app_name="app", user_id="user"))
        return list(runner.run(user_id="user", session_id=session.id, new_message=_message(), **options))

    return run


def agent(world: World, name: str) -> Run:
    return _sync(made(world, name))


def streamed(world: World, name: str) -> Run:
    from google.adk.agents.run_config import RunConfig, StreamingMode

    return _sync(made(world, name), run_config=RunConfig(streaming_mode=StreamingMode.SSE))


def async_agent(world: World, name: str) -> AsyncRun:
    async def run():
        runner = _runner(made(world, name))
        session = await runner.session_service.create_session(app_name="app", user_id="user")
        return [one async for one in runner.run_async(user_id="user", session_id=session.id, new_message=_message())]

    return run


def team(world: World, names: tuple[str, str]) -> Run:
    from google.adk.agents import SequentialAgent

    return _sync(SequentialAgent(name="both", sub_agents=[made(world, name) for name in names]))


def parallel(world: World, names: tuple[str, str]) -> Run:
    from google.adk.agents import ParallelAgent

    return _sync(ParallelAgent(name="both", sub_agents=[made(world, name) for name in names]))


def in_a_loop(world: World, names: tuple[str, str]) -> Run:
    from google.adk.agents import LoopAgent

    return _sync(LoopAgent(name="both", sub_agents=[made(world, name) for name in names], max_iterations=2))


def workflow(world: World, names: tuple[str, str]) -> Run:
    """A graph of both."""
    from google.adk.workflow import Workflow

    first, second = (made(world, name) for name in names)
    return _sync(Workflow(name="both", edges=[("START", first, second)]))


def transfer(world: World, names: tuple[str, str]) -> Run:
    """The first hands over to the second, which is below it."""
    first = made(world, names[0], sub_agents=[made(world, names[1])])
    done: list[str] = []

    def hand_over(_: Request) -> Reply | None:
        if done:
            return None
        done.append("handed over")
        return Reply(tool_calls=(ToolCall(name="transfer_to_agent", arguments={"agent_name": names[1]}),))

    world.hand_over = hand_over
    return _sync(first)


def as_tool(world: World, names: tuple[str, str]) -> Run:
    """The second is a tool of the first."""
    from google.adk.tools.agent_tool import AgentTool

    first, second = (made(world, name) for name in names)
    first.tools.append(AgentTool(second))
    world.ask_first(names[1], {"request": "What is the answer?"})
    return _sync(first)


FORMS = {
    "ParallelAgent": parallel,
    "LoopAgent": in_a_loop,
    "Workflow": workflow,
    "transfer": transfer,
    "agents as tools": as_tool,
}


def instrument(provider) -> None:
    """ADK makes spans of its own with the global provider."""
