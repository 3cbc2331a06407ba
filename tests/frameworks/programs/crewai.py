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


def instrument(provider) -> None:
    from openinference.instrumentation.crewai import CrewAIInstrumentor

    CrewAIInstrumentor().instrument(tracer_provider=provider)
