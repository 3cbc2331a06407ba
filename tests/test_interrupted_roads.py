"""A KeyboardInterrupt or a cancellation at any instant of the other ways in: LangChain, tools, the backlog, async SDKs."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Generator
from typing import Any
from uuid import uuid4

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.tools import tool

import agent_fuse
from agent_fuse import Limit
from agent_fuse.api import current
from agent_fuse.calls import Status
from agent_fuse.fuse import Fuse
from agent_fuse.integrations import AgentFuseCallbackHandler
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.otel import langchain_tools
from agent_fuse.testing import LoopbackProvider
from agent_fuse.testing.ledger import assert_books_balance
from alone import leave_nobody
from interrupting import every_instant

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine .* was never awaited:RuntimeWarning"
)


@pytest.fixture
def fuse(tmp_path, monkeypatch) -> Fuse:
    leave_nobody()
    # LangChain's instrumentation leaves its own spans open where it is interrupted.
    monkeypatch.setattr(langchain_tools, "_done", True)
    agent_fuse.init(
        limits=[Limit(usd=1000), Limit(tool_calls=10**9)],
        db_path=str(tmp_path / "ledger.db"),
        session_id="s",
        warn_at="none",
        loop_detection_enabled=False,
    )
    at_work = current()
    assert at_work is not None
    return at_work


def test_no_instant_of_a_langchain_call_keeps_its_hold(fuse):
    """What the handler itself is at; LangChain tells it of an interrupt in the model."""
    handler, answer = AgentFuseCallbackHandler(), LLMResult(generations=[[ChatGeneration(message=AIMessage("hi"))]])

    def work() -> None:
        run = uuid4()
        try:
            handler.on_chat_model_start({}, [[HumanMessage("hi")]], run_id=run)
            handler.on_llm_end(answer, run_id=run)
        except BaseException as error:
            handler.on_llm_error(error, run_id=run)
            raise

    assert every_instant(fuse, work, stride=7) > 300


def test_no_instant_of_a_langchain_tool_keeps_its_hold(fuse):
    @tool
    def search(query: str) -> str:
        """Search."""
        return query

    said: Any = {"callbacks": [AgentFuseCallbackHandler()]}
    assert every_instant(fuse, lambda: search.invoke({"query": "x"}, config=said), stride=7) > 100


def test_no_instant_of_a_checked_action_keeps_its_hold(fuse):
    assert every_instant(fuse, lambda: agent_fuse.check_loop("search", {"query": "x"}), stride=7) > 100


@pytest.mark.soak
def test_no_instant_of_booking_late_loses_what_was_spent(fuse, monkeypatch):
    """The ledger is gone when a call ends: what waits is booked once it is back, whatever is interrupted on the way."""
    backlog, database = fuse.accounting.retry.backlog, fuse.ledger._database
    monkeypatch.setattr(backlog, "start", lambda *, soon=False: None)  # written here, not by a thread
    write, made = database.write, []

    def gone(operation, work):
        raise LedgerError(operation, "the file", "disk gone (simulated)")

    def work():
        try:
            with agent_fuse.call("gpt-4o", 10, 10) as one:
                made.append(one)
                database.write = gone
        finally:
            database.write = write
        backlog.flush()

    assert every_instant(fuse, work, stride=7) > 300
    assert not backlog
    assert {one.id for one in fuse.ledger.journal()} >= {one.seen.call.payload.id for one in made}


MESSAGES: Any = [{"role": "user", "content": "hi"}]


def asked(provider: LoopbackProvider, *, stream: bool) -> Callable[[], Coroutine[Any, Any, None]]:
    async def ask() -> None:
        async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x") as client:
            answer: Any = await client.chat.completions.create(
                model="gpt-4o", messages=MESSAGES, max_tokens=50, stream=stream
            )
            if stream:
                async for _ in answer:
                    pass

    return ask


def booked_as_served(fuse: Fuse, provider: LoopbackProvider) -> None:
    booked = [one for one in fuse.ledger.journal() if one.status is not Status.REFUSED]
    assert len(provider.served) <= len(booked)
    assert len({one.id for one in booked}) == len(booked)


@pytest.mark.soak
@pytest.mark.parametrize("stream", [False, True])
def test_no_instant_of_an_async_request_keeps_its_hold(fuse, stream):
    with LoopbackProvider() as provider:
        ask = asked(provider, stream=stream)
        every_instant(fuse, lambda: asyncio.run(ask()), stride=41)
        booked_as_served(fuse, provider)


class Cancelled:
    """A coroutine whose task is cancelled the `at`-th time that it waits."""

    def __init__(self, work: Coroutine[Any, Any, None], at: int) -> None:
        self._work, self._at = work, at
        self.waited = 0

    def __await__(self) -> Generator[Any, Any, None]:
        waits = self._work.__await__()
        error: BaseException | None = None
        while True:
            try:
                asked = waits.send(None) if error is None else waits.throw(error)
            except StopIteration:
                return
            self.waited += 1
            if self.waited == self._at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            error = None
            try:
                yield asked
            except BaseException as thrown:  # it is for the work to handle
                error = thrown


@pytest.mark.parametrize("stream", [False, True])
def test_no_await_at_which_a_request_is_cancelled_keeps_its_hold(fuse, stream):
    with LoopbackProvider() as provider:
        ask = asked(provider, stream=stream)

        async def every_await() -> int:
            at = 1
            while True:
                one = Cancelled(ask(), at)

                async def work(one: Cancelled = one) -> None:
                    await one

                done = await asyncio.gather(asyncio.create_task(work()), return_exceptions=True)
                await ask()
                gc.collect()
                assert (len(list(fuse.ledger.holds())), fuse.open_calls()) == (0, 0), at
                if one.waited < at:
                    assert done == [None]
                    return at
                at += 1

        assert asyncio.run(every_await()) > 3
        booked_as_served(fuse, provider)
        assert_books_balance(fuse.ledger)
