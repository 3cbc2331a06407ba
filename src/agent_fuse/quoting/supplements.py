"""Prices that genai-prices' data lacks, by its names and in its units: dated, with sources."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from agent_fuse.quoting.price_list import Model, PriceOf, PriceStep, Stepped, equals, model
from agent_fuse.quoting.request_parameters import ANNOTATED, REGIONAL, US

AUDIO: Mapping[tuple[str, str], Mapping[str, Decimal]] = {
    ("openai", "gpt-4o-audio-preview"): {"input_audio_mtok": Decimal(40), "output_audio_mtok": Decimal(80)},
    ("openai", "gpt-4o-mini-audio-preview"): {"input_audio_mtok": Decimal(10), "output_audio_mtok": Decimal(20)},
}
"""USD per million audio tokens (the data has text rates only)."""
PAGE = "OpenAI's pricing page (developers.openai.com/api/docs/pricing)"
AUDIO_SOURCE = f'{PAGE}, "Audio tokens", 2026-11'


PREVIEW_SEARCH_KCOUNT = Decimal(25)
"""USD for 1,000 searches by OpenAI's `web_search_preview`, of a model that does not reason; of one that does it is no
dearer than other searches."""
FILE_SEARCH_KCOUNT = Decimal("2.5")
CONTAINER_USD = Decimal("0.03")
"""USD for a container in which code ran, for each gigabyte of its memory and session of 20 minutes. OpenAI bills
"eligible" sessions by the minute since 2026-06-02, at least 5 of them (its changelog); how long one ran no answer
tells, so a whole session is booked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFees:
    """What a provider asks for its tools where the data names no fee: USD for 1,000 calls, and for a run of code."""

    source: str
    web_kcount: Decimal
    file_kcount: Decimal = FILE_SEARCH_KCOUNT
    container: Decimal = CONTAINER_USD


_ANTHROPICS = "Anthropic's pricing page (platform.claude.com/docs/en/about-claude/pricing)"

US_INFERENCE = Decimal("1.1")
"""Times all token prices of a Claude model that runs in the US alone (`inference_geo="us"`): input, output, cache
writes and reads. It stacks with fast mode and batches."""
_WITHOUT_PLACE = (
    *("claude-v1", "claude-2", "claude-3", "claude-haiku-4-5", "claude-sonnet-4-0", "claude-sonnet-4-5"),
    *("claude-opus-4-0", "claude-opus-4-1", "claude-opus-4-5"),
)
"""How the ids of Claude models before 4.6 begin, which take no `inference_geo`."""
REGIONAL_CLAUDE = Decimal("1.1")
"""Times all token prices of a Claude model at Google Cloud's endpoints that are not global, from 4.5 on."""
_BEFORE_REGIONS = (
    *("claude-v1", "claude-2", "claude-3", "claude-4-", "claude-sonnet-4-0", "claude-opus-4-0", "claude-opus-4-1"),
)
RESIDENT_OPENAI = Decimal("1.1")
"""Times all token prices of an OpenAI model at an endpoint that processes in a region, from gpt-5.4 on."""
_BEFORE_RESIDENCE = re.compile(
    r"(?:ft:)?(?:gpt-3|gpt-4|gpt-5(?![.\d])|gpt-5\.[123](?!\d)|gpt-oss|gpt-image-1|gpt-audio|gpt-realtime(?:-mini)?(?:-20|$)"
    r"|chatgpt-|codex-|computer-|o[134](?:-|$)|text-|ada|babbage|curie|davinci|tts-|whisper|dall-e|omni-)"
)
"""How the names of those begin that were released before 2026-03-05."""
RESIDENT_SOURCE = (
    "OpenAI's guide (developers.openai.com/api/docs/guides/data-residency): 10 % more for models released on or after "
    "2026-03-05, 2026-11; litellm 1.110.2 lists them"
)
REGIONAL_SOURCE = f'{_ANTHROPICS}, "Third-party platform pricing", 2026-11; litellm 1.110.2 lists the same models'
US_INFERENCE_SOURCE = f'{_ANTHROPICS}, "Data residency pricing", 2026-11'

FAST: Mapping[tuple[str, str], Decimal] = {
    ("anthropic", "claude-opus-4-6"): Decimal(6),
    ("anthropic", "claude-opus-4-7"): Decimal(6),
}
"""Times all its token prices, what a model costs in fast mode whose price the data lacks."""
FAST_SOURCE = (
    'Anthropic\'s "Fast mode" (platform.claude.com/docs/en/build-with-claude/fast-mode), as it was for Opus 4.6; '
    "Opus 4.7 as OpenRouter listed it, until 2026-07-24"
)

PAGES, ANNOTATED_PAGES = "input_document_kpages", "input_annotated_document_kpages"
"""What the data calls the pages of a document, and those that are read to fill a schema too."""

BEDROCK_TIERS: Mapping[str, Decimal] = {"flex": Decimal("0.5"), "priority": Decimal("1.75")}
"""Times all its token prices, what a model costs at a service tier of Amazon Bedrock; OpenAI's at `priority` twice."""
BEDROCK_SOURCE = (
    "AWS's page on service tiers (aws.amazon.com/bedrock/service-tiers); how much, as litellm 1.110.2 lists it of "
    "all models there, 2026-11"
)

GEMINI_TIERS: Mapping[str, Decimal] = {"flex": Decimal("0.5"), "batch": Decimal("0.5"), "priority": Decimal("1.8")}
"""Times its prices, what a Gemini model costs at a service tier whose price the data lacks; what Gemini 2.5 and older
read from the cache costs the same in batches and at flex."""
_READS_AT_LIST = ("gemini-1", "gemini-2")
GEMINI_SOURCE = (
    'Google\'s pricing page (ai.google.dev/gemini-api/docs/pricing), "Flex", "Batch" and "Priority" of each model, as '
    "litellm 1.110.2 lists them, 2026-11"
)

_TOOLS = f'{PAGE}, "Tools", 2026-11'
_GOOGLES = 'Google\'s pricing page (ai.google.dev/gemini-api/docs/pricing), "Grounding with Google Search", 2026-09'
_OTHERS = ToolFees(source=f"{_TOOLS}; {_ANTHROPICS}, 2026-11", web_kcount=Decimal(10))
_FEES: tuple[tuple[str, str, ToolFees], ...] = (
    ("google", "gemini-1", ToolFees(source=_GOOGLES, web_kcount=Decimal(35))),
    ("google", "gemini-2", ToolFees(source=_GOOGLES, web_kcount=Decimal(35))),
    ("google", "gemini-", ToolFees(source=_GOOGLES, web_kcount=Decimal(14))),
    (
        "x-ai",
        "",
        ToolFees(
            source='xAI\'s pricing page (docs.x.ai/developers/pricing), "Tool Invocation Costs", 2026-11',
            web_kcount=Decimal(5),
            container=Decimal("0.005"),
        ),
    ),
    (
        "perplexity",
        "",
        ToolFees(
            source="Perplexity's pricing page (docs.perplexity.ai/docs/getting-started/pricing), 2026-11: paid with "
            "the request",
            web_kcount=Decimal(0),
        ),
    ),
)
"""By provider, and what the model's name begins with. Allowances (Google's of each day or month) are not seen."""


def tool_fees(provider: str, bare_model: str) -> ToolFees:
    """What the tools of a model's provider cost."""
    found = (fees for one, family, fees in _FEES if one == provider and bare_model.startswith(family))
    return next(found, _OTHERS)


FEE_SOURCES: Mapping[str, str] = {
    "per_call": f"{_TOOLS}: its search, made before each answer",
    "per_web_search": _OTHERS.source,
    "per_preview_search": _TOOLS,
    "per_file_search": _TOOLS,
    "per_container": _TOOLS,
}
"""Where these fees are from, by their names in `Rates`, where it is no provider of `_FEES`."""


def fee_source(name: str, provider: str, bare_model: str) -> str:
    """Where a fee of `Rates` is from that the data does not name; empty where it is none of ours."""
    fees = tool_fees(provider, bare_model)
    return FEE_SOURCES.get(name, "") if fees is _OTHERS or name not in _TOOL_FEES else fees.source


_TOOL_FEES = ("per_web_search", "per_preview_search", "per_file_search", "per_container")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """A model that the data lacks."""

    model: Model
    source: str


def _ours(source: str, name: str, **prices: str) -> Ours:
    units = {unit: Decimal(price) for unit, price in prices.items()}
    return Ours(model=model(name, equals(name), units), source=source)


_RERANK = (
    "Cohere's pricing page (cohere.com/pricing), as litellm 1.110.2 lists it, 2026-11: a search is up to 100 documents"
)
MODELS: Mapping[tuple[str, str], Ours] = {
    (provider, one.model.id): one
    for provider, one in (
        (
            "openai",
            _ours(
                "OpenAI's model page (developers.openai.com/api/docs/models/gpt-live-1.1), 2026-11-20",
                "gpt-live-1.1",
                audio_hours="3",
            ),
        ),
        *(
            ("cohere", _ours(_RERANK, f"rerank-{version}", input_mtok="0", web_searches_kcount=price))
            for version, price in (
                ("english-v3.0", "2"),
                ("multilingual-v3.0", "2"),
                ("v3.5", "2"),
                ("v4.0-fast", "2"),
                ("v4.0-pro", "2.5"),
            )
        ),
        ("cohere", _ours(_RERANK, "rerank-v5.0-fast", input_mtok="0.02")),
        ("cohere", _ours(_RERANK, "rerank-v5.0-pro", input_mtok="0.05")),
    )
}
"""By provider and name."""


def supplemented(provider: str, name: str, prices: PriceOf) -> PriceOf:
    """An entry's prices with what the data lacks; what the data has, now or later, wins."""
    missing = {name: price for name, price in AUDIO.get((provider, name), {}).items() if prices.get(name) is None}
    return {**prices, **missing}


def at_tier(provider: str, listed: Model, prices: PriceOf, tier: str) -> PriceOf:
    """An entry's prices for a call at a tier (`request_parameters.tier`) by the factors that the data lacks."""
    factor, (named, _, place) = Decimal(1), tier.partition("@")
    if named == ANNOTATED and prices.get(ANNOTATED_PAGES) is not None:
        return {**prices, PAGES: prices[ANNOTATED_PAGES]}
    if named == "fast" and not any("fast" in one.when.values() for one in listed.variants):
        factor = FAST.get((provider, listed.id), factor)
    if provider == "aws" and not any(named in one.when.values() for one in listed.variants):
        factor = Decimal(2) if named == "priority" and "openai" in listed.id else BEDROCK_TIERS.get(named, factor)
    gemini = listed.id.startswith("gemini-") and not any(named in one.when.values() for one in listed.variants)
    if gemini and provider == "google":
        factor = GEMINI_TIERS.get(named, factor)
    factor *= _by_place(provider, listed.id, place)
    if factor == 1:
        return prices

    def times(price: Decimal | Stepped | None) -> Decimal | Stepped | None:
        if isinstance(price, Stepped):
            return Stepped(price.base * factor, [PriceStep(one.start, one.price * factor) for one in price.tiers])
        return None if price is None else price * factor

    fixed = "cache_" if gemini and factor < 1 and listed.id.startswith(_READS_AT_LIST) else " "
    return {
        name: times(price) if name.endswith("_mtok") and not name.startswith(fixed) else price
        for name, price in prices.items()
    }


def _by_place(provider: str, model: str, place: str) -> Decimal:
    """Times all its token prices, what a model costs where it is asked to run."""
    if place == US and provider == "anthropic" and not model.startswith(_WITHOUT_PLACE):
        return US_INFERENCE
    if place != REGIONAL:
        return Decimal(1)
    if provider == "openai":
        return Decimal(1) if _BEFORE_RESIDENCE.match(model) else RESIDENT_OPENAI
    claude = provider in ("anthropic", "google") and model.startswith("claude-")
    return REGIONAL_CLAUDE if claude and not model.startswith(_BEFORE_REGIONS) else Decimal(1)
