"""The real OpenAI SDK's Responses API against the loopback provider."""

import asyncio
import json

import openai
import pytest
from pydantic import BaseModel

from agent_fuse.calls import Usage
from agent_fuse.testing import Reply, ToolCall

ASK = {"model": "gpt-4o", "input": "hi"}
FULL = Usage(input_tokens=1000, output_tokens=500, cache_read_tokens=300, cache_write_tokens=50, reasoning_tokens=120)


class Person(BaseModel):
    """What a structured answer looks like."""

    name: str
    age: int


def assert_full(usage):
    """Every bucket of FULL, in the words of the Responses API."""
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (1000, 500, 1500)
    assert usage.input_tokens_details.cached_tokens == 300
    assert usage.input_tokens_details.cache_write_tokens == 50
    assert usage.output_tokens_details.reasoning_tokens == 120


def test_response_says_text_and_usage(provider, client):
    """A response is completed, with its text and every usage bucket."""
    provider.reply(Reply(text="Yes.", usage=FULL))
    done = client.responses.create(**ASK, instructions="be brief", metadata={"k": "v"})
    assert (done.output_text, done.status, done.model) == ("Yes.", "completed", "gpt-4o")
    assert (done.instructions, done.metadata) == ("be brief", {"k": "v"})
    assert_full(done.usage)


def test_stream_sends_the_real_event_sequence(provider, client):
    """Events come in the API's order, numbered without gaps, and end with the completed response and its usage."""
    provider.reply(Reply(text="one two", usage=FULL))
    events = list(client.responses.create(**ASK, stream=True))
    assert [event.type.removeprefix("response.") for event in events] == [
        *("created", "in_progress", "output_item.added", "content_part.added", "output_text.delta"),
        *("output_text.delta", "output_text.done", "content_part.done", "output_item.done", "completed"),
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].response.usage is None
    assert events[-1].response.output_text == "one two"
    assert_full(events[-1].response.usage)
    assert len({event.response.id for event in events if hasattr(event, "response")}) == 1


def test_stream_helper_accumulates(provider, client):
    """The SDK's own stream helper puts text and function calls together."""
    provider.reply(Reply(text="with", tool_calls=(ToolCall(name="weather", arguments={"city": "Bonn am Rhein"}),)))
    with client.responses.stream(**ASK) as stream:
        for _ in stream:
            pass
        done = stream.get_final_response()
    assert done.output_text == "with"
    call = done.output[1]
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "weather", {"city": "Bonn am Rhein"})


def test_function_calls_and_forced_ones(provider, client):
    """Scripted calls come as items of their own; a forced tool is called unscripted, with arguments that fit."""
    provider.reply(Reply(tool_calls=(ToolCall(name="a"), ToolCall(name="b", id="call_b"))))
    items = client.responses.create(**ASK).output
    assert [(item.type, item.name) for item in items] == [("function_call", "a"), ("function_call", "b")]
    assert items[1].call_id == "call_b"
    parameters = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
    tool = {"type": "function", "name": "count", "parameters": parameters, "strict": True}
    done = client.responses.create(**ASK, tools=[tool], tool_choice={"type": "function", "name": "count"})
    assert json.loads(done.output[0].arguments) == {"n": 3}


def test_parse_fits_the_schema(provider, client):
    """`responses.parse` works unscripted."""
    done = client.responses.parse(**ASK, text_format=Person)
    assert isinstance(done.output_parsed, Person)


def test_output_limit_makes_it_incomplete(provider, client):
    """A counted answer over max_output_tokens is incomplete, and says why, whole and streamed."""
    provider.reply(Reply(text="x" * 400), Reply(text="x" * 400))
    done = client.responses.create(**ASK, max_output_tokens=16)
    assert (done.status, done.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert (len(done.output_text), done.usage.output_tokens) == (64, 16)
    last = list(client.responses.create(**ASK, max_output_tokens=16, stream=True))[-1]
    assert last.type == "response.incomplete"


def test_usage_none_is_null(provider, client):
    """`usage=None` sends a null usage."""
    provider.reply(Reply(usage=None))
    assert client.responses.create(**ASK).usage is None
    assert not provider.served[0].reported


def test_async_client(provider):
    """The async client gets the same, whole and streamed."""

    async def run():
        provider.reply(Reply(text="whole", usage=FULL), Reply(text="in pieces", usage=FULL))
        async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="test") as client:
            whole = await client.responses.create(**ASK)
            return whole, [event async for event in await client.responses.create(**ASK, stream=True)]

    whole, events = asyncio.run(run())
    assert whole.output_text == "whole"
    assert_full(events[-1].response.usage)


def test_missing_input_is_refused(provider, client):
    """Without input the provider answers 400."""
    with pytest.raises(openai.BadRequestError, match="input"):
        client.post("/responses", body={"model": "gpt-4o"}, cast_to=object)


def test_counting_input_tokens_is_free(provider, client):
    """`responses.input_tokens.count` answers by the provider's own count, and is no model request."""
    counted = client.responses.input_tokens.count(model="gpt-4o", input="twelve bytes").input_tokens
    assert counted == 3
    assert (provider.count, len(provider.requests)) == (0, 1)
    assert client.responses.create(model="gpt-4o", input="twelve bytes").usage.input_tokens == counted
