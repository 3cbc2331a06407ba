"""OpenAI's SDK speaks to many providers: who serves a model, and in which region, is told by the URL it is asked at."""

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest

from agent_fuse import init
from agent_fuse.calls import Entry, Status

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
SERVED: list[str] = []
"""Who answers, where it is not who is asked."""
ASKED: Any = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}


def answer(request: httpx.Request) -> httpx.Response:
    asked = json.loads(request.content)
    told = {"id": "c1", "created": 1, "model": SERVED.pop() if SERVED else asked["model"]}
    choices: list[Any] = [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}]
    if asked.get("input"):
        usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
        more = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
        return httpx.Response(
            200, json={**told, "object": "response", "created_at": 1, "output": [], "usage": usage, **more}
        )
    if not asked.get("stream"):
        return httpx.Response(200, json={**told, "object": "chat.completion", "choices": choices, "usage": USAGE})
    chunk = {**told, "object": "chat.completion.chunk"}
    said = [{"index": 0, "finish_reason": None, "delta": {"content": "hi"}}]
    events = [{**chunk, "choices": said}, {**chunk, "choices": [], "usage": USAGE}]
    lines = [f"data: {json.dumps(one)}\n\n" for one in events]
    return httpx.Response(
        200, headers={"content-type": "text/event-stream"}, content="".join([*lines, "data: [DONE]\n\n"])
    )


def ask(how: str, base_url: str, model: str, **asked: Any) -> None:
    """Whole, streamed, raw or awaited."""
    body = {**ASKED, "model": model, **asked}

    async def awaited() -> None:
        http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        async with openai.AsyncOpenAI(base_url=base_url, api_key="x", max_retries=0, http_client=http) as client:
            await client.chat.completions.create(**body)

    if how == "awaited":
        asyncio.run(awaited())
        return
    http = httpx.Client(transport=httpx.MockTransport(answer))
    with openai.OpenAI(base_url=base_url, api_key="x", max_retries=0, http_client=http) as client:
        if how == "raw":
            client.chat.completions.with_raw_response.create(**body)
        elif how == "responses":
            client.responses.create(model=model, input="hi", max_output_tokens=100)
        elif how == "streamed":
            list(client.chat.completions.create(**body, stream=True, stream_options={"include_usage": True}))
        else:
            client.chat.completions.create(**body)


def lines(tmp_path: Any, how: str, base_url: str, model: str, **options: Any) -> list[Entry]:
    fuse = init(budget=100, db_path=str(tmp_path / "ledger.db"), **options).fuse
    ask(how, base_url, model)
    return list(fuse.ledger.journal())


@pytest.mark.parametrize("how", ["whole", "streamed", "raw", "awaited"])
@pytest.mark.parametrize(
    ("base_url", "model", "provider", "cost"),
    [
        ("https://api.groq.com/openai/v1", "llama-3.3-70b-versatile", "groq", 1000 * 590 + 100 * 790),
        ("https://api.groq.com/openai/v1", "openai/gpt-oss-120b", "groq", 1000 * 150 + 100 * 600),
        ("https://api.cerebras.ai/v1", "gpt-oss-120b", "cerebras", 1000 * 350 + 100 * 750),
        ("https://api.openai.com/v1", "gpt-4o", "openai", 1000 * 2_500 + 100 * 10_000),
        ("https://gateway.example/v1", "gpt-4o", "openai", 1000 * 2_500 + 100 * 10_000),
    ],
)
def test_who_serves_a_model_is_who_is_asked(
    tmp_path: Any, how: str, base_url: str, model: str, provider: str, cost: int
) -> None:
    """One model has a price at each provider; at a host that nobody knows it is its maker's."""
    (entry,) = lines(tmp_path, how, base_url, model)
    assert (entry.provider, entry.cost, entry.status) == (provider, cost, Status.SETTLED)


@pytest.mark.parametrize(
    ("model", "named", "served", "cost"),
    [
        ("gpt-4o-mini", ["openai/gpt-4o"], "openai/gpt-4o-2024-08-06", 1000 * 2_500 + 100 * 10_000),
        ("gpt-4o-mini", ["openai/gpt-4o"], "gpt-4o-mini-2024-07-18", 1000 * 150 + 100 * 600),
        ("gpt-4o-mini", ["openai/gpt-4o"], "another", 1000 * 150 + 100 * 600),
    ],
)
def test_of_several_models_that_answers_is_billed(
    tmp_path: Any, model: str, named: list[str], served: str, cost: int
) -> None:
    """A gateway that tries one model after another bills the one that answered, which the answer names."""
    SERVED[:] = [served]
    fuse = init(budget=100, db_path=str(tmp_path / "ledger.db")).fuse
    ask("whole", "https://gateway.example/v1", model, extra_body={"models": named})
    (entry,) = fuse.ledger.journal()
    assert entry.cost == cost


def quoted(tmp_path: Any, base_url: str, model: str) -> int:
    """Nano-dollars that a call was quoted at."""
    fuse = init(budget="0.00001", mode="observe", db_path=str(tmp_path / "ledger.db")).fuse
    ask("whole", base_url, model)
    return next(entry.cost for entry in fuse.ledger.journal() if entry.status is Status.WOULD_REFUSE)


def test_so_it_is_quoted(tmp_path: Any) -> None:
    """Before it is sent: nine tokens and the answer's most."""
    assert quoted(tmp_path, "https://api.groq.com/openai/v1", "llama-3.3-70b-versatile") == 9 * 590 + 100 * 790


@pytest.mark.parametrize("how", ["whole", "streamed", "responses"])
@pytest.mark.parametrize(
    ("host", "model", "cost"),
    [
        ("eu.api.openai.com", "gpt-5.4", (1000 * 2_500 + 100 * 15_000) * 11 // 10),
        ("us.api.openai.com", "gpt-5.4-2026-03-05", (1000 * 2_500 + 100 * 15_000) * 11 // 10),
        ("api.openai.com", "gpt-5.4", 1000 * 2_500 + 100 * 15_000),
        ("eu.api.openai.com", "gpt-4o", 1000 * 2_500 + 100 * 10_000),
        ("eu.api.openai.com", "gpt-5", 1000 * 1_250 + 100 * 10_000),
    ],
)
def test_what_is_processed_in_a_region_is_a_tenth_dearer(
    tmp_path: Any, how: str, host: str, model: str, cost: int
) -> None:
    """Of models released from March 2026 on, in what is booked and what is quoted."""
    (entry,) = lines(tmp_path, how, f"https://{host}/v1", model)
    assert entry.cost == cost


def test_it_is_quoted_so(tmp_path: Any) -> None:
    """Before it is sent, too."""
    at_list = 8 * 2_500 + 100 * 15_000
    assert quoted(tmp_path, "https://api.openai.com/v1", "gpt-5.4") == at_list
    assert quoted(tmp_path, "https://eu.api.openai.com/v1", "gpt-5.4") == at_list * 11 // 10
