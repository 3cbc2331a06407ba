"""CrewAI: an agent that would read for ever stops at its budget; its role is its name in the books."""

import os

from crewai import Agent
from crewai.tools import tool

import agent_fuse
from agent_fuse.testing import LoopbackProvider, Reply, ToolCall

if "OPENAI_API_KEY" not in os.environ:  # a model on loopback that always asks for the tool
    loopback = LoopbackProvider(Reply(tool_calls=(ToolCall(name="next_page", arguments={}),)))
    loopback.start()
    os.environ |= {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": loopback.openai_base_url}

pages = iter(range(1, 1000))


@tool("next_page")
def next_page() -> str:
    """Give the next page of the archive."""
    return f"page {next(pages)}"


agent_fuse.init(budget=0.05)
reader = Agent(role="reader", goal="Read.", backstory="Reads.", llm="openai/gpt-4o", tools=[next_page], max_iter=1000)
try:
    print(reader.kickoff("Read the archive."))
except agent_fuse.SentinelBudgetExceeded as trip:
    print(trip)
