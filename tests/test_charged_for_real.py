"""Did it cost? Real clients against a real provider that fails in real ways: what it served is booked, and nothing else."""

import asyncio
import contextlib
import gc
import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import httpx2
import openai
import pytest
import requests
import urllib3
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_openai import ChatOpenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Status as SpanStatus
from opentelemetry.trace import StatusCode

from agent_fuse import call
from agent_fuse.calls import Status, Usage
from agent_fuse.integrations.langchain import AgentFuseCallbackHandler
from agent_fuse.otel import instrumentor
from agent_fuse.testing import LoopbackProvider, Reply
from boxes import Box

BODY: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
IN_VAIN = 0.1
"""Seconds that a client waits for an answer that never comes."""


def by_httpx(url: str, seconds: float = 9) -> None:
    httpx.post(url, json=BODY, timeout=seconds).raise_for_status().json()


def by_httpx2(url: str, seconds: float = 9) -> None:
    httpx2.post(url, json=BODY, timeout=seconds).raise_for_status().json()


def by_requests(url: str, seconds: float = 9) -> None:
    answer = requests.post(url, json=BODY, timeout=seconds)
    answer.raise_for_status()
    answer.json()


def by_urllib3(url: str, seconds: float = 9) -> None:
    with urllib3.PoolManager(retries=False, timeout=seconds) as pool:
        answer = pool.request("POST", url, json=BODY)
        if answer.status >= 400:
            raise requests.HTTPError(f"{answer.status} Client Error: for url: {url}")
        answer.json()


def by_urllib(url: str, seconds: float = 9) -> None:
    request = urllib.request.Request(url, json.dumps(BODY).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=seconds) as answer:
        json.loads(answer.read())


def by_openai(url: str, seconds: float = 9) -> None:
    base = url.removesuffix("/chat/completions")
    with openai.OpenAI(base_url=base, api_key="x", max_retries=0, timeout=seconds) as client:
        client.chat.completions.create(**BODY)


def by_openai_async(url: str, seconds: float = 9) -> None:
    async def run() -> None:
        base = url.removesuffix("/chat/completions")
        async with openai.AsyncOpenAI(base_url=base, api_key="x", max_retries=0, timeout=seconds) as client:
            await client.chat.completions.create(**BODY)

    asyncio.run(run())


CLIENTS = [by_httpx, by_httpx2, by_requests, by_urllib3, by_urllib, by_openai, by_openai_async]

FAILURES: dict[str, Reply] = {
    "too many": Reply(status=429),
    "bad request": Reply(status=400),
    "broken": Reply(status=500),
    "dropped after the headers": Reply(cut_after_chunks=0),
    "dropped in the body": Reply(cut_after_chunks=1),
    "silent": Reply.never(),
}


@pytest.fixture(scope="module")
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as one:
        yield one


@pytest.fixture
def server(provider: LoopbackProvider) -> LoopbackProvider:
    provider.reset()
    provider.default = Reply()
    return provider


@pytest.fixture(autouse=True)
def _no_request_gate() -> Iterator[None]:
    """Spans and calls by hand are on their own here, unless a test turns the gate on."""
    was_on = instrumentor.wanted()
    instrumentor.uninstall()
    yield
    if was_on:
        instrumentor.install()
    else:
        instrumentor.uninstall()


def in_a_span(rig: Box, work: Callable[[], None]) -> None:
    """As user code does: the span records the exception, and is ended while it is raised."""
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(rig.processor)
    with tracing.get_tracer("my.instrumentation").start_as_current_span("chat", attributes=CHAT):
        work()


def in_a_terse_span(rig: Box, work: Callable[[], None]) -> None:
    """As genai instrumentations do: the class of the error is all that is told."""
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(rig.processor)
    span = tracing.get_tracer("my.instrumentation").start_span("chat", attributes=CHAT)
    try:
        work()
    except Exception as error:
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(SpanStatus(StatusCode.ERROR, str(error)))
        span.end()
        raise
    span.end()


def in_a_span_ended_elsewhere(rig: Box, work: Callable[[], None]) -> None:
    """As callbacks do: the exception is recorded, and the span is ended when nothing is raised any more."""
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(rig.processor)
    span = tracing.get_tracer("my.instrumentation").start_span("chat", attributes=CHAT)
    failed = None
    try:
        work()
    except Exception as error:
        failed = error
        span.record_exception(error)
        span.set_status(SpanStatus(StatusCode.ERROR, repr(error)))
    span.end()
    if failed is not None:
        raise failed


def by_hand(rig: Box, work: Callable[[], None]) -> None:
    """A call guarded by hand."""
    del rig
    with call("gpt-4o", 1000, 500):
        work()


PATHS = [in_a_span, in_a_terse_span, in_a_span_ended_elsewhere, by_hand]


def fail(rig: Box, path: Callable[..., None], work: Callable[[], None]) -> list[Any]:
    """Run it; what was booked, with nothing held."""
    with pytest.raises((Exception, asyncio.CancelledError)):
        path(rig, work)
    assert rig.books.open_holds() == []
    return rig.entries()


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda one: one.__name__)
def test_what_was_served_is_booked_and_nothing_else(
    box: Any, server: LoopbackProvider, client: Callable[..., None], failure: str
) -> None:
    """Dropped connections and silence are booked at the quote on every path; error statuses give the hold back."""
    given = [f"{server.openai_base_url}/chat/completions", *([IN_VAIN] if failure == "silent" else [])]
    for path in PATHS:
        server.default = FAILURES[failure]
        booked = fail(box(db_path="memory://", budget=5), path, lambda: client(*given))
        worked = FAILURES[failure].status == 200  # a reply that never comes is worked on all the same
        assert [one.status for one in booked] == ([Status.ESTIMATED] if worked else []), path.__name__
        assert all(one.cost for one in booked)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda one: one.__name__)
def test_a_refused_connection_is_free(box: Any, client: Callable[[str], None]) -> None:
    """Nobody listens, or the name is unknown to the transport: nothing was sent, on every path."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1/chat/completions"
    for path in PATHS:
        assert fail(box(db_path="memory://", budget=5), path, lambda: client(url)) == [], path.__name__


@pytest.mark.parametrize("path", PATHS, ids=lambda one: one.__name__)
@pytest.mark.parametrize("error", ["ResponseValidationError", "JSONDecodeError", "DecodingError", "MyOwnError"])
def test_an_answer_that_cannot_be_read_is_booked(
    box: Any, server: LoopbackProvider, path: Callable[..., None], error: str
) -> None:
    """The provider answered 200; whatever its client then raises, the answer was paid."""

    def work() -> None:
        by_httpx(f"{server.openai_base_url}/chat/completions")
        raise type(error, (Exception,), {})("body.id: field required")

    (entry,) = fail(box(db_path="memory://", budget=5, wire_gate=False), path, work)
    assert entry.status is Status.ESTIMATED
    (entry,) = fail(box(db_path="memory://", budget=5), path, work)
    assert entry.status is Status.SETTLED, "the wire gate has read it all the same"
    assert len(server.served) == 2


@pytest.mark.parametrize("path", PATHS, ids=lambda one: one.__name__)
def test_a_cancelled_call_is_booked(box: Any, path: Callable[..., None]) -> None:
    """A task cancelled while the provider works may have paid."""

    def work() -> None:
        raise asyncio.CancelledError

    if path is in_a_terse_span or path is in_a_span_ended_elsewhere:
        pytest.skip("these end their span for an Exception only; one that is never ended is booked as lost")
    (entry,) = fail(box(db_path="memory://", budget=5), path, work)
    assert entry.status is Status.ESTIMATED


# What other layers saw says more than an error that tells nothing ------------------------------------------------------


def gated(box: Any) -> Box:
    """The request gate is on: every request of the openai SDK is seen."""
    rig: Box = box(db_path="memory://", budget=5, request_gate=True)
    instrumentor.install()
    return rig


GATED = {**CHAT, "gen_ai.provider.name": "openai"}
SCOPE = "opentelemetry.instrumentation.genai.openai"
"""A scope whose calls go through the SDK."""


def in_an_sdk_span(rig: Box, work: Callable[[], None]) -> None:
    """The span of an instrumentation of the openai SDK, whose request gate follows."""
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(rig.processor)
    with tracing.get_tracer(SCOPE).start_as_current_span("chat gpt-4o", attributes=GATED):
        work()


@pytest.mark.parametrize("error", [TypeError("create() got an unexpected keyword"), ValueError("no"), KeyError("x")])
def test_an_error_before_the_request_is_free_where_every_request_is_seen(box: Any, error: Exception) -> None:
    """A bad argument raises before anything is sent: the exact gate saw no request, so there is nothing to book."""

    def work() -> None:
        raise error

    assert fail(gated(box), in_an_sdk_span, work) == []
    ungated = box(db_path="memory://", budget=5, request_gate=False)
    assert len(fail(ungated, in_an_sdk_span, work)) == 1, "where nobody would have seen it, it may have cost"


def test_a_cancel_before_the_request_is_free_where_every_request_is_seen(box: Any) -> None:
    """A task cancelled before its request was built sent nothing."""

    def work() -> None:
        raise asyncio.CancelledError

    assert fail(gated(box), in_an_sdk_span, work) == []


def test_a_span_that_is_dropped_before_the_request_is_free_where_every_request_is_seen(box: Any) -> None:
    """Traceloop ends none whose task is cancelled: no request of it was seen, so none is booked when it is dropped."""
    rig = gated(box)
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(rig.processor)
    span = tracing.get_tracer(SCOPE).start_span("chat gpt-4o", attributes=GATED)
    del span
    gc.collect()
    assert list(rig.fuse.ledger.journal()) == []
    assert rig.fuse.ledger.holds() == []


def test_a_transport_error_is_booked_even_where_no_request_was_seen(box: Any) -> None:
    """An answer that did not come was asked for: a gate that saw nothing of it was passed by."""

    def work() -> None:
        raise httpx.ReadTimeout("no answer")

    assert len(fail(gated(box), in_an_sdk_span, work)) == 1


def test_a_bug_after_the_answer_is_booked_by_the_answer(box: Any, server: LoopbackProvider) -> None:
    """The request gate has the usage already: the host's own error changes nothing."""

    def work() -> None:
        by_openai(f"{server.openai_base_url}/chat/completions")
        raise KeyError("x")

    for path in (in_an_sdk_span, by_hand):
        (entry,) = fail(gated(box), path, work)
        assert (entry.status, entry.cost) == (Status.SETTLED, 7_500_000)


def test_a_bug_after_a_refused_request_is_free(box: Any, server: LoopbackProvider) -> None:
    """The only request was answered 429: an error that tells nothing does not book it."""
    server.default = Reply(status=429)

    def work() -> None:
        with contextlib.suppress(openai.RateLimitError):
            by_openai(f"{server.openai_base_url}/chat/completions")
        raise KeyError("x")

    for path in (in_an_sdk_span, by_hand):
        assert fail(gated(box), path, work) == []


class Unready(ChatOpenAI):
    """A model that fails before its request, as one does whose messages cannot be converted."""

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        raise ValueError("Got unknown message type")


def test_the_langchain_handler_knows_what_passed_the_request_gate(box: Any, server: LoopbackProvider) -> None:
    """The handler holds before it knows of a request: an error that tells nothing is free where none was seen."""
    first = gated(box)
    config: Any = {"callbacks": [AgentFuseCallbackHandler()]}  # with no guard there, it would make one of the process
    unready = Unready(model="gpt-4o", base_url=server.openai_base_url, api_key="x", max_retries=0)  # type: ignore[arg-type]
    fails = GenericFakeChatModel(messages=iter(()))
    assert fail(first, lambda _rig, work: work(), lambda: unready.invoke("hi", config)) == []
    assert len(fail(gated(box), lambda _rig, work: work(), lambda: fails.invoke("hi", config))) == 1
    server.default = Reply(cut_after_chunks=0)
    dropped = ChatOpenAI(model="gpt-4o", base_url=server.openai_base_url, api_key="x", max_retries=0)  # type: ignore[arg-type]
    for make in (lambda: gated(box), lambda: box(db_path="memory://", budget=5, request_gate=False)):
        (entry,) = fail(make(), lambda _rig, work: work(), lambda: dropped.invoke("hi", config))
        assert entry.status is Status.ESTIMATED
        instrumentor.uninstall()
