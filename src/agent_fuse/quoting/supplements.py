"""Prices that genai-prices' data lacks, by its names and in its units: dated, with sources."""

from collections.abc import Mapping
from decimal import Decimal

from agent_fuse.quoting.price_list import Model, PriceOf, Step, Stepped

AUDIO: Mapping[tuple[str, str], Mapping[str, Decimal]] = {
    ("openai", "gpt-4o-audio-preview"): {"input_audio_mtok": Decimal(40), "output_audio_mtok": Decimal(80)},
    ("openai", "gpt-4o-mini-audio-preview"): {"input_audio_mtok": Decimal(10), "output_audio_mtok": Decimal(20)},
}
"""USD per million audio tokens (the data has text rates only)."""
PAGE = "OpenAI's pricing page (developers.openai.com/api/docs/pricing)"
AUDIO_SOURCE = f'{PAGE}, "Audio tokens", 2026-11'


WEB_SEARCH_KCOUNT = Decimal(10)
"""USD for 1,000 web searches of a model for which the data names no fee: what OpenAI and Anthropic ask."""
PREVIEW_SEARCH_KCOUNT = Decimal(25)
"""The same for OpenAI's `web_search_preview`, of a model that does not reason; of one that does it is no dearer than
other searches."""
FILE_SEARCH_KCOUNT = Decimal("2.5")
"""The same for file searches."""
CONTAINER_USD = Decimal("0.03")
"""USD for a container in which code ran, for each gigabyte of its memory and session of 20 minutes. OpenAI bills
"eligible" sessions by the minute since 2026-06-02, at least 5 of them (its changelog); how long one ran no answer
tells, so a whole session is booked."""

_ANTHROPICS = "Anthropic's pricing page (platform.claude.com/docs/en/about-claude/pricing)"

US_INFERENCE = Decimal("1.1")
"""Times all token prices of a Claude model that runs in the US alone (`inference_geo="us"`): input, output, cache
writes and reads. It stacks with fast mode and batches."""
_WITHOUT_PLACE = (
    *("claude-v1", "claude-2", "claude-3", "claude-haiku-4-5", "claude-sonnet-4-0", "claude-sonnet-4-5"),
    *("claude-opus-4-0", "claude-opus-4-1", "claude-opus-4-5"),
)
"""How the ids of Claude models before 4.6 begin, which take no `inference_geo`."""
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

_TOOLS = f'{PAGE}, "Tools", 2026-11'
FEE_SOURCES: Mapping[str, str] = {
    "per_call": f"{_TOOLS}: its search, made before each answer",
    "per_web_search": f"{_TOOLS}; {_ANTHROPICS}, 2026-11",
    "per_preview_search": _TOOLS,
    "per_file_search": _TOOLS,
    "per_container": _TOOLS,
}
"""Where these fees are from, by their names in `Rates`."""


def supplemented(provider: str, model: str, prices: PriceOf) -> PriceOf:
    """An entry's prices with what the data lacks; what the data has, now or later, wins."""
    missing = {name: price for name, price in AUDIO.get((provider, model), {}).items() if prices.get(name) is None}
    return {**prices, **missing}


def at_tier(provider: str, model: Model, prices: PriceOf, tier: str) -> PriceOf:
    """An entry's prices for a call at a tier (`request_parameters.tier`) by the factors that the data lacks."""
    factor, (named, _, place) = Decimal(1), tier.partition("@")
    if named == "fast" and not any("fast" in one.when.values() for one in model.variants):
        factor = FAST.get((provider, model.id), factor)
    if place and provider == "anthropic" and not model.id.startswith(_WITHOUT_PLACE):
        factor *= US_INFERENCE
    if factor == 1:
        return prices

    def times(price: Decimal | Stepped | None) -> Decimal | Stepped | None:
        if isinstance(price, Stepped):
            return Stepped(price.base * factor, [Step(one.start, one.price * factor) for one in price.tiers])
        return None if price is None else price * factor

    return {name: times(price) if name.endswith("_mtok") else price for name, price in prices.items()}
