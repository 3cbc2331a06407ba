"""Calls that end otherwise: a stream broken off or without usage is booked by estimate, what cost nothing is given back."""

import asyncio
import gc
import socket
from typing import Any

import anthropic
import openai
import pytest
from langchain_openai import ChatOpenAI

from agent_fuse.calls import Status, Usage
from agent_fuse.testing import Reply, assert_books_balance

from .conftest import Rig
from .kinds import CLAUDE, LOOP, MESSAGES, MODEL, aclaude, aclient, chat, claude, client

TOLD = Usage(input_tokens=1000, output_tokens=500)
LONG = Reply(text="word " * 40, usage=TOLD)
WITH_USAGE: Any = {"include_usage": True}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK waits for no retry."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0)


def one_entry(rig: Rig) -> Any:
    """The only booked call; nothing may be left open."""
    assert rig.books.open_holds() == []
    assert_books_balance(rig.processor.fuse.ledger)
    (entry,) = rig.books.entries(Status.SETTLED, Status.ESTIMATED, Status.PRESUMED)
    return entry


def assert_estimated(rig: Rig) -> None:
    gc.collect()
    entry = one_entry(rig)
    assert entry.status is Status.ESTIMATED
    assert entry.cost > 0
    assert entry.output_tokens > 0


def take_five(stream: Any) -> None:
    for count, _ in enumerate(stream):
        if count == 4:
            break


def test_a_stream_closed_after_five_chunks(rig: Rig) -> None:
    """Closing a stream early is booked by estimate, not at zero."""
    rig.use(budget=10)
    rig.provider.default = LONG
    stream = client(rig.provider).chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, stream_options=WITH_USAGE
    )
    take_five(stream)
    stream.close()
    del stream
    assert_estimated(rig)


def test_a_stream_left_to_the_garbage_collector(rig: Rig) -> None:
    """A stream that is dropped without a close is booked by estimate once it is collected."""
    rig.use(budget=10)
    rig.provider.default = LONG
    stream = client(rig.provider).chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    take_five(stream)
    del stream
    assert_estimated(rig)


def test_a_responses_stream_closed_early(rig: Rig) -> None:
    """The Responses API reports usage in its last event only; breaking off is an estimate."""
    rig.use(budget=10)
    rig.provider.default = LONG
    with client(rig.provider).responses.create(model=MODEL, input="Say hello.", stream=True) as stream:
        take_five(stream)
    del stream
    assert_estimated(rig)


def test_an_anthropic_stream_closed_early_knows_its_input(rig: Rig) -> None:
    """Anthropic tells input usage first: the estimate uses it, and the quote for the output."""
    rig.use(budget=10)
    rig.provider.default = LONG
    with claude(rig.provider).messages.create(model=CLAUDE, max_tokens=300, messages=MESSAGES, stream=True) as stream:
        take_five(stream)
    del stream
    entry = one_entry(rig)
    assert entry.status is Status.ESTIMATED
    assert (entry.input_tokens, entry.output_tokens) == (1000, 300)


def test_a_cancelled_task(rig: Rig) -> None:
    """A task cancelled while the model works may have cost its quote."""
    rig.use(budget=10)
    rig.provider.default = Reply(delay_s=30)

    async def run() -> None:
        async with aclient(rig.provider) as one:
            task = asyncio.ensure_future(one.chat.completions.create(model=MODEL, messages=MESSAGES))
            await asyncio.to_thread(rig.provider.wait_for, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    LOOP.run_until_complete(run())
    assert_estimated(rig)


def test_a_cancelled_stream(rig: Rig) -> None:
    """So may a task cancelled in the middle of a stream."""
    rig.use(budget=10)
    rig.provider.default = Reply(text="word " * 40, usage=TOLD, stall_after_chunks=5)

    async def run() -> None:
        async def read() -> None:
            async with aclaude(rig.provider) as one:
                stream = await one.messages.create(model=CLAUDE, max_tokens=300, messages=MESSAGES, stream=True)
                async for _ in stream:
                    started.set()

        started = asyncio.Event()
        task = asyncio.ensure_future(read())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    LOOP.run_until_complete(run())
    assert_estimated(rig)


def test_a_stream_cut_off_by_the_provider(rig: Rig) -> None:
    """A connection that dies in the middle of a stream is an estimate."""
    rig.use(budget=10)
    rig.provider.default = Reply(text="word " * 40, usage=TOLD, cut_after_chunks=5)
    with pytest.raises(Exception, match=r".*"):
        list(client(rig.provider).chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert_estimated(rig)


def test_a_langchain_stream_left_early(rig: Rig) -> None:
    """LangChain's stream, left after a few chunks."""
    rig.use(budget=10)
    rig.provider.default = LONG
    stream = chat(rig.provider, stream_usage=True).stream("Say hello.")
    take_five(stream)
    stream.close()  # type: ignore[attr-defined]
    del stream
    assert_estimated(rig)


def test_a_whole_stream_without_usage_is_counted(rig: Rig) -> None:
    """Without include_usage, what came is counted: forty words are about forty tokens, not the quote's thousand."""
    rig.use(budget=10, stream_usage=False)
    rig.provider.default = LONG
    list(client(rig.provider).chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    entry = one_entry(rig)
    assert entry.status is Status.ESTIMATED
    assert entry.reason == "counted"
    assert 20 <= entry.output_tokens <= 100


def assert_free(rig: Rig) -> None:
    assert rig.books.entries(Status.SETTLED, Status.ESTIMATED, Status.PRESUMED) == []
    assert rig.books.open_holds() == []
    assert rig.books.held("session=test") == 0


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_an_error_status_costs_nothing(rig: Rig, status: int) -> None:
    """4xx, 429 and 5xx give the hold back."""
    rig.use(budget=10)
    rig.provider.default = Reply(status=status)
    with pytest.raises(openai.APIStatusError):
        client(rig.provider).chat.completions.create(model=MODEL, messages=MESSAGES)
    assert_free(rig)


def test_an_anthropic_error_costs_nothing(rig: Rig) -> None:
    """Anthropic's overload too."""
    rig.use(budget=10)
    rig.provider.default = Reply(status=529)
    with pytest.raises(anthropic.APIStatusError):
        claude(rig.provider).messages.create(model=CLAUDE, max_tokens=100, messages=MESSAGES)
    assert_free(rig)


def test_retries_after_429_are_one_call(rig: Rig) -> None:
    """Three attempts of one call: one hold, one booking, at the usage of the attempt that worked."""
    books = rig.use(budget=10)
    rig.provider.reply(Reply(status=429, retry_after_s=0.01), Reply(status=429, retry_after_s=0.01), LONG)
    client(rig.provider).with_options(max_retries=3).chat.completions.create(model=MODEL, messages=MESSAGES)
    assert rig.provider.count == 3
    assert one_entry(rig).status is Status.SETTLED
    assert books.spent("session=test") == 1000 * 2500 + 500 * 10_000


def test_retries_exhausted_after_429_cost_nothing(rig: Rig) -> None:
    """All attempts refused by the provider: nothing was spent."""
    rig.use(budget=10)
    rig.provider.default = Reply(status=429, retry_after_s=0.01)
    with pytest.raises(openai.RateLimitError):
        client(rig.provider).with_options(max_retries=2).chat.completions.create(model=MODEL, messages=MESSAGES)
    assert rig.provider.count == 3
    assert_free(rig)


def test_a_refused_connection_costs_nothing(rig: Rig) -> None:
    """Nobody listens: nothing was sent."""
    rig.use(budget=10)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    with openai.OpenAI(base_url=url, api_key="x", max_retries=1) as one, pytest.raises(openai.APIConnectionError):
        one.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert_free(rig)


def test_a_timeout_before_the_request_was_sent_costs_nothing(rig: Rig) -> None:
    """A connection that is never accepted times out before anything was sent."""
    rig.use(budget=10)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.create_connection(full.getsockname(), timeout=0.2)]
        try:
            while len(waiting) < 8:
                waiting.append(socket.create_connection(full.getsockname(), timeout=0.2))
        except TimeoutError:
            pass
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        with (
            openai.OpenAI(base_url=url, api_key="x", max_retries=0, timeout=0.2) as one,
            pytest.raises(openai.APITimeoutError),
        ):
            one.chat.completions.create(model=MODEL, messages=MESSAGES)
        for one_socket in waiting:
            one_socket.close()
    assert_free(rig)


def test_an_attempt_without_an_answer_is_booked_beside_its_retry(rig: Rig) -> None:
    """The provider worked on an attempt that timed out while we waited; the retry is another call (hidden billed retries)."""
    books = rig.use(budget=10)
    rig.provider.reply(Reply.never(), LONG)
    client(rig.provider).with_options(max_retries=1, timeout=0.7).chat.completions.create(
        model=MODEL, messages=MESSAGES
    )
    statuses = sorted(str(entry.status) for entry in books.entries(Status.SETTLED, Status.ESTIMATED))
    assert statuses == ["estimated", "settled"]
    assert books.open_holds() == []


def test_langchain_fallback_after_an_error_books_the_fallback_only(rig: Rig) -> None:
    """The first model fails for free, the second answers."""
    books = rig.use(budget=10)
    rig.provider.reply(Reply(status=500), LONG)
    first = chat(rig.provider)
    second = ChatOpenAI(model="gpt-4o-mini", base_url=rig.provider.openai_base_url, api_key="x", max_retries=0)  # type: ignore[arg-type]
    first.with_fallbacks([second]).invoke("Say hello.")
    (entry,) = books.entries(Status.SETTLED, Status.ESTIMATED)
    assert (entry.model, entry.status) == ("gpt-4o-mini", Status.SETTLED)
    assert books.open_holds() == []
