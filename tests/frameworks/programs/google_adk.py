"""Google ADK over LiteLLM: the team is a SequentialAgent of two."""

import asyncio

from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("google-adk", "litellm", "openai")
INSTRUMENTATION = "openinference-instrumentation-google-adk"


def made(world: World, name: str):
    from google.adk.agents import LlmAgent
    from google.adk.models.lite_llm import LiteLlm

    model = LiteLlm(model=f"openai/{MODEL}", api_base=world.base_url, api_key="none")
    return LlmAgent(name=name, model=model, instruction="Answer.", tools=[world.lookup])


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


def instrument(provider) -> None:
    """ADK makes spans of its own with the global provider."""
