"""Told: once at each share of a limit, the next request of a session ends with what is left, and is else as it was."""

import anthropic
import openai
import pytest

from agent_fuse import Limit
from agent_fuse.calls import Usage
from agent_fuse.testing import LoopbackProvider

ASK = {"role": "user", "content": "Go on."}
USED = Usage(input_tokens=100, output_tokens=50)


@pytest.fixture
def provider():
    with LoopbackProvider(usage=USED) as one:
        yield one


@pytest.fixture
def chat(provider):
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0)
    return lambda *messages: client.chat.completions.create(model="gpt-4o", messages=messages, max_tokens=50)


def ends(provider):
    """How each request ended that ended with more than was asked."""
    told = [(at, one.body["messages"][-1]["content"]) for at, one in enumerate(provider.requests)]
    return [(at, text) for at, text in told if text != ASK["content"]]


def test_the_model_is_told_once_at_each_share(box, provider, chat) -> None:
    box(limits=[Limit(calls=10)], warn_at=(0.5, 0.8), tell_model=True)
    for _ in range(10):
        chat(ASK)
    assert ends(provider) == [
        (4, "Budget: 5 calls are left, 50% of the tightest limit."),
        (7, "Budget: 2 calls are left, 20% of the tightest limit."),
    ]
    assert provider.requests[4].body["messages"][:-1] == [ASK], "what was asked leaves as it was"


def test_nobody_is_told_unasked(box, provider, chat) -> None:
    box(limits=[Limit(calls=2)], warn_at=(0.5,))
    chat(ASK)
    assert ends(provider) == []


def test_the_line_is_the_last_of_each_api(box, provider) -> None:
    box(limits=[Limit(calls=100, per="user.id")], warn_at=(0.01,), tell_model=True)
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x")
    claude = anthropic.Anthropic(base_url=provider.anthropic_base_url, api_key="x")
    line = "Budget: 99 calls are left, 99% of the tightest limit."
    client.responses.create(model="gpt-4o", input="hi", user="1")
    client.responses.create(model="gpt-4o", input=[{"role": "user", "content": "hi"}], user="2")
    cached = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
    ask = {"model": "claude-sonnet-5", "max_tokens": 50}
    claude.messages.create(**ask, messages=[{"role": "user", "content": [cached]}], metadata={"user_id": "3"})
    claude.messages.create(**ask, messages=[{"role": "user", "content": "hi"}], metadata={"user_id": "4"})
    first, second, third, fourth = (one.body for one in provider.requests)
    said = {"role": "user", "content": line}
    assert first["input"] == second["input"] == [{"role": "user", "content": "hi"}, said]
    assert third["messages"] == [{"role": "user", "content": [cached, {"type": "text", "text": line}]}]
    assert fourth["messages"][0]["content"] == [{"type": "text", "text": "hi"}, {"type": "text", "text": line}]


def test_an_answer_that_is_begun_is_not_broken_off(box, provider) -> None:
    box(limits=[Limit(calls=2)], warn_at=(0.5,), tell_model=True)
    claude = anthropic.Anthropic(base_url=provider.anthropic_base_url, api_key="x")
    begun = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Well,"}]
    claude.messages.create(model="claude-sonnet-5", max_tokens=50, messages=begun)
    assert provider.requests[0].body["messages"] == begun
    claude.messages.create(model="claude-sonnet-5", max_tokens=50, messages=begun[:1])
    assert provider.requests[1].body["messages"][0]["content"][-1]["text"].startswith("Budget: 0 calls")


def test_the_caller_s_own_messages_are_not_changed(box, provider, chat) -> None:
    box(limits=[Limit(calls=2)], warn_at=(0.5,), tell_model=True)
    given = [dict(ASK)]
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x")
    client.chat.completions.create(model="gpt-4o", messages=given)
    assert len(provider.requests[0].body["messages"]) == 2
    assert given == [ASK]


def test_the_line_is_held_for_and_left_out_where_it_does_not_fit(box, provider) -> None:
    held = []
    one = box(limits=[Limit(usd=0.002)], warn_at=(0.1,), tell_model=True)
    reserve = one.fuse.ledger.reserve

    def watch(hold, *, now):
        held.append(hold.amounts.usd)
        return reserve(hold, now=now)

    one.fuse.ledger.reserve = watch
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x")
    client.chat.completions.create(model="gpt-4o", messages=[ASK], max_tokens=50)
    assert held[-1] > held[-2], "it is part of what may be spent"
    box(limits=[Limit(usd=held[-2] / 1e9)], warn_at=(0.1,), tell_model=True)
    client.chat.completions.create(model="gpt-4o", messages=[ASK], max_tokens=50)
    assert provider.requests[1].body["messages"] == [ASK]
