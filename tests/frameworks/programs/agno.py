"""Agno: the team is a Team whose leader delegates to a member."""

import asyncio

from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("agno", "openai")
INSTRUMENTATION = "openinference-instrumentation-agno"
ASKED = "What is the answer?"


def made(world: World, name: str):
    from agno.agent import Agent
    from agno.models.openai import OpenAIChat

    return Agent(name=name, id=name, model=OpenAIChat(id=MODEL), tools=[world.lookup], telemetry=False)


def agent(world: World, name: str) -> Run:
    one = made(world, name)
    return lambda: one.run(ASKED)


def async_agent(world: World, name: str) -> AsyncRun:
    one = made(world, name)
    return lambda: one.arun(ASKED)


def streamed(world: World, name: str) -> Run:
    one = made(world, name)
    return lambda: list(one.run(ASKED, stream=True))


def team(world: World, names: tuple[str, str]) -> Run:
    from agno.models.openai import OpenAIChat
    from agno.team import Team

    one = Team(name=names[0], model=OpenAIChat(id=MODEL), members=[made(world, names[1])], telemetry=False)
    world.ask_first("delegate_task_to_member", {"member_id": names[1], "task": ASKED})
    return lambda: one.run(ASKED)


def _group(world: World, names: tuple[str, str], **mode: object) -> Run:
    from agno.models.openai import OpenAIChat
    from agno.team import Team

    one = Team(name=names[0], model=OpenAIChat(id=MODEL), members=[made(world, names[1])], telemetry=False, **mode)
    return lambda: one.run(ASKED)


def route(world: World, names: tuple[str, str]) -> Run:
    """The leader passes the question on, and a member answers for it."""
    world.ask_first("delegate_task_to_member", {"member_id": names[1], "task": ASKED})
    return _group(world, names, respond_directly=True, determine_input_for_members=False)


def collaborate(world: World, names: tuple[str, str]) -> Run:
    """The leader asks all of its members at once."""
    world.ask_first("delegate_task_to_members", {"task": ASKED})
    return _group(world, names, delegate_to_all_members=True)


def workflow(world: World, names: tuple[str, str]) -> Run:
    from agno.workflow import Step, Workflow

    steps = [Step(name=f"step {name}", agent=made(world, name)) for name in names]
    one = Workflow(name="both", steps=steps, telemetry=False)
    return lambda: one.run(ASKED)


def parallel(world: World, names: tuple[str, str]) -> Run:
    from agno.workflow import Parallel, Step, Workflow

    steps = [Step(name=f"step {name}", agent=made(world, name)) for name in names]
    one = Workflow(name="both", steps=[Parallel(*steps, name="at once")], telemetry=False)
    return lambda: one.run(ASKED)


def in_a_loop(world: World, names: tuple[str, str]) -> Run:
    from agno.workflow import Loop, Step, Workflow

    steps = [Step(name=f"step {name}", agent=made(world, name)) for name in names]
    one = Workflow(name="both", steps=[Loop(steps=steps, name="again", max_iterations=2)], telemetry=False)
    return lambda: one.run(ASKED)


def streamed_parallel(world: World, names: tuple[str, str]) -> Run:
    """Both at once, in threads, their events read as they come."""
    from agno.workflow import Parallel, Step, Workflow

    steps = [Step(name=f"step {name}", agent=made(world, name)) for name in names]
    one = Workflow(name="both", steps=[Parallel(*steps, name="at once")], telemetry=False)
    return lambda: list(one.run(ASKED, stream=True))


def awaited_parallel(world: World, names: tuple[str, str]) -> Run:
    """Both at once, awaited."""
    from agno.workflow import Parallel, Step, Workflow

    async def run():
        steps = [Step(name=f"step {name}", agent=made(world, name)) for name in names]
        return await Workflow(name="both", steps=[Parallel(*steps, name="at once")], telemetry=False).arun(ASKED)

    return lambda: asyncio.run(run())


def awaited_workflow(world: World, names: tuple[str, str]) -> Run:
    """Both at once, awaited, and streamed."""
    from agno.workflow import Parallel, Step, Workflow

    async def run():
        steps = [Step(name=f"step {name}", agent=made(world, name)) for name in names]
        one = Workflow(name="both", steps=[Parallel(*steps, name="at once")], telemetry=False)
        return [event async for event in one.arun(ASKED, stream=True)]

    return lambda: asyncio.run(run())


def awaited_team(world: World, names: tuple[str, str]) -> Run:
    """A team that delegates, awaited, and streamed."""
    from agno.models.openai import OpenAIChat
    from agno.team import Team

    async def run():
        one = Team(name=names[0], model=OpenAIChat(id=MODEL), members=[made(world, names[1])], telemetry=False)
        return [event async for event in one.arun(ASKED, stream=True, stream_events=True)]

    world.ask_first("delegate_task_to_member", {"member_id": names[1], "task": ASKED})
    return lambda: asyncio.run(run())


FORMS = {
    "route": route,
    "collaborate": collaborate,
    "Workflow": workflow,
    "Parallel": parallel,
    "Loop": in_a_loop,
    "streamed Parallel": streamed_parallel,
    "awaited Parallel": awaited_parallel,
    "awaited and streamed Parallel": awaited_workflow,
    "awaited and streamed team": awaited_team,
}


def instrument(provider) -> None:
    from openinference.instrumentation.agno import AgnoInstrumentor

    AgnoInstrumentor().instrument(tracer_provider=provider)
