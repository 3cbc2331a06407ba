"""Providers that refuse, fail, hang, dawdle or hang up, as the real SDKs meet them."""

import asyncio
import threading
import time

import anthropic
import openai
import pytest

from agent_fuse.calls import Usage
from agent_fuse.testing import LoopbackProvider, Reply, ToolCall

ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
CLAUDE_ASK = {"model": "claude-haiku-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}
WITH_USAGE = {"include_usage": True}
BUSY = Reply(status=429, retry_after_s=0.01)


def drain(got, open_stream, look):
    """Open a stream and add what `look` sees in each of its events to `got`, up to the failure."""
    for one in open_stream():
        got.append(look(one))


def text_of(chunk):
    return chunk.choices[0].delta.content


def ask_and_fail(provider, message, **more):
    """One chat call that must end in a 500 with this message."""
    with (
        openai.OpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0) as client,
        pytest.raises(openai.InternalServerError, match=message),
    ):
        client.chat.completions.create(**ASK, **more)


def test_openai_sdk_retries_429_and_each_attempt_counts(provider, client):
    """Two 429s with retry-after, then an answer: one call for the SDK, three requests, one billed."""
    provider.reply(BUSY, BUSY, "at last")
    done = client.with_options(max_retries=2).chat.completions.create(**ASK)
    assert done.choices[0].message.content == "at last"
    assert (provider.count, len(provider.served)) == (3, 1)
    assert [one.headers["x-stainless-retry-count"] for one in provider.requests] == ["0", "1", "2"]


def test_anthropic_sdk_retries_429_and_each_attempt_counts(provider, claude):
    """The same with Anthropic's SDK."""
    provider.reply(BUSY, BUSY, "at last")
    assert claude.with_options(max_retries=2).messages.create(**CLAUDE_ASK).content[0].text == "at last"
    assert (provider.count, len(provider.served)) == (3, 1)


def test_a_429_without_retries_carries_header_and_message(provider, client):
    """The error has the retry-after that was set, the status, and the message."""
    provider.reply(Reply(status=429, retry_after_s=30, error="slow down", headers={"x-ratelimit-remaining": "0"}))
    with pytest.raises(openai.RateLimitError, match="slow down") as caught:
        client.chat.completions.create(**ASK)
    headers = caught.value.response.headers
    assert (headers["retry-after"], headers["x-ratelimit-remaining"]) == ("30", "0")
    assert caught.value.code == "rate_limit_exceeded"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_openai_error_statuses(provider, client, status, error):
    """Each status raises the SDK's own error, streamed or not, and bills nothing."""
    provider.reply(Reply(status=status), times=2)
    with pytest.raises(error):
        client.chat.completions.create(**ASK)
    with pytest.raises(error):
        client.chat.completions.create(**ASK, stream=True)
    assert (provider.count, provider.served) == (2, [])


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (529, anthropic.APIStatusError, "overloaded_error"),
    ],
)
def test_anthropic_error_statuses(provider, claude, status, error, kind):
    """Each status raises the SDK's own error with Anthropic's error type."""
    provider.reply(Reply(status=status))
    with pytest.raises(error) as caught:
        claude.messages.create(**CLAUDE_ASK)
    assert caught.value.body["error"]["type"] == kind


def test_stopped_provider_refuses_connections_and_comes_back(provider, client):
    """After stop: refused, uncounted, also over a kept-alive connection. After start: the same address answers."""
    client.chat.completions.create(**ASK)
    provider.stop()
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**ASK)
    assert provider.count == 1
    provider.start()
    assert client.chat.completions.create(**ASK)
    assert provider.count == 2


def test_a_reply_that_never_comes_ends_in_the_clients_timeout(provider, client):
    """The request arrives, nothing comes back; the client times out; nothing is billed."""
    provider.reply(Reply.never())
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=1).chat.completions.create(**ASK)
    assert provider.wait_for(1)
    assert (provider.count, provider.served) == (1, [])
    assert client.chat.completions.create(**ASK)


def test_delays_come_before_the_first_byte_and_between_pieces(provider, client):
    """delay_s and chunk_delay_s take at least the time they say."""
    provider.reply(Reply(text="a b c", delay_s=0.1, chunk_delay_s=0.02))
    begun = time.monotonic()
    stream = client.chat.completions.create(**ASK, stream=True)
    next(stream)
    assert time.monotonic() - begun >= 0.12
    pieces = 1 + len(list(stream))
    assert time.monotonic() - begun >= 0.1 + pieces * 0.02


def test_a_stream_cut_in_the_middle_is_billed_unreported(provider, client):
    """After two pieces the connection drops; the client has those two, an error, and no usage."""
    provider.reply(Reply(text="one two three", cut_after_chunks=2, usage=Usage(input_tokens=9, output_tokens=5)))
    got = []
    with pytest.raises(Exception, match=r"peer closed|Connection error"):  # by SDK version
        drain(got, lambda: client.chat.completions.create(**ASK, stream=True, stream_options=WITH_USAGE), text_of)
    assert got == ["", "one "]
    assert [(one.usage.output_tokens, one.reported) for one in provider.served] == [(5, False)]


def test_a_body_cut_in_the_middle(provider, client):
    """A JSON body that stops half way is a connection error."""
    provider.reply(Reply(cut_after_chunks=2))
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**ASK)
    assert (provider.count, provider.served[0].reported) == (1, False)


def test_an_anthropic_stream_cut_late_never_ends(provider, claude):
    """However late the cut, the last event does not go out."""
    provider.reply(Reply(text="one two", cut_after_chunks=1000))
    got = []
    with pytest.raises(Exception, match=r"peer closed|Connection error"):
        drain(got, lambda: claude.messages.create(**CLAUDE_ASK, stream=True), lambda event: event.type)
    assert got[-1] == "message_delta"


def test_a_stall_leaves_the_connection_open(provider, client):
    """A stalled stream gives its first pieces, then nothing until the client's timeout."""
    provider.reply(Reply(text="one two three", stall_after_chunks=3))
    got = []
    with pytest.raises(Exception, match=r"(?i)time"):
        drain(got, lambda: client.with_options(timeout=1.5).chat.completions.create(**ASK, stream=True), text_of)
    assert got == ["", "one ", "two "]
    assert not provider.served[0].reported


def test_a_stream_left_early_is_billed_unreported(provider, client):
    """A client that leaves a slow stream has been billed the whole, and was never told."""
    provider.reply(Reply(text="one two three four", chunk_delay_s=1))
    with client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True}) as stream:
        next(stream)
    assert [one.reported for one in provider.served] == [False]


def test_a_cancelled_task_counts_as_arrived(provider):
    """A request whose task is cancelled while it waits is still counted."""

    async def run():
        async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0) as client:
            task = asyncio.create_task(client.chat.completions.create(**ASK))
            assert await asyncio.to_thread(provider.wait_for, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    provider.reply(Reply.never())
    asyncio.run(run())
    assert (provider.count, provider.served) == (1, [])


def test_leaving_the_block_ends_replies_that_never_come():
    """Leaving a provider with clients still waiting drops them, and does not wait itself."""
    failures = []

    def ask(url):
        with openai.OpenAI(base_url=url, api_key="test", max_retries=0) as client:
            try:
                client.chat.completions.create(**ASK)
            except openai.APIConnectionError as failure:
                failures.append(failure)

    with LoopbackProvider(Reply.never()) as provider:
        thread = threading.Thread(target=ask, args=(provider.openai_base_url,))
        thread.start()
        assert provider.wait_for(1)
    thread.join(60)
    assert len(failures) == 1


def test_a_script_decides_by_the_request(provider, client):
    """A callable answers from the request; queued replies go first."""
    provider.default = lambda request: Reply(text=request.body["messages"][-1]["content"].upper())
    provider.reply("queued")
    texts = [client.chat.completions.create(**ASK).choices[0].message.content for _ in range(2)]
    assert texts == ["queued", "HI"]


def test_a_scripts_own_bug_shows_twice():
    """A script that raises gives the client a 500, and the provider's block raises the script's exception."""

    def script(request):
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"), LoopbackProvider(script) as provider:
        ask_and_fail(provider, "no such thing")


def test_a_schema_without_end_is_an_error_not_a_hang():
    """A structured answer that cannot be made fails loudly."""
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    form = {"type": "json_schema", "json_schema": {"name": "endless", "schema": schema}}
    with pytest.raises(ValueError, match="nests without end"), LoopbackProvider() as provider:
        ask_and_fail(provider, "nests without end", response_format=form)


@pytest.mark.parametrize(
    "fields",
    [
        {"delay_s": -1},
        {"chunk_delay_s": float("nan")},
        {"usage": Usage(input_tokens=10, cache_read_tokens=6, cache_write_tokens=5)},
        {"usage": Usage(output_tokens=1, reasoning_tokens=2)},
    ],
)
def test_replies_that_make_no_sense_are_refused(fields):
    """Negative delays and usage whose parts exceed its wholes are ValueErrors where they are written."""
    with pytest.raises(ValueError, match=r"seconds|include"):
        Reply(**fields)


def test_tool_arguments_may_be_broken_json(provider, client):
    """Arguments as text go out as they are, broken or not: agents must cope with that."""
    provider.reply(Reply(tool_calls=(ToolCall(name="a", arguments='{"x": '),)))
    assert client.chat.completions.create(**ASK).choices[0].message.tool_calls[0].function.arguments == '{"x": '
