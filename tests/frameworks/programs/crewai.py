"""CrewAI: the team is a crew of two agents with a task each; an agent's name is its role."""

import asyncio

from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("crewai", "openai")
INSTRUMENTATION = "openinference-instrumentation-crewai"


def crew(world: World, *names: str, stream: bool = False):
    from crewai import LLM, Agent, Crew, Task
    from crewai.tools import tool

    found = tool("lookup")(world.lookup)
    agents = [
        Agent(
            role=name,
            goal="Answer.",
            backstory="An expert.",
            llm=LLM(model=f"openai/{MODEL}", base_url=world.base_url, stream=stream),
            tools=[found],
            max_iter=40,
        )
        for name in names
    ]
    tasks = [Task(description="What is the answer?", expected_output="One line.", agent=one) for one in agents]
    return Crew(agents=agents, tasks=tasks, verbose=False)


def agent(world: World, name: str) -> Run:
    return team(world, (name,))


def async_agent(world: World, name: str) -> AsyncRun:
    one = crew(world, name)
    return one.kickoff_async


def streamed(world: World, name: str) -> Run:
    return crew(world, name, stream=True).kickoff


def team(world: World, names: tuple[str, ...]) -> Run:
    return crew(world, *names).kickoff


def hierarchical(world: World, names: tuple[str, str]) -> Run:
    """A manager who delegates to the other."""
    from crewai import LLM, Agent, Crew, Process, Task

    manager = Agent(
        role=names[0],
        goal="Answer.",
        backstory="A manager.",
        llm=LLM(model=f"openai/{MODEL}", base_url=world.base_url),
        allow_delegation=True,
    )
    task = Task(description="What is the answer?", expected_output="One line.")
    one = Crew(agents=crew(world, names[1]).agents, tasks=[task], manager_agent=manager, process=Process.hierarchical)
    asked = {"task": "Look it up.", "context": "None.", "coworker": names[1]}
    world.ask_first("delegate_work_to_coworker", asked)
    return one.kickoff


def flow(world: World, names: tuple[str, str]) -> Run:
    """A Flow whose second step listens to its first."""
    from crewai.flow.flow import Flow, listen, start

    class Both(Flow):
        @start()
        def first(self):
            return str(crew(world, names[0]).kickoff())

        @listen(first)
        def second(self, _):
            return str(crew(world, names[1]).kickoff())

    return lambda: Both().kickoff()


def _awaited(build):
    def made(world: World, names: tuple[str, str]) -> Run:
        return lambda: asyncio.run(build(world, names))

    return made


async def native(world: World, names: tuple[str, str]):
    """The crew's own async path."""
    return await crew(world, *names).akickoff()


async def for_each(world: World, names: tuple[str, str]):
    """One crew for two inputs at once, each in a thread."""
    return await crew(world, *names).kickoff_for_each_async([{"topic": "one"}, {"topic": "two"}])


def async_tasks(world: World, names: tuple[str, str]) -> Run:
    """Two tasks at once, in threads, of which the last waits for the first."""
    one = crew(world, *names)
    one.tasks[0].async_execution = True
    one.tasks[1].context = [one.tasks[0]]
    return one.kickoff


async def hierarchical_async(world: World, names: tuple[str, str]):
    """A manager who delegates to the other, in a thread."""
    return await asyncio.to_thread(hierarchical(world, names))


async def flow_async(world: World, names: tuple[str, str]):
    """A Flow whose two steps start at once, and are awaited."""
    from crewai.flow.flow import Flow, start

    class Both(Flow):
        @start()
        async def first(self):
            return str(await crew(world, names[0]).kickoff_async())

        @start()
        async def second(self):
            return str(await crew(world, names[1]).akickoff())

    return await Both().kickoff_async()


def lite(world: World, names: tuple[str, str]) -> Run:
    """Agents that are asked without a crew."""
    agents = crew(world, *names).agents
    return lambda: [one.kickoff("What is the answer?") for one in agents]


FORMS = {
    "hierarchical": hierarchical,
    "Flow": flow,
    "akickoff": _awaited(native),
    "kickoff_for_each_async": _awaited(for_each),
    "async tasks": async_tasks,
    "awaited hierarchical": _awaited(hierarchical_async),
    "awaited Flow": _awaited(flow_async),
    "without a crew": lite,
}


def instrument(provider) -> None:
    from openinference.instrumentation.crewai import CrewAIInstrumentor

    CrewAIInstrumentor().instrument(tracer_provider=provider)
