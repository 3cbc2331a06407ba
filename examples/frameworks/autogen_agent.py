"""AutoGen: a team ends with the trip of whichever member goes too far."""

import asyncio
import os

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient

import agent_fuse
from agent_fuse.testing import LoopbackProvider, Reply, ToolCall

if "OPENAI_API_KEY" not in os.environ:  # a model on loopback that always asks for the tool
    loopback = LoopbackProvider(Reply(tool_calls=(ToolCall(name="next_page", arguments={}),)))
    loopback.start()
    os.environ |= {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": loopback.openai_base_url}


def next_page() -> str:
    """Give the next page of the archive."""
    return f"page {os.urandom(4).hex()}"


agent_fuse.init(budget=0.05)
model = OpenAIChatCompletionClient(model="gpt-4o")
team = RoundRobinGroupChat([AssistantAgent("reader", model, tools=[next_page], max_tool_iterations=999)])
try:
    print(asyncio.run(team.run(task="Read the archive.")))
except agent_fuse.SentinelBudgetExceeded as trip:
    print(trip)
