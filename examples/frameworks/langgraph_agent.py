"""LangGraph: an agent of `create_agent` that would search for ever stops at its budget."""

import os

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

import agent_fuse
from agent_fuse.testing import LoopbackProvider, Reply, ToolCall

if "OPENAI_API_KEY" not in os.environ:  # a model on loopback that always asks for the tool
    loopback = LoopbackProvider(Reply(tool_calls=(ToolCall(name="next_page", arguments={}),)))
    loopback.start()
    os.environ |= {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": loopback.openai_base_url}

pages = iter(range(1, 1000))


def next_page() -> str:
    """Give the next page of the archive."""
    return f"page {next(pages)}"


agent_fuse.init(budget=0.05)
agent = create_agent(ChatOpenAI(model="gpt-4o"), tools=[next_page], name="reader")
try:
    print(agent.invoke({"messages": [("user", "Read the archive.")]}, {"recursion_limit": 1000}))
except agent_fuse.SentinelBudgetExceeded as trip:
    print(trip)
