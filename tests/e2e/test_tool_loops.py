"""A tool loop is stopped before the tool's body, through the tool spans of an agent, sync and async."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool

from agent_fuse import SentinelLoopError
from agent_fuse.calls import Status
from agent_fuse.testing import Reply, Request, ToolCall, assert_books_balance

from .conftest import Rig
from .kinds import LOOP, MESSAGES, chat


def agent(rig: Rig, ran: list[int], *, progress: bool = False) -> Any:
    @tool
    def look(page: int) -> str:
        """Look at a page."""
        ran.append(page)
        return f"state {len(ran)}" if progress else "the same as ever"

    return create_agent(chat(rig.provider), tools=[look])


def stuck(_: Request | None) -> Reply:
    return Reply(tool_calls=(ToolCall(name="look", arguments={"page": 1}),))


def needs_tool_spans(rig: Rig) -> None:
    if rig.instrumentation == "openai":
        pytest.skip("Traceloop's openai instrumentation makes no tool spans")


def test_a_stuck_agent_is_stopped_before_the_sixth_body(rig: Rig) -> None:
    """Five identical calls run, the sixth does not, and the caller gets the trip."""
    needs_tool_spans(rig)
    books, ran = rig.use(budget=10), []
    rig.provider.default = stuck
    with pytest.raises(SentinelLoopError) as caught:
        agent(rig, ran).invoke({"messages": MESSAGES}, {"recursion_limit": 100})
    assert len(ran) == 5
    assert (caught.value.tool, caught.value.call_count, caught.value.kind) == ("look", 6, "repeat")
    assert caught.value.signature == 'look|{"page": 1}'
    requests = rig.provider.count
    assert requests == 6
    refused = books.entries(Status.REFUSED)
    assert [(entry.tool, entry.reason) for entry in refused] == [("look", "loop")]
    spans = [span for span in rig.spans() if span.name == "execute_tool look"]
    assert len(spans) == 6
    assert spans[-1].attributes["agent_fuse.refused.reason"] == "loop"
    assert len(rig.processor.gates.nodes) == 0
    assert_books_balance(rig.processor.fuse.ledger)


def test_a_stuck_async_agent(rig: Rig) -> None:
    """So for an async agent."""
    needs_tool_spans(rig)
    rig.use(budget=10)
    ran: list[int] = []
    rig.provider.default = stuck
    with pytest.raises(SentinelLoopError):
        LOOP.run_until_complete(agent(rig, ran).ainvoke({"messages": MESSAGES}, {"recursion_limit": 100}))
    assert len(ran) == 5


def test_polling_with_progress_is_no_loop(rig: Rig) -> None:
    """The same call with ever new results goes on."""
    needs_tool_spans(rig)
    rig.use(budget=10)
    ran: list[int] = []
    rig.provider.reply(stuck(None), times=20)
    rig.provider.default = Reply(text="done")
    agent(rig, ran, progress=True).invoke({"messages": MESSAGES}, {"recursion_limit": 100})
    assert len(ran) == 20
