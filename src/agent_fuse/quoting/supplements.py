"""Prices that genai-prices' data lacks, by its names and in its units: dated, with sources."""

from collections.abc import Mapping
from decimal import Decimal

from agent_fuse.quoting.price_list import PriceOf

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

_TOOLS = f'{PAGE}, "Tools", 2026-11'
FEE_SOURCES: Mapping[str, str] = {
    "per_call": f"{_TOOLS}: its search, made before each answer",
    "per_web_search": f"{_TOOLS}; Anthropic's (platform.claude.com/docs/en/about-claude/pricing), 2026-11",
    "per_preview_search": _TOOLS,
    "per_file_search": _TOOLS,
    "per_container": _TOOLS,
}
"""Where these fees are from, by their names in `Rates`."""


def supplemented(provider: str, model: str, prices: PriceOf) -> PriceOf:
    """An entry's prices with what the data lacks; what the data has, now or later, wins."""
    missing = {name: price for name, price in AUDIO.get((provider, model), {}).items() if prices.get(name) is None}
    return {**prices, **missing}
