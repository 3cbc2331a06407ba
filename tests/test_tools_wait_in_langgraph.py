"""Tools of a real agent framework that wait for room: LangGraph runs a turn's tools at once, and each is awaited."""

import asyncio

import pytest
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

from agent_fuse import Limit, SentinelBudgetExceeded, loop_guard
from agent_fuse.testing import LoopbackProvider, Reply, ToolCall

QUERIES = [f"question {n}" for n in range(5)]


@pytest.fixture
def provider():
    """A model that asks for five searches at once, then answers."""

    def answer(request):
        if any(one.get("role") == "tool" for one in request.body["messages"]):
            return Reply(text="done")
        return Reply(tool_calls=tuple(ToolCall(name="search", arguments={"query": one}) for one in QUERIES))

    with LoopbackProvider(answer) as provider:
        yield provider


def agent(provider, ran):
    @loop_guard
    async def search(query: str) -> str:
        """Search for something."""
        ran.append(query)
        return f"found {query}"

    return create_agent(ChatOpenAI(model="gpt-4o", base_url=provider.openai_base_url, api_key="x"), tools=[search])


def test_tools_are_awaited(box, provider):
    """Five at once under two a second: all run in the end, and the agent goes on with what they found."""
    one, ran = box(limits=[Limit(tool_calls=2, per="all", window="1s", on_limit="wait", max_wait=300)]), []
    said = asyncio.run(agent(provider, ran).ainvoke({"messages": [("user", "go")]}))
    assert said["messages"][-1].content == "done"
    assert sorted(ran) == QUERIES
    assert provider.count == 2
    assert one.books.balance("all").settled.tool_calls == 5


def test_without_a_wait_the_agent_is_stopped(box, provider):
    """The third of them is refused at once, and the trip is what the agent's caller gets."""
    _, ran = box(limits=[Limit(tool_calls=2, per="all", window="1h")]), []
    with pytest.raises(SentinelBudgetExceeded, match="tool 'search'"):
        asyncio.run(agent(provider, ran).ainvoke({"messages": [("user", "go")]}))
    assert len(ran) == 2
    assert provider.count == 1
