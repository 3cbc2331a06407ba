"""The LangChain handler, alone and beside instrumentations: refuses before anything leaves, books once, exactly."""

from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.context import register_configure_hook

from agent_fuse import SentinelBudgetExceeded
from agent_fuse.calls import Status
from agent_fuse.errors import is_soft
from agent_fuse.integrations import AgentFuseCallbackHandler
from agent_fuse.testing import assert_books_balance

from .conftest import Rig
from .kinds import KINDS, LOOP, MESSAGES, Kind, chat
from .test_booking import price, script

HOOK: ContextVar[BaseCallbackHandler | None] = ContextVar("handler", default=None)
register_configure_hook(HOOK, inheritable=True)

HANDLED = [kind for kind in KINDS if kind.langchain and kind.name != "langchain_embeddings"]

pytestmark = pytest.mark.parametrize("wired", ["none", "langchain", "both"], indirect=True)


@pytest.fixture
def handler(rig: Rig) -> Iterator[AgentFuseCallbackHandler]:
    """The handler on every model, chain and agent, after the instrumentation's own."""
    one = AgentFuseCallbackHandler()
    token = HOOK.set(one)
    yield one
    HOOK.reset(token)


@pytest.mark.parametrize("kind", HANDLED, ids=lambda kind: kind.name)
def test_a_call_is_booked_once_and_exactly(rig: Rig, handler: Any, kind: Kind) -> None:
    """Handler, spans and request see one call: it is booked once, at exactly what the provider reported."""
    books = rig.use(budget=100)
    rig.provider.default = script(kind)
    assert kind.call(rig.provider) is not None
    served = list(rig.provider.served)
    entries = books.entries(Status.SETTLED, Status.ESTIMATED, Status.PRESUMED)
    models = [entry for entry in entries if entry.operation != "execute_tool"]
    assert len(models) == len(served), "a call was counted twice, or lost"
    assert {entry.status for entry in models} == {Status.SETTLED}
    tools = [entry for entry in entries if entry.operation == "execute_tool"]
    assert [entry.tool for entry in tools] == (["weather"] if kind.agent else [])
    assert books.open_holds() == []
    assert books.spent("session=test") == sum(price(one.model, one.usage) for one in served)
    assert_books_balance(rig.processor.fuse.ledger)


@pytest.mark.parametrize("kind", HANDLED, ids=lambda kind: kind.name)
def test_refused_before_anything_leaves(rig: Rig, handler: Any, kind: Kind) -> None:
    """What the budget does not admit raises to the caller, hard, with no request and no span left open."""
    books = rig.use(budget="0.00000001")
    with pytest.raises(SentinelBudgetExceeded) as caught:
        kind.call(rig.provider)
    assert not is_soft(caught.value)
    assert rig.provider.count == 0
    assert books.open_holds() == []
    assert len(books.entries(Status.REFUSED)) >= 1
    assert len(rig.processor.gates.nodes) == 0, "a span was never ended"
    assert_books_balance(rig.processor.fuse.ledger)


def test_an_exact_fit_is_admitted(rig: Rig) -> None:
    """The hold of the handler does not make the gates after it refuse the very call that it holds for."""
    handler = AgentFuseCallbackHandler()
    room = quoted(rig, handler)
    books = rig.use(budget=room)
    chat(rig.provider, callbacks=[handler], max_tokens=50).invoke(MESSAGES)
    assert rig.provider.count == 1
    assert books.open_holds() == []


def quoted(rig: Rig, handler: Any) -> Any:
    """What the call is quoted at, by refusing it."""
    rig.use(budget="0.00000001", db_path="memory://")
    with pytest.raises(SentinelBudgetExceeded) as caught:
        chat(rig.provider, callbacks=[handler], max_tokens=50).invoke(MESSAGES)
    return caught.value.requested


@pytest.mark.filterwarnings("ignore:Unexpected type for token usage:UserWarning")
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_several_prompts_in_one_go_are_booked_each_once(rig: Rig, mode: str) -> None:
    """`generate` starts all runs before the first request leaves: each request still finds its run."""
    books = rig.use(budget=100)
    handler = AgentFuseCallbackHandler()
    usages = {"one": 1000, "two": 2000, "three": 3000}
    from agent_fuse.calls import Usage
    from agent_fuse.testing import Reply

    def answer(request: Any) -> Reply:
        said = request.body["messages"][0]["content"]
        return Reply(usage=Usage(input_tokens=usages[said], output_tokens=usages[said] // 10))

    rig.provider.default = answer
    model = chat(rig.provider, callbacks=[handler])
    lists: Any = [[("user", said)] for said in usages]
    from langchain_core.messages import HumanMessage

    lists = [[HumanMessage(said)] for said in usages]
    if mode == "sync":
        model.generate(lists)
    else:
        LOOP.run_until_complete(model.agenerate(lists))
    assert len(books.entries()) == 3
    assert books.spent("session=test") == sum(price(one.model, one.usage) for one in rig.provider.served)
    assert_books_balance(rig.processor.fuse.ledger)
