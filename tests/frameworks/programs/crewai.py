"""CrewAI: the team is a crew of two agents with a task each; an agent's name is its role."""

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


FORMS = {"hierarchical": hierarchical, "Flow": flow}


def instrument(provider) -> None:
    from openinference.instrumentation.crewai import CrewAIInstrumentor

    CrewAIInstrumentor().instrument(tracer_provider=provider)
