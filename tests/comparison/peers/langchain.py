"""LangChain's ModelCallLimitMiddleware: calls of one thread, kept by a checkpointer in memory."""

from langchain.agents import create_agent
from langchain.agents.middleware import ModelCallLimitMiddleware
from langchain.agents.middleware.model_call_limit import ModelCallLimitExceededError
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver

from comparison.guard import Guard, Refused

PACKAGE = "langchain"
KINDS = {"calls, in memory": {}}
HERE = {"configurable": {"thread_id": "s"}}


class Limited(Guard):
    def __init__(self, calls):
        self._limit = ModelCallLimitMiddleware(thread_limit=calls, exit_behavior="error")
        self._kept = InMemorySaver()

    def call(self, request):
        def answers():
            request()
            yield AIMessage("x")

        agent = create_agent(
            GenericFakeChatModel(messages=answers()), middleware=[self._limit], checkpointer=self._kept
        )
        try:
            agent.invoke({"messages": [("user", "hi")]}, HERE)
        except ModelCallLimitExceededError:
            raise Refused from None


def open_guard(kind, folder, calls):
    return Limited(calls)
