"""The real Anthropic SDK against the loopback provider."""

import asyncio

import anthropic
import pytest
from pydantic import BaseModel

from agent_fuse.calls import Usage
from agent_fuse.testing import Reply, ToolCall

ASK = {"model": "claude-haiku-4-5", "max_tokens": 1024, "messages": [{"role": "user", "content": "hi"}]}
FULL = Usage(input_tokens=1000, output_tokens=500, cache_read_tokens=300, cache_write_tokens=50, reasoning_tokens=120)


class Person(BaseModel):
    """What a structured answer looks like."""

    name: str
    age: int


def assert_full(usage):
    """Every bucket of FULL, in Anthropic's words: input without what was read from or written to the cache."""
    assert (usage.input_tokens, usage.output_tokens) == (650, 500)
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (300, 50)
    assert usage.output_tokens_details.thinking_tokens == 120


def test_message_says_text_and_exclusive_usage(provider, claude):
    """Inclusive buckets are put into Anthropic's exclusive ones."""
    provider.reply(Reply(text="Yes.", usage=FULL, id="msg_1"))
    done = claude.messages.create(**ASK)
    assert done.content[0].text == "Yes."
    assert (done.id, done.model, done.stop_reason) == ("msg_1", "claude-haiku-4-5", "end_turn")
    assert_full(done.usage)
    assert done.usage.cache_creation.ephemeral_5m_input_tokens == 50
    assert provider.served[0].usage == FULL


def test_stream_sends_the_real_event_sequence(provider, claude):
    """message_start with the input, blocks (the SDK hides pings), message_delta with cumulative usage, message_stop."""
    provider.reply(Reply(text="one two", usage=FULL))
    events = list(claude.messages.create(**ASK, stream=True))
    assert [event.type for event in events] == [
        *("message_start", "content_block_start", "content_block_delta", "content_block_delta"),
        *("content_block_stop", "message_delta", "message_stop"),
    ]
    assert (events[0].message.usage.input_tokens, events[0].message.usage.output_tokens) == (650, 1)
    assert_full(events[-2].usage)
    assert provider.served[0].reported


def test_stream_helper_accumulates_text_and_tools(provider, claude):
    """The SDK's own helper puts text, tool input and usage together."""
    provider.reply(Reply(text="with", tool_calls=(ToolCall(name="weather", arguments={"city": "Bonn"}),), usage=FULL))
    with claude.messages.stream(**ASK) as stream:
        assert list(stream.text_stream) == ["with"]
        done = stream.get_final_message()
    assert (done.content[1].type, done.content[1].name, done.content[1].input) == (
        "tool_use",
        "weather",
        {"city": "Bonn"},
    )
    assert done.stop_reason == "tool_use"
    assert_full(done.usage)


def test_tool_use_scripted_and_forced(provider, claude):
    """Scripted tool use, also from text arguments; a forced tool is used unscripted, with input that fits."""
    provider.reply(Reply(tool_calls=(ToolCall(name="a", arguments='{"x": 1}', id="toolu_1"),)))
    block = claude.messages.create(**ASK).content[0]
    assert (block.type, block.id, block.input) == ("tool_use", "toolu_1", {"x": 1})
    schema = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}
    tools = [{"name": "switch", "input_schema": schema}]
    for choice in ({"type": "any"}, {"type": "tool", "name": "switch"}):
        assert claude.messages.create(**ASK, tools=tools, tool_choice=choice).content[0].input == {"on": True}
    assert claude.messages.create(**ASK, tools=tools).content[0].type == "text"


def test_parse_fits_the_schema(provider, claude):
    """`messages.parse` works unscripted."""
    assert isinstance(claude.messages.parse(**ASK, output_format=Person).parsed_output, Person)


def test_output_limit(provider, claude):
    """A counted answer is cut at max_tokens, and says so."""
    provider.reply(Reply(text="x" * 400))
    done = claude.messages.create(**ASK | {"max_tokens": 10})
    assert (done.stop_reason, done.usage.output_tokens, len(done.content[0].text)) == ("max_tokens", 10, 40)


def test_usage_none_sends_none(provider, claude):
    """`usage=None` leaves usage out of the body and of every event."""
    provider.reply(Reply(usage=None), Reply(usage=None))
    assert "usage" not in claude.messages.create(**ASK).model_fields_set
    events = list(claude.messages.create(**ASK, stream=True))
    assert "usage" not in events[0].message.model_fields_set
    assert "usage" not in events[-2].model_fields_set


def test_async_client_and_beta(provider):
    """The async client, its stream helper, and the beta route."""

    async def run():
        provider.reply(Reply(text="whole", usage=FULL), Reply(text="in pieces", usage=FULL), Reply(text="beta"))
        async with anthropic.AsyncAnthropic(base_url=provider.anthropic_base_url, api_key="test") as client:
            whole = await client.messages.create(**ASK)
            async with client.messages.stream(**ASK) as stream:
                streamed = await stream.get_final_message()
            return whole, streamed, await client.beta.messages.create(**ASK)

    whole, streamed, beta = asyncio.run(run())
    assert (whole.content[0].text, streamed.content[0].text, beta.content[0].text) == ("whole", "in pieces", "beta")
    assert_full(whole.usage)
    assert_full(streamed.usage)


def test_raw_response(provider, claude):
    """`with_raw_response` sees headers and body."""
    raw = claude.messages.with_raw_response.create(**ASK)
    assert raw.request_id.startswith("req_")
    assert raw.parse().content[0].text


def test_counting_and_listing_are_free(provider, claude):
    """count_tokens agrees with what a message bills; it and the model list are no model requests."""
    counted = claude.messages.count_tokens(model=ASK["model"], messages=ASK["messages"], system="be brief").input_tokens
    assert [model.id for model in claude.models.list()]
    assert claude.models.retrieve("claude-haiku-4-5").display_name == "claude-haiku-4-5"
    assert provider.count == 0
    assert claude.messages.create(**ASK, system="be brief").usage.input_tokens == counted


def test_max_tokens_is_required(provider, claude):
    """A body without max_tokens gets Anthropic's 400."""
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        claude.post("/v1/messages", body={"model": "claude-haiku-4-5", "messages": ASK["messages"]}, cast_to=object)
