"""The real OpenAI SDK's chat completions and legacy completions against the loopback provider."""

import asyncio
import json
from typing import Literal

import openai
import pytest
from pydantic import BaseModel

from agent_fuse.calls import Usage
from agent_fuse.testing import LoopbackProvider, Reply, ToolCall

ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
FULL = Usage(
    input_tokens=1000,
    output_tokens=500,
    cache_read_tokens=300,
    cache_write_tokens=50,
    reasoning_tokens=120,
    input_audio_tokens=7,
    output_audio_tokens=9,
)
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Verdict(BaseModel):
    """What a structured answer looks like."""

    word: Literal["good", "bad"]
    score: int
    notes: list[str]


def assert_full(usage):
    """Every bucket of FULL, in the words of chat completions."""
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1000, 500, 1500)
    assert usage.prompt_tokens_details.cached_tokens == 300
    assert usage.prompt_tokens_details.cache_write_tokens == 50
    assert usage.prompt_tokens_details.audio_tokens == 7
    assert usage.completion_tokens_details.reasoning_tokens == 120
    assert usage.completion_tokens_details.audio_tokens == 9


def test_chat_says_the_scripted_text_with_every_usage_bucket(provider, client):
    """A reply's text, model, id and inclusive usage buckets arrive as they were written."""
    provider.reply(Reply(text="Yes.", usage=FULL, model="gpt-4o-2024-08-06", id="chatcmpl-1"))
    done = client.chat.completions.create(**ASK)
    assert done.choices[0].message.content == "Yes."
    assert done.choices[0].finish_reason == "stop"
    assert (done.model, done.id) == ("gpt-4o-2024-08-06", "chatcmpl-1")
    assert_full(done.usage)
    assert provider.served[0].usage == FULL


def test_default_usage_is_counted_from_what_was_sent(provider, client):
    """Without figures the usage is UTF-8 bytes / 4 rounded up: the same for the same call, more for a longer one."""
    first, second = (client.chat.completions.create(**ASK) for _ in range(2))
    messages = json.dumps(ASK["messages"], separators=(",", ":"))
    assert first.usage.prompt_tokens == -(-len(messages) // 4)
    assert first.usage.completion_tokens == -(-len(first.choices[0].message.content) // 4)
    assert first.usage == second.usage
    longer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi" * 400}])
    assert longer.usage.prompt_tokens > first.usage.prompt_tokens + 150


def test_response_ids_are_unique_also_across_providers(provider, client):
    """No two answers share an id, even from two providers, so ledgers that outlive one do not mix calls up."""
    ids = {client.chat.completions.create(**ASK).id for _ in range(3)}
    with LoopbackProvider() as other, openai.OpenAI(base_url=other.openai_base_url, api_key="test") as also:
        ids |= {also.chat.completions.create(**ASK).id for _ in range(3)}
    assert len(ids) == 6


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_counted_answers_keep_to_the_output_limit(provider, client, limit):
    """A counted answer longer than max_tokens is cut there and ends with `length`, as a real one does."""
    provider.reply(Reply(text="é" * 400))
    done = client.chat.completions.create(**ASK, **{limit: 10})
    assert done.usage.completion_tokens == 10
    assert done.choices[0].finish_reason == "length"
    assert done.choices[0].message.content == "é" * 20


def test_n_choices_bill_n_outputs(provider, client):
    """`n` answers come back, and the counted output covers all of them."""
    one = client.chat.completions.create(**ASK)
    three = client.chat.completions.create(**ASK, n=3)
    assert [choice.index for choice in three.choices] == [0, 1, 2]
    assert three.usage.completion_tokens == 3 * one.usage.completion_tokens
    assert three.usage.prompt_tokens == one.usage.prompt_tokens


def test_stream_ends_with_usage_when_asked(provider, client):
    """With include_usage: text in several pieces, null usage on them, then one chunk with usage and no choices."""
    provider.reply(Reply(text="one two three", usage=FULL))
    chunks = list(client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "one two three"
    assert len(chunks) > 4
    assert all(chunk.usage is None and "usage" in chunk.model_fields_set for chunk in chunks[:-1])
    assert chunks[-1].choices == []
    assert_full(chunks[-1].usage)
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert provider.served[0].reported


def test_stream_without_include_usage_tells_none_but_is_billed(provider, client):
    """A stream that did not ask for usage gets none; the provider bills it all the same."""
    provider.reply(Reply(usage=FULL))
    chunks = list(client.chat.completions.create(**ASK, stream=True))
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)
    assert [(one.usage, one.reported) for one in provider.served] == [(FULL, False)]


def test_usage_none_sends_no_usage_at_all(provider, client):
    """`usage=None` leaves usage out of bodies and streams, even when it was asked for."""
    provider.reply(Reply(usage=None), Reply(usage=None))
    assert client.chat.completions.create(**ASK).usage is None
    chunks = list(client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True}))
    assert all(chunk.choices for chunk in chunks)
    assert [one.reported for one in provider.served] == [False, False]
    assert all(one.usage.output_tokens for one in provider.served)


def test_stream_of_n_choices_keeps_them_apart(provider, client):
    """Deltas of `n` choices carry their index, and each choice comes to the same text."""
    provider.reply(Reply(text="a b c"))
    texts = {0: "", 1: ""}
    for chunk in client.chat.completions.create(**ASK, n=2, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == {0: "a b c", 1: "a b c"}


def test_tool_calls_whole_and_streamed(provider, client):
    """Tool calls arrive with id, name and arguments, whole or put together from deltas by the SDK's own accumulator."""
    calls = (ToolCall(name="weather", arguments={"city": "Bonn", "days": [1, 2]}), ToolCall(name="clock", id="call_x"))
    provider.reply(Reply(tool_calls=calls), Reply(tool_calls=calls))
    whole = client.chat.completions.create(**ASK).choices[0]
    with client.chat.completions.stream(**ASK) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_completion().choices[0]
    for choice in (whole, streamed):
        assert choice.finish_reason == "tool_calls"
        first, second = choice.message.tool_calls
        assert json.loads(first.function.arguments) == {"city": "Bonn", "days": [1, 2]}
        assert (second.function.name, second.id) == ("clock", "call_x")
        assert first.id.startswith("call_")
    assert whole.message.tool_calls[0].id != streamed.message.tool_calls[0].id


def test_a_forced_tool_is_called_with_arguments_that_fit(provider, client):
    """Without a scripted reply, tool_choice is obeyed: the tool is called, its required arguments are there."""
    forced = {"type": "function", "function": {"name": "weather"}}
    for choice in (forced, "required"):
        done = client.chat.completions.create(**ASK, tools=[WEATHER], tool_choice=choice)
        assert json.loads(done.choices[0].message.tool_calls[0].function.arguments) == {"city": "text"}
    assert client.chat.completions.create(**ASK, tools=[WEATHER]).choices[0].message.tool_calls is None


def test_parse_gets_json_that_fits_the_schema(provider, client):
    """`parse()` works unscripted: the answer fits the model's schema, whole and streamed."""
    whole = client.chat.completions.parse(**ASK, response_format=Verdict)
    assert isinstance(whole.choices[0].message.parsed, Verdict)
    with client.chat.completions.stream(**ASK, response_format=Verdict) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.parsed == whole.choices[0].message.parsed


def test_json_mode_answers_json(provider, client):
    """`response_format: json_object` gets a JSON object."""
    done = client.chat.completions.create(**ASK, response_format={"type": "json_object"})
    assert isinstance(json.loads(done.choices[0].message.content), dict)


def test_raw_and_streaming_responses(provider, client):
    """`with_raw_response` and `with_streaming_response` see headers and body."""
    provider.reply("raw", "streamed")
    raw = client.chat.completions.with_raw_response.create(**ASK)
    assert raw.headers["content-type"] == "application/json"
    assert raw.request_id.startswith("req_")
    assert raw.parse().choices[0].message.content == "raw"
    with client.chat.completions.with_streaming_response.create(**ASK) as response:
        assert json.loads(response.read())["choices"][0]["message"]["content"] == "streamed"


def test_async_client_whole_and_streamed(provider):
    """The async client gets the same answers."""

    async def run():
        provider.reply(Reply(text="whole", usage=FULL), Reply(text="in pieces", usage=FULL))
        async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="test") as client:
            whole = await client.chat.completions.create(**ASK)
            stream = await client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
            return whole, [chunk async for chunk in stream]

    whole, chunks = asyncio.run(run())
    assert whole.choices[0].message.content == "whole"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "in pieces"
    assert_full(whole.usage)
    assert_full(chunks[-1].usage)


def test_legacy_completions(provider, client):
    """Legacy completions: `n` choices of each prompt, whole and streamed, with usage."""
    provider.reply(Reply(text="old ways", usage=FULL), Reply(text="old ways", usage=FULL))
    done = client.completions.create(model="gpt-3.5-turbo-instruct", prompt=["a", "b"], n=2)
    assert [choice.text for choice in done.choices] == ["old ways"] * 4
    assert_full(done.usage)
    chunks = list(
        client.completions.create(
            model="gpt-3.5-turbo-instruct", prompt="a", stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "old ways"
    assert_full(chunks[-1].usage)


def test_bad_bodies_are_refused_and_bill_nothing(provider, client):
    """A body without messages or model gets a 400, as from the real provider; it is counted, not billed."""
    with pytest.raises(openai.BadRequestError, match="messages"):
        client.post("/chat/completions", body={"model": "gpt-4o"}, cast_to=object)
    with pytest.raises(openai.BadRequestError, match="model"):
        client.post("/chat/completions", body={"messages": ASK["messages"]}, cast_to=object)
    assert (provider.count, provider.served) == (2, [])


def test_text_of_any_kind_survives(provider, client):
    """Newlines, quotes, emoji and a blank-line look-alike of an event's end survive whole and streamed."""
    text = 'line\n\ndata: [DONE]\n\n "quoted" \\ 🙂 \u2028 naïve\t.'
    provider.reply(text, text)
    assert client.chat.completions.create(**ASK).choices[0].message.content == text
    stream = client.chat.completions.create(**ASK, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == text
