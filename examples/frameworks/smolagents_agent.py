"""smolagents: an agent that would take a thousand steps stops at its budget."""

import os

from smolagents import OpenAIModel, ToolCallingAgent, tool

import agent_fuse
from agent_fuse.testing import LoopbackProvider, Reply, ToolCall

if "OPENAI_API_KEY" not in os.environ:  # a model on loopback that always asks for the tool
    loopback = LoopbackProvider(Reply(tool_calls=(ToolCall(name="next_page", arguments={}),)))
    loopback.start()
    os.environ |= {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": loopback.openai_base_url}

pages = iter(range(1, 1000))


@tool
def next_page() -> str:
    """Give the next page of the archive."""
    return f"page {next(pages)}"


agent_fuse.init(budget=0.05)
agent = ToolCallingAgent([next_page], OpenAIModel("gpt-4o"), name="reader", max_steps=1000, verbosity_level=0)
try:
    print(agent.run("Read the archive."))
except agent_fuse.SentinelBudgetExceeded as trip:
    print(trip)
