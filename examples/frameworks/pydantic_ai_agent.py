"""pydantic-ai: one call of `init` guards every agent, whatever request limit it has."""

import os

from pydantic_ai import Agent, UsageLimits

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
agent = Agent("openai-chat:gpt-4o", name="reader", tools=[next_page])
try:
    print(agent.run_sync("Read the archive.", usage_limits=UsageLimits(request_limit=None)).output)
except agent_fuse.SentinelBudgetExceeded as trip:
    print(trip)
