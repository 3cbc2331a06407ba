"""smolagents: tool-calling agents; the team is one that manages another. A code agent runs its work in threads."""

from agent_fuse.testing import Reply, Request
from frameworks.world import MODEL, Run, World

PACKAGES = ("smolagents", "openai")
INSTRUMENTATION = "openinference-instrumentation-smolagents"


def made(world: World, name: str, managed=(), *, stream: bool = False):
    from smolagents import OpenAIServerModel, ToolCallingAgent, tool

    return ToolCallingAgent(
        tools=[tool(world.lookup)],
        model=OpenAIServerModel(MODEL, api_base=world.base_url, api_key="none"),
        name=name,
        description="Knows the answer.",
        managed_agents=list(managed),
        stream_outputs=stream,
        max_steps=40,
        verbosity_level=0,
    )


def agent(world: World, name: str) -> Run:
    _final(world)
    one = made(world, name)
    return lambda: one.run("What is the answer?")


def streamed(world: World, name: str) -> Run:
    _final(world)
    one = made(world, name, stream=True)
    return lambda: list(one.run("What is the answer?", stream=True))


def team(world: World, names: tuple[str, str]) -> Run:
    _final(world)
    one = made(world, names[0], [made(world, names[1])])
    world.ask_first(names[1], {"task": "What is the answer?"})
    return lambda: one.run("What is the answer?")


def pool(world: World, name: str) -> Run:
    """Managed agents that are called side by side."""
    one = made(world, name, [made(world, "helper"), made(world, "other")])
    world.ask_first("helper", {"task": "What is the answer?"}, also="other")
    return lambda: one.run("What is the answer?")


def _final(world: World) -> None:
    world.final_tool = "final_answer"


def code(world: World, names: tuple[str, str]) -> Run:
    """Code agents: the first calls the second in the code that it writes."""
    from smolagents import CodeAgent, OpenAIServerModel, tool

    def built(name: str, managed=()):
        return CodeAgent(
            tools=[tool(world.lookup)],
            model=OpenAIServerModel(MODEL, api_base=world.base_url, api_key="none"),
            name=name,
            description="Knows the answer.",
            managed_agents=list(managed),
            max_steps=40,
            verbosity_level=0,
        )

    def write(_: Request) -> Reply:
        numbers[0] += 1
        if numbers[0] == 1:
            written = f"print({names[1]}(task='What is the answer?'))"
        elif world.mode != "once":
            written = f"print(lookup(query='{'the same' if world.mode == 'loop' else numbers[0]}'))"
        else:
            written = "final_answer('42')"
        return Reply(text=f"Thought: hm.\n<code>\n{written}\n</code>")

    numbers = [0]
    world.hand_over = write
    one = built(names[0], [built(names[1])])
    return lambda: one.run("What is the answer?")


def side_by_side(world: World, names: tuple[str, str]) -> Run:
    """One that nobody sees manages both, and calls them at once, in threads."""
    _final(world)
    one = made(world, "lead", [made(world, name) for name in names])
    world.ask_first(names[0], {"task": "What is the answer?"}, also=names[1])
    return lambda: one.run("What is the answer?")


def planned(world: World, names: tuple[str, str]) -> Run:
    """One after the other, with a plan made every second step."""
    _final(world)
    agents = [made(world, name) for name in names]
    for one in agents:
        one.planning_interval = 2
    return lambda: [one.run("What is the answer?") for one in agents]


FORMS = {
    "code agents": code,
    "side by side": side_by_side,
    "planning": planned,
}


def instrument(provider) -> None:
    from openinference.instrumentation.smolagents import SmolagentsInstrumentor

    SmolagentsInstrumentor().instrument(tracer_provider=provider)
