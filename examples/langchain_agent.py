"""A LangChain agent that asks one tool the same thing again and again is stopped before the sixth time."""

import os

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from agent_fuse import SentinelError, init, monitor
from agent_fuse.integrations import AgentFuseCallbackHandler
from agent_fuse.testing import LoopbackProvider, Reply, ToolCall

if "OPENAI_API_KEY" not in os.environ:
    print("No OPENAI_API_KEY: a model provider on loopback answers instead, always with the same tool call.")
    loopback = LoopbackProvider(Reply(tool_calls=(ToolCall(name="search", arguments={"query": "the answer"}),)))
    loopback.start()
    os.environ |= {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": loopback.openai_base_url}


@tool
def search(query: str) -> str:
    """Search the archive."""
    print("searching for", query)
    return "nothing found"


init(budget=1.00)
agent = create_agent(ChatOpenAI(model="gpt-4o"), tools=[search])
try:
    question = {"messages": [{"role": "user", "content": "Find the answer."}]}
    print(agent.invoke(question, config={"callbacks": [AgentFuseCallbackHandler()]})["messages"][-1].content)
except SentinelError as trip:
    print(trip)
print(f"Spent ${monitor().session_spend_usd} in {monitor().session_calls} calls.")
