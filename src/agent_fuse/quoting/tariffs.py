"""A price list's entry (USD per million tokens, some by tiers) turned into integer tiers."""

from decimal import Decimal

from agent_fuse.quoting.price_list import PriceOf
from agent_fuse.quoting.rates import Tier, picos


def tiers(prices: PriceOf) -> tuple[Tier, ...]:
    """The tiers of an entry: one for each step that any of its prices has, and the one below them all."""
    starts = {-1}
    for value in prices.values():
        if value is not None and not isinstance(value, Decimal):
            starts.update(step.start for step in value.tiers)
    return tuple(_tier(prices, start) for start in sorted(starts))


def per_call(prices: PriceOf) -> int:
    """Pico-dollars for each call, which the list gives per thousand."""
    return picos(_at(prices, -1, "requests_kcount"), Decimal(10) ** 9)


def per_character(prices: PriceOf) -> int:
    """Pico-dollars for each character of a text to speak, which the list gives per million."""
    return picos(_at(prices, -1, "input_mchars"))


def per_page(prices: PriceOf) -> int:
    """Pico-dollars for each page of a document, which the list gives per thousand."""
    return picos(_at(prices, -1, "input_document_kpages"), Decimal(10) ** 9)


def per_search(prices: PriceOf, name: str, otherwise: Decimal) -> int:
    """Pico-dollars for each search at the provider, which the list gives per thousand."""
    return picos(_at(prices, -1, name, otherwise=otherwise), Decimal(10) ** 9)


def per_second(prices: PriceOf) -> int:
    """Pico-dollars for each second of a recording, which the list gives per hour."""
    return -(-picos(_at(prices, -1, "input_audio_hours", "audio_hours"), Decimal(10) ** 12) // 3_600)


def _at(prices: PriceOf, above: int, *names: str, otherwise: Decimal = Decimal(0)) -> Decimal:
    """The dearest of the named prices in one tier, or `otherwise` where the entry has none of them."""
    found: list[Decimal] = []
    for name in names:
        value = prices.get(name)
        if isinstance(value, Decimal):
            found.append(value)
        elif value is not None:
            found.append(next((step.price for step in reversed(value.tiers) if above >= step.start), value.base))
    return max(found, default=otherwise)


def _tier(prices: PriceOf, above: int) -> Tier:
    """One tier. A model that makes images or video is taken to make nothing else, unless an answer tells them apart."""
    into = _at(prices, above, "input_mtok")
    text = _at(prices, above, "output_mtok")
    out = max(text, _at(prices, above, "output_image_mtok", "output_video_mtok"))
    read = _at(prices, above, "cache_read_mtok", otherwise=into)
    written = _at(prices, above, "cache_write_mtok", otherwise=into)
    kept = _at(prices, above, "cache_write_1h_mtok", otherwise=written)
    heard = _at(prices, above, "input_audio_mtok", otherwise=into)
    spoken = _at(prices, above, "output_audio_mtok", otherwise=out)
    shown = _at(prices, above, "input_image_mtok", otherwise=into)
    drawn = _at(prices, above, "output_image_mtok", "output_video_mtok", otherwise=text)
    text_bound = max(into, read, written, kept)
    return Tier(
        above=above,
        input=picos(into),
        output=picos(out),
        cache_read=picos(read),
        cache_read_audio=picos(_at(prices, above, "cache_audio_read_mtok", otherwise=read)),
        cache_read_image=picos(_at(prices, above, "cache_image_read_mtok", otherwise=read)),
        cache_write=picos(written),
        cache_write_1h=picos(kept),
        input_audio=picos(heard),
        output_audio=picos(spoken),
        input_image=picos(shown),
        output_text=picos(text),
        output_image=picos(drawn),
        reasoning=picos(_at(prices, above, "output_reasoning_mtok", otherwise=out)),
        citation=picos(_at(prices, above, "output_citation_mtok")),
        text_bound=picos(text_bound),
        media_bound=picos(max(text_bound, heard, _at(prices, above, "input_image_mtok", "input_video_mtok"))),
        output_bound=picos(max(out, spoken, _at(prices, above, "output_reasoning_mtok", "output_citation_mtok"))),
    )
