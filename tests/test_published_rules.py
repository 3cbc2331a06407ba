"""What answers of many providers cost by their own published rules, each kind of it once got wrong by someone in public."""

from decimal import Decimal
from typing import Any

import pytest

from agent_fuse.prices import PriceBook
from agent_fuse.quotes import Quoter
from agent_fuse.quoting.request_parameters import served_tier
from agent_fuse.wire import Reading
from agent_fuse.wire_formats import BUILT_IN

AT = 1_795_867_200.0
"""2026-11-28: some prices change in time."""


def cost(*parts: tuple[int, str]) -> Decimal:
    """USD for so many tokens at so many USD a million."""
    return sum((number * Decimal(rate) for number, rate in parts), Decimal(0)) / 1_000_000


def gemini(prompt: int, made: int, model: str = "", queries: list[str] | None = None, **told: Any) -> dict[str, Any]:
    candidate = {"finishReason": "STOP", **({"groundingMetadata": {"webSearchQueries": queries}} if queries else {})}
    usage = {"promptTokenCount": prompt, "candidatesTokenCount": made, **told}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model}


def interaction(given: int, made: int, **told: Any) -> dict[str, Any]:
    usage = {"total_input_tokens": given, "total_output_tokens": made, **told}
    return {"id": "i", "object": "interaction", "status": "completed", "usage": usage}


def of(modality: str, tokens: int) -> list[dict[str, Any]]:
    return [{"modality": modality, "tokenCount": tokens}]


def chat(prompt: int, made: int, **told: Any) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made, **told}}


def converse(cached: dict[str, Any], **told: Any) -> dict[str, Any]:
    return {"usage": {"inputTokens": 100, "outputTokens": 10, **cached}, **told}


HOURS = {"cacheWriteInputTokens": 9000, "cacheDetails": [{"ttl": "1h", "inputTokens": 6000}]}
CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
QUERIES = ["a", "b", "a", " "]

CASES: dict[str, tuple[str, str, str, dict[str, Any], Decimal]] = {
    "Gemini: thoughts, and a tool's results": (
        *("gemini", "google", "gemini-2.5-flash"),
        gemini(100, 20, thoughtsTokenCount=300, toolUsePromptTokenCount=50, totalTokenCount=470),
        cost((150, "0.3"), (320, "2.5")),
    ),
    "Gemini: what is heard": (
        *("gemini", "google", "gemini-2.5-flash"),
        gemini(1100, 20, promptTokensDetails=of("AUDIO", 1000)),
        cost((100, "0.3"), (1000, "1"), (20, "2.5")),
    ),
    "Gemini: what was heard before": (
        *("gemini", "google", "gemini-2.5-flash"),
        gemini(
            *(10_000, 20),
            cachedContentTokenCount=8000,
            promptTokensDetails=of("AUDIO", 9000),
            cacheTokensDetails=of("AUDIO", 8000),
        ),
        cost((1000, "0.3"), (1000, "1"), (8000, "0.1"), (20, "2.5")),
    ),
    "Gemini: an image drawn": (
        *("gemini", "google", "gemini-2.5-flash-image"),
        gemini(100, 1310, candidatesTokensDetails=of("IMAGE", 1290)),
        cost((100, "0.3"), (20, "2.5"), (1290, "30")),
    ),
    "Gemini: a model that draws answers in words": (
        *("gemini", "google", "gemini-2.5-flash-image"),
        gemini(100, 20, candidatesTokensDetails=of("TEXT", 20)),
        cost((100, "0.3"), (20, "2.5")),
    ),
    "Gemini: spoken": (
        *("gemini", "google", "gemini-3.8-live"),
        gemini(100, 200, candidatesTokensDetails=of("AUDIO", 200)),
        cost((100, "0.75"), (200, "12")),
    ),
    "Gemini: beyond 200,000 tokens": (
        *("gemini", "google", "gemini-2.5-pro"),
        gemini(250_000, 1000),
        cost((250_000, "2.5"), (1000, "15")),
    ),
    "Gemini 2.5: grounded, by the prompt": (
        *("gemini", "google", "gemini-2.5-flash"),
        gemini(100, 20, "gemini-2.5-flash", QUERIES),
        cost((100, "0.3"), (20, "2.5")) + Decimal("0.035"),
    ),
    "Gemini 3: grounded, by the query, each once": (
        *("gemini", "google", "gemini-3.5-flash"),
        gemini(100, 20, "gemini-3.5-flash", QUERIES),
        cost((100, "1.5"), (20, "9")) + Decimal("0.028"),
    ),
    "Gemini: served at flex": (
        *("gemini", "google", "gemini-3.5-flash"),
        gemini(1000, 100, cachedContentTokenCount=400, serviceTier="flex"),
        cost((600, "0.75"), (400, "0.075"), (100, "4.5")),
    ),
    "Gemini 2.5: flex, what is read from the cache at list": (
        *("gemini", "google", "gemini-2.5-flash"),
        gemini(1000, 100, cachedContentTokenCount=400, trafficType="ON_DEMAND_FLEX"),
        cost((600, "0.15"), (400, "0.03"), (100, "1.25")),
    ),
    "Gemini at Vertex AI: served at priority": (
        *("gemini", "google", "gemini-2.5-flash"),
        gemini(1000, 100, trafficType="ON_DEMAND_PRIORITY"),
        cost((1000, "0.54"), (100, "4.5")),
    ),
    "Gemini: an interaction": (
        *("gemini interactions", "google", "gemini-3.5-flash"),
        interaction(100, 20, total_thought_tokens=300, total_tool_use_tokens=50, total_tokens=470),
        cost((150, "1.5"), (320, "9")),
    ),
    "Gemini: an interaction that heard and searched, at flex": (
        *("gemini interactions", "google", "gemini-2.5-flash"),
        interaction(
            *(1100, 20),
            total_tokens=1120,
            total_cached_tokens=0,
            input_tokens_by_modality=[{"modality": "text", "tokens": 100}, {"modality": "audio", "tokens": 1000}],
            grounding_tool_count=[{"type": "google_search", "count": 1}],
        )
        | {"service_tier": "flex"},
        cost((100, "0.15"), (1000, "0.5"), (20, "1.25")) + Decimal("0.035"),
    ),
    "Bedrock: Nova's InvokeModel, read from the cache": (
        *("bedrock", "aws", "amazon.nova-pro-v1:0"),
        converse({"cacheReadInputTokenCount": 1000, "cacheWriteInputTokenCount": 0}),
        cost((100, "0.8"), (1000, "0.2"), (10, "3.2")),
    ),
    "Bedrock: written to the cache for an hour, in a region": (
        *("bedrock", "aws", CLAUDE),
        converse(HOURS),
        cost((100, "3.3"), (10, "16.5"), (6000, "6.6"), (3000, "4.125")),
    ),
    "Bedrock: the same, wherever": (
        *("bedrock", "aws", f"global.{CLAUDE}"),
        converse(HOURS),
        cost((100, "3"), (10, "15"), (6000, "6"), (3000, "3.75")),
    ),
    "Bedrock: served at flex": (
        *("bedrock", "aws", "amazon.nova-pro-v1:0"),
        converse({}, serviceTier={"type": "flex"}),
        cost((100, "0.4"), (10, "1.6")),
    ),
    "Bedrock: served at priority": (
        *("bedrock", "aws", "amazon.nova-pro-v1:0"),
        converse({}, serviceTier={"type": "priority"}),
        cost((100, "1.4"), (10, "5.6")),
    ),
    "xAI: reasoning beside the completion": (
        *("openai", "x-ai", "grok-4-0709"),
        chat(32, 9, total_tokens=351, completion_tokens_details={"reasoning_tokens": 310}, num_sources_used=4),
        cost((32, "3"), (319, "15")),
    ),
    "xAI: searches": (
        *("openai", "x-ai", "grok-4-1-fast-reasoning"),
        {"output": [{"type": "web_search_call"}] * 2, "usage": {"input_tokens": 100, "output_tokens": 10}},
        cost((100, "0.2"), (10, "0.5")) + Decimal("0.01"),
    ),
    "Perplexity: deep research": (
        *("openai", "perplexity", "sonar-deep-research"),
        chat(100, 1000, citation_tokens=5000, num_search_queries=20, reasoning_tokens=30_000),
        cost((100, "2"), (1000, "8"), (5000, "2"), (30_000, "3")) + Decimal("0.1"),
    ),
    "Mistral: a transcription": (
        *("openai", "mistral", "voxtral-mini-2602"),
        chat(4, 635, total_tokens=3264, prompt_audio_seconds=200),
        Decimal("0.01"),
    ),
    "Moonshot: cached at the top": (
        *("openai", "moonshotai", "kimi-k2.6"),
        chat(1000, 100, cached_tokens=800),
        cost((200, "0.95"), (800, "0.16"), (100, "4")),
    ),
    "MiniMax: cached in the details": (
        *("openai", "minimax", "MiniMax-M2"),
        chat(1000, 100, prompt_tokens_details={"cached_tokens": 800}),
        cost((200, "0.3"), (800, "0.03"), (100, "1.2")),
    ),
    "OpenAI: images that were shown before": (
        *("openai", "openai", "gpt-image-1"),
        {
            "usage": {
                "input_tokens": 1000,
                "output_tokens": 100,
                "input_tokens_details": {
                    "image_tokens": 800,
                    "cached_tokens": 500,
                    "cached_tokens_details": {"text_tokens": 100, "image_tokens": 400},
                },
            }
        },
        cost((100, "5"), (400, "10"), (100, "1.25"), (400, "2.5"), (100, "40")),
    ),
    "OpenAI: a prediction refused": (
        *("openai", "openai", "gpt-4o"),
        chat(204, 1404, completion_tokens_details={"rejected_prediction_tokens": 1201}),
        cost((204, "2.5"), (1404, "10")),
    ),
    "LiteLLM: Claude's cache for an hour": (
        *("openai", "anthropic", "claude-sonnet-4-5"),
        chat(
            *(6100, 10),
            cache_creation_input_tokens=1000,
            cache_read_input_tokens=5000,
            prompt_tokens_details={"cache_creation_token_details": {"ephemeral_1h_input_tokens": 600}},
        ),
        cost((100, "3"), (400, "3.75"), (600, "6"), (5000, "0.3"), (10, "15")),
    ),
    "Cohere: a reranking of 250 documents": (
        *("cohere", "cohere", "rerank-v3.5"),
        {"meta": {"billed_units": {"search_units": 3}}},
        Decimal("0.006"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_answer_costs_what_its_provider_publishes(name: str) -> None:
    """To the nano-dollar, at the tier that the answer tells."""
    wire, provider, model, body, expected = CASES[name]
    reading = Reading()
    next(one for one in BUILT_IN if one.name == wire).whole(body, reading)
    assert reading.usage is not None
    rates = PriceBook().rates(model, provider, at=AT, tier=served_tier("", reading.tier))
    assert Decimal(rates.cost(reading.usage)) / 10**9 == expected


@pytest.mark.parametrize(
    ("provider", "model", "operation", "asked", "dearer"),
    [
        ("openrouter", "openai/gpt-4o:online", "chat", {}, Decimal("0.02")),
        ("openrouter", "openai/gpt-4o", "chat", {"plugins": [{"id": "web", "max_results": 10}]}, Decimal("0.04")),
        ("google", "gemini-3.5-flash", "generate_content", {"tools": [{"type": "googleSearch"}]}, Decimal("0.014")),
        (
            *("openai", "gpt-4o", "responses"),
            {"tools": [{"type": "image_generation", "quality": "low", "size": "1024x1024"}]},
            cost((272, "40")),
        ),
        (
            *("openai", "gpt-4o", "responses"),
            {"tools": [{"type": "image_generation", "model": "gpt-image-1-mini", "quality": "high"}]},
            cost((6240, "8")),
        ),
    ],
)
def test_what_may_be_done_beside_the_text_is_in_the_quote(
    provider: str, model: str, operation: str, asked: dict[str, Any], dearer: Decimal
) -> None:
    """A search that OpenRouter or Google may make, an image that may be drawn: once, or as often as is asked for."""
    quoter = Quoter(PriceBook())
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}
    plain = quoter.for_body(provider, model.removesuffix(":online"), operation, body)
    whole = quoter.for_body(provider, model, operation, {**body, **asked})
    beside = Decimal(whole.cost - plain.cost) / 10**9
    tokens = Decimal("0.001")  # that the tools' own description may be
    assert dearer <= beside < dearer + tokens


@pytest.mark.parametrize(("documents", "searches"), [(1, 1), (100, 1), (101, 2)])
def test_a_reranking_is_quoted_by_the_search(documents: int, searches: int) -> None:
    """A hundred documents are one."""
    quote = Quoter(PriceBook()).for_body("cohere", "rerank-v3.5", "rerank", {"documents": ["x"] * documents})
    assert quote.cost == searches * 2_000_000
