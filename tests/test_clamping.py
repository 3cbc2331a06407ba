"""Clamping: where a limit does not admit a call, its own max output is lowered so that it still fits."""

import asyncio

import anthropic
import openai
import pytest

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded
from agent_fuse.errors import ConfigurationError
from agent_fuse.testing import LoopbackProvider, Reply

GPT_4O_OUT = 10_000
"""Nano-dollars a token of output."""
MESSAGES = [{"role": "user", "content": "Say something long."}]


@pytest.fixture
def provider():
    with LoopbackProvider(Reply(text="word " * 8_000)) as one:
        yield one


def chat(provider, **asked):
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0)
    return client.chat.completions.create(**{"model": "gpt-4o", "messages": MESSAGES, **asked})


def complete(provider, **asked):
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0)
    return client.completions.create(**{"model": "gpt-3.5-turbo-instruct", "prompt": "Say something long.", **asked})


def respond(provider, **asked):
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0)
    return client.responses.create(**{"model": "gpt-4o", "input": "Say something long.", **asked})


def message(provider, **asked):
    client = anthropic.Anthropic(base_url=provider.anthropic_base_url, api_key="x", max_retries=0)
    return client.messages.create(**{"model": "claude-sonnet-5", "messages": MESSAGES, **asked})


def achat(provider, **asked):
    async def call():
        async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:
            return await client.chat.completions.create(**{"model": "gpt-4o", "messages": MESSAGES, **asked})

    return asyncio.run(call())


@pytest.mark.parametrize(
    ("call", "asked", "name"),
    [
        (chat, {"max_tokens": 9_000}, "max_tokens"),
        (chat, {"max_completion_tokens": 9_000}, "max_completion_tokens"),
        (chat, {"extra_body": {"max_tokens": 9_000}}, "max_tokens"),
        (chat, {"max_tokens": 9_000, "stream": True}, "max_tokens"),
        (chat, {}, "max_tokens"),
        (chat, {"model": "o3"}, "max_completion_tokens"),
        (achat, {"max_tokens": 9_000}, "max_tokens"),
        (complete, {"max_tokens": 9_000}, "max_tokens"),
        (respond, {"max_output_tokens": 9_000}, "max_output_tokens"),
        (respond, {}, "max_output_tokens"),
        (message, {"max_tokens": 9_000}, "max_tokens"),
    ],
)
def test_what_leaves_asks_for_what_still_fits(box, provider, call, asked, name) -> None:
    one = box(limits=[Limit(output_tokens=700, on_tight="clamp")])
    answer = call(provider, **asked)
    if asked.get("stream"):
        list(answer)
    (request,) = provider.requests
    assert request.body[name] == 700
    entry = one.entry()
    assert entry.output_tokens == 700, "the answer kept to it"
    assert entry.reason.endswith(" to 700 tokens")
    assert "clamped from" in entry.reason


def test_the_money_that_is_left_is_what_may_be_spent(box, provider) -> None:
    one = box(limits=[Limit(usd=0.01, on_tight="clamp")])
    chat(provider, max_tokens=9_000)
    assert 0.0099 <= one.spent() / 1e9 <= 0.01
    with pytest.raises(SentinelBudgetExceeded):
        chat(provider, max_tokens=9_000)
    assert provider.count == 1, "less than the floor is left"


def test_each_of_several_answers_gets_its_share(box, provider) -> None:
    one = box(limits=[Limit(output_tokens=1_400, on_tight="clamp")])
    chat(provider, max_tokens=9_000, n=2)
    assert provider.requests[0].body["max_tokens"] == 700
    assert one.entry().output_tokens == 1_400


def test_the_tightest_of_several_limits_decides(box, provider) -> None:
    box(limits=[Limit(usd=0.02), Limit(output_tokens=900), Limit(tokens=800)], on_tight="clamp")
    chat(provider, max_tokens=9_000)
    assert 700 < provider.requests[0].body["max_tokens"] < 800


def test_a_limit_that_does_not_clamp_refuses(box, provider) -> None:
    box(limits=[Limit(usd=0.02, on_tight="clamp"), Limit(output_tokens=900)])
    with pytest.raises(SentinelBudgetExceeded, match="output tokens"):
        chat(provider, max_tokens=9_000)
    assert provider.count == 0


def test_no_answer_is_shorter_than_the_floor(box, provider) -> None:
    box(limits=[Limit(output_tokens=200, on_tight="clamp")])
    with pytest.raises(SentinelBudgetExceeded):
        chat(provider, max_tokens=9_000)
    box(limits=[Limit(output_tokens=200, on_tight="clamp")], clamp_floor=100)
    chat(provider, max_tokens=9_000)
    assert [one.body["max_tokens"] for one in provider.requests] == [200]


def test_what_is_thought_comes_on_top_of_the_floor(box, provider) -> None:
    """Anthropic refuses a request whose max_tokens is no more than its thinking's budget."""
    thinking = {"type": "enabled", "budget_tokens": 1_024}
    box(limits=[Limit(output_tokens=1_200, on_tight="clamp")])
    with pytest.raises(SentinelBudgetExceeded):
        message(provider, max_tokens=9_000, thinking=thinking)
    assert provider.count == 0


def test_what_fits_leaves_as_it_is(box, provider) -> None:
    one = box(limits=[Limit(usd=5, on_tight="clamp")])
    chat(provider)
    assert "max_tokens" not in provider.requests[0].body
    assert one.entry().reason == ""


def test_what_the_caller_gave_is_not_changed(box, provider) -> None:
    box(limits=[Limit(output_tokens=700, on_tight="clamp")])
    given = {"model": "gpt-4o", "messages": MESSAGES, "max_tokens": 9_000}
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0)
    client.post("/chat/completions", body=given, cast_to=object)
    assert provider.requests[0].body["max_tokens"] == 700
    assert given == {"model": "gpt-4o", "messages": MESSAGES, "max_tokens": 9_000}


def test_a_retry_is_clamped_anew(box, provider) -> None:
    one = box(limits=[Limit(output_tokens=700, on_tight="clamp")])
    provider.reply(Reply(status=500, retry_after_s=0.01))
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=1)
    client.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=9_000)
    assert [one.body["max_tokens"] for one in provider.requests] == [700, 700]
    assert one.entry().reason == "clamped from 9000 to 700 tokens"


def test_a_callback_leaves_it_to_the_gate_that_can_alter_it(box, provider) -> None:
    from langchain_openai import ChatOpenAI

    from agent_fuse.integrations.langchain import AgentFuseCallbackHandler

    one = box(limits=[Limit(output_tokens=700, on_tight="clamp")])
    model = ChatOpenAI(base_url=provider.openai_base_url, api_key="x", model="gpt-4o", max_retries=0, max_tokens=9_000)
    model.invoke("Say something long.", {"callbacks": [AgentFuseCallbackHandler()]})
    assert provider.requests[0].body["max_completion_tokens"] == 700
    assert one.entry().output_tokens == 700


SPAN = """
import sys
import openai
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter, tracing = InMemorySpanExporter(), TracerProvider()
tracing.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(tracing)
import agent_fuse
agent_fuse.init(limits=[agent_fuse.Limit(output_tokens=700)], on_tight="clamp", db_path="memory://")
client = openai.OpenAI(base_url=sys.argv[1], api_key="x", max_retries=0)
with trace.get_tracer("mine").start_as_current_span("step"):
    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=9_000)
for span in exporter.get_finished_spans():
    print(span.name, {name: value for name, value in span.attributes.items() if "clamp" in name})
"""


def test_the_span_of_the_call_tells_it(elsewhere, provider) -> None:
    told = elsewhere(SPAN, provider.openai_base_url).splitlines()
    assert "openai.chat {'agent_fuse.clamped_from': 9000, 'agent_fuse.clamped_to': 700}" in told
    assert "step {}" in told, "the span around it is no call"


def test_only_what_less_output_helps_can_be_clamped() -> None:
    with pytest.raises(ConfigurationError, match="on_tight='clamp'; only usd, tokens and output_tokens"):
        Limit(calls=3, on_tight="clamp")
    assert agent_fuse.Limit(tokens=3, on_tight="clamp").on_tight == "clamp"
