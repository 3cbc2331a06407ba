"""What the loopback provider counts, bills and tells."""

import json
import subprocess
import sys
import urllib.request

import openai
import pytest

from agent_fuse.calls import Usage
from agent_fuse.testing import Api, FakeClock, LoopbackProvider, Reply

ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


def test_requests_carry_what_arrived():
    """Each request has method, path, JSON body, lower-case headers, time by the given clock, api and model."""
    clock = FakeClock(1000.0)
    with (
        LoopbackProvider(clock=clock) as provider,
        openai.OpenAI(base_url=provider.openai_base_url, api_key="test") as client,
    ):
        client.chat.completions.create(**ASK, extra_headers={"X-Team": "Red"})
        clock.advance(2.5)
        client.chat.completions.create(**ASK)
        first, second = provider.requests
    assert (first.method, first.path, first.api, first.model) == ("POST", "/v1/chat/completions", Api.CHAT, "gpt-4o")
    assert first.body == ASK
    assert (first.headers["x-team"], first.headers["authorization"]) == ("Red", "Bearer test")
    assert (first.received_at, second.received_at) == (1000.0, 1002.5)


def test_usage_by_default_for_all_and_by_model(provider, client):
    """`provider.usage` bills every call that names no usage, or by model name; others are counted."""
    provider.usage = Usage(input_tokens=1000, output_tokens=500)
    assert client.chat.completions.create(**ASK).usage.total_tokens == 1500
    provider.usage = {"gpt-4o-mini": Usage(input_tokens=7, output_tokens=3)}
    assert client.chat.completions.create(**ASK | {"model": "gpt-4o-mini"}).usage.total_tokens == 10
    assert client.chat.completions.create(**ASK).usage.total_tokens not in (10, 1500)
    provider.reply(Reply(usage=Usage(input_tokens=1, output_tokens=1)))
    assert client.chat.completions.create(**ASK | {"model": "gpt-4o-mini"}).usage.total_tokens == 2


def test_served_and_billed_add_up(provider, client):
    """`served` lists each bill with its model and response id; `billed` is their sum; errors are in neither."""
    provider.reply("a", Reply(status=500), "b")
    first = client.chat.completions.create(**ASK).id
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(**ASK)
    second = next(client.chat.completions.create(**ASK, stream=True)).id
    assert [one.response_id for one in provider.served] == [first, second]
    assert [one.model for one in provider.served] == ["gpt-4o", "gpt-4o"]
    assert provider.billed.input_tokens == sum(one.usage.input_tokens for one in provider.served)
    assert provider.billed.output_tokens == sum(one.usage.output_tokens for one in provider.served)


def test_a_response_id_given_twice_bills_twice(provider, client):
    """Two answers under one scripted id are two bills."""
    provider.reply(Reply(id="same"), times=2)
    for _ in range(2):
        client.chat.completions.create(**ASK)
    assert [one.response_id for one in provider.served] == ["same", "same"]


def test_reset_forgets_counts_and_queue(provider, client):
    """After reset nothing is counted or queued; default and usage stay."""
    provider.usage = Usage(input_tokens=1, output_tokens=2)
    provider.reply("queued", "queued too")
    client.chat.completions.create(**ASK)
    provider.reset()
    assert (provider.count, provider.requests, provider.served, provider.billed.total_tokens) == (0, [], [], 0)
    done = client.chat.completions.create(**ASK)
    assert done.choices[0].message.content != "queued too"
    assert done.usage.total_tokens == 3


def test_without_recording_only_counts_are_kept():
    """`record=False` keeps no request, yet counts and bills."""
    with (
        LoopbackProvider(record=False) as provider,
        openai.OpenAI(base_url=provider.openai_base_url, api_key="test") as client,
    ):
        total = sum(client.chat.completions.create(**ASK).usage.total_tokens for _ in range(3))
        assert (provider.count, provider.billed.total_tokens) == (3, total)
        assert (provider.requests, provider.served) == ([], [])


def test_other_processes_can_ask_for_the_counts(provider, client):
    """`GET /_loopback` tells the counts, and is not counted as a model request."""
    client.chat.completions.create(**ASK)
    for _ in range(2):
        with urllib.request.urlopen(f"{provider.url}/_loopback") as answer:
            figures = json.load(answer)
    assert figures == {
        "count": 1,
        "requests": 3,
        "input_tokens": provider.billed.input_tokens,
        "output_tokens": provider.billed.output_tokens,
    }


def test_watch_sees_each_request_with_its_status():
    """`watch` is told every request and how it was answered."""
    seen = []
    with (
        LoopbackProvider(watch=lambda request, status: seen.append((request.path, status))) as watched,
        openai.OpenAI(base_url=watched.openai_base_url, api_key="test", max_retries=0) as client,
    ):
        watched.reply(Reply(status=400))
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(**ASK)
        client.chat.completions.create(**ASK)
    assert seen == [("/v1/chat/completions", 400), ("/v1/chat/completions", 200)]


def test_wait_for_gives_up_in_time(provider):
    """Waiting for a request that does not come ends with False."""
    assert provider.wait_for(0)
    assert not provider.wait_for(1, timeout_s=0.05)


def test_standalone_serves_prints_and_stops():
    """`python -m agent_fuse.testing` prints its URL, a line for each request, and the sum when it is stopped."""
    command = [sys.executable, "-m", "agent_fuse.testing", "--usage", "1000,500"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().split()[0]
        with openai.OpenAI(base_url=f"{url}/v1", api_key="test") as client:
            assert client.chat.completions.create(**ASK).usage.total_tokens == 1500
        process.terminate()
        rest, _ = process.communicate(timeout=20)
    assert "POST /v1/chat/completions gpt-4o 200" in rest
    assert "1 model requests, 1000 + 500 tokens" in rest
    assert process.returncode == 0
