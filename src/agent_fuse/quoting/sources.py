"""Where each rate of a model comes from: the user's own prices, the bundled data, or a dated table of ours."""

from collections.abc import Mapping
from importlib import metadata

from agent_fuse.quoting import library
from agent_fuse.quoting.library import Listed
from agent_fuse.quoting.names import bare
from agent_fuse.quoting.rates import Origin, Rates
from agent_fuse.quoting.request_parameters import ANNOTATED, REGIONAL, US
from agent_fuse.quoting.supplements import (
    AUDIO,
    AUDIO_SOURCE,
    BEDROCK_SOURCE,
    FAST_SOURCE,
    FEE_SOURCES,
    GEMINI_SOURCE,
    MODELS,
    REGIONAL_SOURCE,
    RESIDENT_SOURCE,
    US_INFERENCE_SOURCE,
    fee_source,
)

OWN = "your own prices"
FALLBACK = "the fallback of a model without a price (FALLBACK_PRICE of agent_fuse.prices, 2026-11)"
NAMED_FREE = "free by its name"
FREE = "AGENTFUSE_UNKNOWN_MODEL=free, or a provider that bills nothing by the call"

_TOLD: Mapping[str, tuple[str, ...]] = {
    "input": ("input_mtok",),
    "output": ("output_mtok", "output_image_mtok", "output_video_mtok"),
    "cache_read": ("cache_read_mtok",),
    "cache_read_audio": ("cache_audio_read_mtok",),
    "cache_read_image": ("cache_image_read_mtok",),
    "cache_write": ("cache_write_mtok",),
    "cache_write_1h": ("cache_write_1h_mtok",),
    "input_audio": ("input_audio_mtok",),
    "output_audio": ("output_audio_mtok",),
    "input_image": ("input_image_mtok",),
    "output_image": ("output_image_mtok",),
    "output_text": ("output_mtok",),
    "reasoning": ("output_reasoning_mtok",),
}
"""A tier's rates, and what the data calls them (`tariffs`)."""
_WIDER: Mapping[str, str] = {
    "cache_read": "input",
    "cache_read_audio": "cache_read",
    "cache_read_image": "cache_read",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "input_audio": "input",
    "input_image": "input",
    "output_audio": "output",
    "output_image": "output",
    "output_text": "output",
    "reasoning": "output",
}
"""The bucket that a rate is taken from where it has no price of its own."""
_UNITS: Mapping[str, tuple[str, ...]] = {
    "per_call": ("requests_kcount",),
    "per_character": ("input_mchars",),
    "per_second": ("input_audio_hours", "audio_hours"),
    "per_page": ("input_document_kpages",),
    "per_web_search": ("web_searches_kcount",),
    "per_preview_search": (),
    "per_file_search": ("storage_searches_kcount",),
    "per_container": (),
}
_OF_A_PRICE = (*_TOLD, "per_call", "per_character", "per_second", "per_page")
"""What a price of one's own, or the fallback, tells; the fees of tools are the provider's all the same."""


def price_data() -> str:
    """Which price data is bundled, and so of when it is: its releases are dated where it is published."""
    try:
        return f"genai-prices {metadata.version('genai-prices')}"
    except metadata.PackageNotFoundError:
        return "genai-prices"


def sources(rates: Rates, listed: Listed | None) -> dict[str, str]:
    """The source of each rate by its name in `Rates` and `Tier`; rates of units and fees that are 0 are left out.

    `listed` is the entry of the price data that the rates were made from, if any.
    """
    units = [name for name in _UNITS if getattr(rates, name)]
    if rates.origin is not Origin.DATA or listed is None:
        what = {Origin.OVERRIDE: OWN, Origin.FREE: FREE}.get(rates.origin, FALLBACK)
        return {name: what if name in _OF_A_PRICE else FEE_SOURCES[name] for name in (*_TOLD, *units)}
    entries = (*listed.model.prices, *listed.model.variants)
    told = {name for one in entries for name, price in one.prices.items() if price is not None}
    key, name_of = (listed.provider.id, listed.model.id), bare(listed.model.id)
    data = ", from ".join([price_data(), *listed.provider.pricing_urls[:1]])
    if key in MODELS:
        data = MODELS[key].source
    ours = AUDIO.get(key, {})
    found: dict[str, str] = {}
    for name, theirs in _TOLD.items():
        if listed.model.id.endswith(library.FREE):
            found[name] = NAMED_FREE
        elif "input_mtok" not in told:
            found[name] = FALLBACK
        elif told.intersection(theirs):
            found[name] = data
        elif ours.keys() & set(theirs):
            found[name] = AUDIO_SOURCE
        else:
            found[name] = f"not priced apart: as {_WIDER.get(name, 'nothing').replace('_', ' ')}"
    for name in units:
        found[name] = data if told.intersection(_UNITS[name]) else fee_source(name, listed.provider.id, name_of) or data
    if rates.per_preview_search == rates.per_web_search and rates.per_web_search:
        found["per_preview_search"] = found["per_web_search"]
    return found


def tier_source(tier: str, listed: Listed) -> str:
    """The source of what a model costs at a tier (`request_parameters.tier`) that is priced apart."""
    if tier.endswith(f"@{REGIONAL}"):
        return RESIDENT_SOURCE if listed.provider.id == "openai" else REGIONAL_SOURCE
    if tier.endswith(f"@{US}"):
        return US_INFERENCE_SOURCE
    if tier == ANNOTATED or any(tier in one.when.values() for one in listed.model.variants):
        return ", from ".join([price_data(), *listed.provider.pricing_urls[:1]])
    return {"aws": BEDROCK_SOURCE, "google": GEMINI_SOURCE}.get(listed.provider.id, FAST_SOURCE)
