"""openai-agents: a run that would read for ever stops at its session's budget, and the process goes on."""

import os

from agents import Agent, Runner, function_tool

import agent_fuse
from agent_fuse.testing import LoopbackProvider, Reply, ToolCall

if "OPENAI_API_KEY" not in os.environ:  # a model on loopback that always asks for the tool
    loopback = LoopbackProvider(Reply(tool_calls=(ToolCall(name="next_page", arguments={}),)))
    loopback.start()
    os.environ |= {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": loopback.openai_base_url}

pages = iter(range(1, 1000))


@function_tool
def next_page() -> str:
    """Give the next page of the archive."""
    return f"page {next(pages)}"


agent_fuse.init(budget=5)
agent = Agent(name="reader", tools=[next_page], model="gpt-4o")
try:
    with agent_fuse.session("job-1", budget=0.05):
        print(Runner.run_sync(agent, "Read the archive.", max_turns=1000).final_output)
except agent_fuse.SentinelBudgetExceeded as trip:
    print(trip)
