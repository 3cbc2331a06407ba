"""LangGraph: agents of LangChain's `create_agent`; the team is a graph with two of them as subgraphs."""

from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = (
    "langgraph",
    "langchain",
    "langchain-openai",
    "langgraph-supervisor",
    "langgraph-swarm",
    "deepagents",
    "openai",
)
INSTRUMENTATION = "opentelemetry-instrumentation-langchain"


def made(world: World, name: str):
    from langchain.agents import create_agent
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    return create_agent(ChatOpenAI(model=MODEL, max_retries=0), [tool(world.lookup)], name=name)


ASKED = {"messages": [("user", "What is the answer?")]}


def agent(world: World, name: str) -> Run:
    one = made(world, name)
    return lambda: one.invoke(ASKED)


def async_agent(world: World, name: str) -> AsyncRun:
    one = made(world, name)
    return lambda: one.ainvoke(ASKED)


def streamed(world: World, name: str) -> Run:
    one = made(world, name)
    return lambda: list(one.stream(ASKED, stream_mode="messages"))


def team(world: World, names: tuple[str, str]) -> Run:
    from langgraph.graph import END, START, MessagesState, StateGraph

    graph = StateGraph(MessagesState)
    for name in names:
        graph.add_node(name, made(world, name))
    graph.add_edge(START, names[0])
    graph.add_edge(*names)
    graph.add_edge(names[1], END)
    built = graph.compile()
    return lambda: built.invoke(ASKED)


def as_tool(world: World, names: tuple[str, str]) -> Run:
    """The second is called by a tool of the first."""
    from langchain.agents import create_agent
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    second = made(world, names[1])

    def ask_other(query: str) -> str:
        """Asks somebody else."""
        return str(second.invoke({"messages": [("user", query)]})["messages"][-1].content)

    tools = [tool(world.lookup), tool(ask_other)]
    first = create_agent(ChatOpenAI(model=MODEL, max_retries=0), tools, name=names[0])
    world.ask_first("ask_other")
    return lambda: first.invoke(ASKED)


def fan_out(world: World, names: tuple[str, str]) -> Run:
    """Both at once, each sent its own state."""
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.types import Send

    graph = StateGraph(MessagesState)
    for name in names:
        graph.add_node(name, made(world, name))
    graph.add_conditional_edges(START, lambda state: [Send(name, state) for name in names], list(names))
    built = graph.compile()
    return lambda: built.invoke(ASKED)


def hand_off(world: World, names: tuple[str, str]) -> Run:
    """The first hands over to the second by a tool that commands the graph."""
    from langchain.agents import create_agent
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.types import Command

    def ask_other(query: str) -> Command:
        """Hands over to somebody else."""
        return Command(goto=names[1], graph=Command.PARENT, update={"messages": [("user", query)]})

    tools = [tool(world.lookup), tool(ask_other)]
    graph = StateGraph(MessagesState)
    first = create_agent(ChatOpenAI(model=MODEL, max_retries=0), tools, name=names[0])
    graph.add_node(names[0], first, destinations=(names[1],))
    graph.add_node(names[1], made(world, names[1]))
    graph.add_edge(START, names[0])
    built = graph.compile()
    world.ask_first("ask_other")
    return lambda: built.invoke(ASKED)


def resumed(world: World, names: tuple[str, str]) -> Run:
    """Somebody is asked between the two, and the graph is resumed from its checkpoint."""
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.types import Command, interrupt

    graph = StateGraph(MessagesState)
    for name in names:
        graph.add_node(name, made(world, name))
    graph.add_node("ask", lambda state: {"messages": [("user", interrupt("May it go on?"))]})
    graph.add_edge(START, names[0])
    graph.add_edge(names[0], "ask")
    graph.add_edge("ask", names[1])
    built = graph.compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}

    def run() -> object:
        built.invoke(ASKED, config)
        return built.invoke(Command(resume="Go on."), config)

    return run


def _model():
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model=MODEL, max_retries=0)


def supervised(world: World, names: tuple[str, str]) -> Run:
    """The first is the supervisor of the second (langgraph-supervisor)."""
    from langgraph_supervisor import create_supervisor

    built = create_supervisor([made(world, names[1])], model=_model(), supervisor_name=names[0]).compile()
    world.ask_first(f"transfer_to_{names[1]}", {})
    return lambda: built.invoke(ASKED)


def deep(world: World, names: tuple[str, str]) -> Run:
    """The second is a sub-agent of a deep agent."""
    from deepagents import create_deep_agent
    from langchain_core.tools import tool

    helper = {"name": names[1], "description": "Knows.", "system_prompt": "Answer.", "tools": [tool(world.lookup)]}
    built = create_deep_agent(_model(), tools=[tool(world.lookup)], subagents=[helper], name=names[0])
    world.ask_first("task", {"description": "Look it up.", "subagent_type": names[1]})
    return lambda: built.invoke(ASKED)


def swarm(world: World, names: tuple[str, str]) -> Run:
    """The first hands over to the second (langgraph-swarm)."""
    from langchain.agents import create_agent
    from langchain_core.tools import tool
    from langgraph_swarm import create_handoff_tool, create_swarm

    tools = [tool(world.lookup), create_handoff_tool(agent_name=names[1])]
    agents = [create_agent(_model(), tools, name=names[0]), made(world, names[1])]
    built = create_swarm(agents, default_active_agent=names[0]).compile()
    world.ask_first(f"transfer_to_{names[1]}", {})
    return lambda: built.invoke(ASKED)


FORMS = {
    "agents as tools": as_tool,
    "Send": fan_out,
    "hand-off": hand_off,
    "interrupted and resumed": resumed,
    "supervisor": supervised,
    "deep agent": deep,
    "swarm": swarm,
}


def instrument(provider) -> None:
    from opentelemetry.instrumentation.langchain import LangchainInstrumentor

    LangchainInstrumentor().instrument(tracer_provider=provider)
