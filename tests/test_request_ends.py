"""Both ends of a request find each other whoever wraps the SDK: however it ends, nothing stays held, nothing is lost."""

import asyncio
import functools
import gc
import pickle
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import openai
import openai._base_client as base
import pytest
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from agent_fuse import SentinelBudgetExceeded
from agent_fuse.calls import Status, Usage
from agent_fuse.otel import instrumentor, patches, survey, unseen
from agent_fuse.testing import LoopbackProvider, Reply
from boxes import PRICE, Box
from unpatch import remembered

MESSAGES: Any = [{"role": "user", "content": "Say hello."}]
ASKED: Any = {"model": "gpt-4o", "messages": MESSAGES, "max_tokens": 500}
LOOP = asyncio.new_event_loop()
STREAMED: Any = {**ASKED, "stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture(scope="module")
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider(usage=Usage(input_tokens=1000, output_tokens=500)) as provider:
        yield provider


@pytest.fixture(scope="module")
def put_back() -> Callable[[], None]:
    return remembered()


@pytest.fixture(params=["alone", "openinference first"])
def rig(request: Any, box: Any, provider: LoopbackProvider, put_back: Callable[[], None]) -> Iterator[Box]:
    """A fuse, and perhaps OpenInference's wrapper of the original `request` on the client's class."""
    provider.reset()
    unseen._ends.clear()
    tracing = TracerProvider()
    instrumentor.uninstall()
    if request.param != "alone":
        OpenAIInstrumentor().instrument(tracer_provider=tracing)
    rig: Box = box(budget=1)
    tracing.add_span_processor(rig.processor)
    yield rig
    put_back()
    unseen._ends.clear()


@functools.cache
def default(provider: LoopbackProvider) -> openai.OpenAI:
    return openai.OpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0)


def client(provider: LoopbackProvider, **options: Any) -> openai.OpenAI:
    return default(provider).with_options(**options)


@functools.cache
def adefault(provider: LoopbackProvider) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0)


def acall(provider: LoopbackProvider, **options: Any) -> None:
    """One async call."""
    LOOP.run_until_complete(adefault(provider).with_options(**options).chat.completions.create(**ASKED))


def check(rig: Box, *entries: tuple[Status, str]) -> None:
    """The journal has these lines (status and reason) and nothing is held or under way."""
    assert [(one.status, one.reason) for one in rig.entries()] == list(entries)
    assert rig.books.open_holds() == []
    assert rig.fuse.open_calls() == 0


EXACT, QUOTE = (Status.SETTLED, ""), (Status.ESTIMATED, "quote")


# Failures ------------------------------------------------------------------------------------------------------------


def test_a_connection_that_is_refused_gives_the_hold_back(rig: Box, provider: LoopbackProvider) -> None:
    """Sync and async, with a retry each: nothing was sent, nothing is booked."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    with pytest.raises(openai.APIConnectionError):
        client(provider, base_url=nobody, max_retries=1).chat.completions.create(**ASKED)
    with pytest.raises(openai.APIConnectionError):
        acall(provider, base_url=nobody)
    check(rig)


@pytest.mark.parametrize("status", [302, 400, 404, 429, 500])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_status_gives_the_hold_back(rig: Box, provider: LoopbackProvider, status: int, streamed: bool) -> None:
    """Whatever was asked for: an error status charges nothing."""
    provider.default = Reply(status=status)
    with pytest.raises(openai.APIStatusError):
        client(provider).chat.completions.create(**(STREAMED if streamed else ASKED))
    with (
        pytest.raises(openai.APIStatusError),
        client(provider).chat.completions.with_streaming_response.create(**ASKED),
    ):
        pass
    with pytest.raises(openai.APIStatusError):
        acall(provider)
    provider.default = Reply()
    check(rig)


def test_a_time_out_after_sending_is_booked_at_its_quote(rig: Box, provider: LoopbackProvider) -> None:
    """The provider may have worked on it; its retry is a call of its own."""
    provider.reply(Reply.never(), Reply(), Reply.never())
    client(provider, timeout=0.2, max_retries=1).chat.completions.create(**ASKED)
    with pytest.raises(openai.APITimeoutError):
        acall(provider, timeout=0.2)
    check(rig, QUOTE, EXACT, QUOTE)


def test_retries_are_one_call(rig: Box, provider: LoopbackProvider) -> None:
    """Two attempts that the provider turned down and one that it answered: one line, at what was answered."""
    later = Reply(status=429, retry_after_s=0.01)
    provider.reply(later, later, Reply(), later, later, Reply())
    client(provider, max_retries=2).chat.completions.create(**ASKED)
    acall(provider, max_retries=2)
    assert provider.count == 6
    check(rig, EXACT, EXACT)
    assert rig.spent() == 2 * PRICE


def test_a_cancelled_call_is_booked_at_its_quote(rig: Box, provider: LoopbackProvider) -> None:
    """Cancelled while the provider works on it."""
    provider.reply(Reply.never())

    async def cancel() -> None:
        call = asyncio.ensure_future(adefault(provider).chat.completions.create(**ASKED))
        await asyncio.to_thread(provider.wait_for, 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    LOOP.run_until_complete(cancel())
    check(rig, QUOTE)


def test_an_interrupt_while_sending_is_booked_at_its_quote(rig: Box, provider: LoopbackProvider) -> None:
    """Ctrl-C at the moment when the answer is awaited."""

    def interrupted(_: Any) -> Any:
        raise KeyboardInterrupt

    http = httpx2.Client(transport=httpx2.MockTransport(interrupted))
    with pytest.raises(KeyboardInterrupt):
        client(provider, http_client=http).chat.completions.create(**ASKED)
    check(rig, QUOTE)


# Answers -------------------------------------------------------------------------------------------------------------


def test_every_way_to_take_an_answer_books_it_once(rig: Box, provider: LoopbackProvider) -> None:
    """Parsed, raw, streamed, streamed raw, a response body read by hand; in this thread and in another."""
    chats = client(provider).chat.completions
    chats.create(**ASKED)
    chats.with_raw_response.create(**ASKED).parse()
    list(chats.create(**STREAMED))
    list(chats.with_raw_response.create(**STREAMED).parse())
    with chats.with_streaming_response.create(**ASKED) as response:
        response.parse()
    with chats.with_streaming_response.create(**STREAMED) as response:
        list(response.iter_lines())
    del response  # OpenInference ends the span of a stream that is read past it when it is dropped
    gc.collect()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(chats.create, **ASKED).result()
    check(rig, *[EXACT] * 7)
    assert rig.spent() == 7 * PRICE


def test_a_response_nobody_reads_is_booked_at_its_quote(rig: Box, provider: LoopbackProvider) -> None:
    """Left unread, or broken off after the first piece: what the provider did is charged."""
    with client(provider).chat.completions.with_streaming_response.create(**STREAMED) as response:
        pass
    del response
    stream = client(provider).chat.completions.create(**STREAMED)
    next(iter(stream))
    stream.close()
    del stream
    gc.collect()
    assert [one.status for one in rig.entries()] == [Status.ESTIMATED] * 2
    assert rig.books.open_holds() == []


def test_a_redirect_is_followed(rig: Box, provider: LoopbackProvider) -> None:
    """The answer comes to another request than the one that was judged."""
    target = provider.openai_base_url

    def moved(request: Any) -> Any:
        if request.url.host == "127.0.0.1":
            return httpx2.Response(200, json=answer)
        return httpx2.Response(307, headers={"location": f"{target}/chat/completions"})

    answer = client(provider).chat.completions.with_raw_response.create(**ASKED).http_response.json()
    http = httpx2.Client(transport=httpx2.MockTransport(moved), follow_redirects=True)
    client(provider, base_url="http://moved.example/v1", http_client=http).chat.completions.create(**ASKED)
    check(rig, EXACT, EXACT)


def test_a_response_can_be_pickled(rig: Box, provider: LoopbackProvider) -> None:
    """What the request carries goes into no pickle."""
    response = client(provider).chat.completions.with_raw_response.create(**ASKED).http_response
    assert b"agent_fuse" not in pickle.dumps(response) + pickle.dumps(response.request)
    check(rig, EXACT)


# What others do to the client ----------------------------------------------------------------------------------------


def test_a_send_of_the_users_own(rig: Box, provider: LoopbackProvider) -> None:
    """A client class that sends in its own way is seen like any other, and lets alone what is not ours."""
    sent: list[str] = []

    class Own(httpx2.Client):
        def send(self, request: Any, **options: Any) -> Any:
            sent.append(str(request.url))
            return super().send(request, **options)

    http = Own()
    one = client(provider, http_client=http)
    one.chat.completions.create(**ASKED)
    provider.reply(Reply(status=500))
    with pytest.raises(openai.InternalServerError):
        one.chat.completions.create(**ASKED)
    assert http.get(f"{provider.url}/v1/models").status_code in (200, 401)
    assert len(sent) == 3
    check(rig, EXACT)


def test_an_end_that_is_not_seen_is_booked_and_told(rig: Box, provider: LoopbackProvider, caplog: Any) -> None:
    """With a `send` on the very object, failures pass unseen: booked at the quote when dropped; the doctor says so."""
    one = client(provider, http_client=httpx2.Client())
    unwrapped = getattr(httpx2.Client.send, patches.MARK, httpx2.Client.send)
    one._client.send = functools.partial(unwrapped, one._client)  # type: ignore[method-assign]
    one.chat.completions.create(**ASKED)
    assert not [fact for fact in survey._of_sdk("openai") if "was not seen" in fact.what]
    provider.reply(Reply(status=500))
    with pytest.raises(openai.InternalServerError):
        one.chat.completions.create(**ASKED)
    gc.collect()
    check(rig, EXACT, QUOTE)
    (told,) = [fact for fact in survey._of_sdk("openai") if "was not seen" in fact.what]
    assert told.state == "blind"
    assert "the end of 1 request was not seen" in told.what
    assert told.fix
    assert "the end of a request of the openai SDK was not seen" in caplog.text


def test_an_answer_that_is_not_shown_to_us_is_booked(rig: Box, provider: LoopbackProvider, monkeypatch: Any) -> None:
    """Someone put the original `_process_response` back: the answer is read when it is dropped."""
    method = base.SyncAPIClient.__dict__["_process_response"]
    monkeypatch.setattr(base.SyncAPIClient, "_process_response", getattr(method, patches.MARK))
    client(provider).chat.completions.create(**ASKED)
    check(rig, EXACT)
    assert unseen.unseen_ends("openai") == 1
    assert not instrumentor.gated("openai")


def test_a_request_that_is_never_sent_gives_the_hold_back(rig: Box, provider: LoopbackProvider) -> None:
    """Built by hand, or stopped by the client between building and sending."""
    one = client(provider)
    request = one._build_request(
        base.FinalRequestOptions.construct(method="post", url="/chat/completions", json_data=ASKED)
    )
    assert len(rig.books.open_holds()) == 1
    del request

    class Unsigned(openai.OpenAI):
        def _prepare_request(self, request: Any) -> None:
            raise PermissionError("no signature")

    with pytest.raises(PermissionError):
        Unsigned(
            base_url=provider.openai_base_url, api_key="test", http_client=httpx2.Client()
        ).chat.completions.create(**ASKED)
    check(rig)
    assert provider.count == 0


def test_two_layers_of_ours_count_once(rig: Box, provider: LoopbackProvider) -> None:
    """A wrapper of others that hides ours makes us stand around it again: each request is still judged once."""
    hidden = base.BaseClient.__dict__["_build_request"]

    def build(*args: Any, **options: Any) -> Any:
        return hidden(*args, **options)

    base.BaseClient._build_request = build  # type: ignore[method-assign]
    try:
        instrumentor.install()
        client(provider).chat.completions.create(**ASKED)
        check(rig, EXACT)
    finally:
        base.BaseClient._build_request = hidden  # type: ignore[method-assign]


def test_wrappers_sleep_where_they_cannot_be_taken_out(rig: Box, provider: LoopbackProvider) -> None:
    """With another's wrapper around ours, off is off, and on again is on, once."""
    ours = base.BaseClient.__dict__["_build_request"]

    class Theirs:
        """A proxy, as wrapt makes them."""

        def __init__(self, wrapped: Any) -> None:
            self.wrapped = wrapped

        def __get__(self, one: Any, kind: Any) -> Any:
            return lambda *args, **options: self.wrapped(one, *args, **options)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.wrapped, name)

        def __call__(self, *args: Any, **options: Any) -> Any:
            return self.wrapped(*args, **options)

    base.BaseClient._build_request = Theirs(ours)  # type: ignore[assignment]
    try:
        instrumentor.uninstall()
        assert isinstance(base.BaseClient.__dict__["_build_request"], Theirs)
        client(provider).chat.completions.create(**ASKED)
        if not hasattr(openai.OpenAI.__dict__.get("request"), "__wrapped__"):
            check(rig)
        before = len(rig.entries())
        instrumentor.install()
        client(provider).chat.completions.create(**ASKED)
        assert len(rig.entries()) == before + 1
    finally:
        base.BaseClient._build_request = ours  # type: ignore[method-assign]
        patches.put_back()
        instrumentor.install()


# What was asked ------------------------------------------------------------------------------------------------------


def test_what_a_client_rewrites_is_judged_as_it_was_asked(rig: Box, box: Any, provider: LoopbackProvider) -> None:
    """A class made later that moves the model and the path elsewhere, in place even, is refused and booked by both."""

    class Moves(openai.OpenAI):
        def _prepare_options(self, options: Any) -> Any:
            options = super()._prepare_options(options)
            model = options.json_data.pop("model")
            options.url = f"/deployments/{model}/invoke"
            return options

    def answers(request: Any) -> Any:
        paths[request.url.path] += 1
        usage = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
        return httpx2.Response(200, json={"id": "1", "object": "chat.completion", "model": "gpt-4o", "usage": usage})

    paths: Counter[str] = Counter()
    http = httpx2.Client(transport=httpx2.MockTransport(answers))
    one = Moves(base_url="http://moved.example/v1", api_key="test", http_client=http, max_retries=0)
    one.chat.completions.create(**ASKED)
    check(rig, EXACT)
    assert rig.spent() == PRICE
    rig.processor.use(box(budget="0.000001").fuse)
    with pytest.raises(SentinelBudgetExceeded):
        one.chat.completions.create(**ASKED)
    assert paths == {"/v1/deployments/gpt-4o/invoke": 1}
