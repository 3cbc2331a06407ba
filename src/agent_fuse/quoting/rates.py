"""What a model charges, as integers: pico-dollars per token by bucket and tier, and the arithmetic of one call."""

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, fields
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Any, cast

from agent_fuse.calls import MAX_TOKENS, Usage, Usd, to_nanos
from agent_fuse.errors import ConfigurationError
from agent_fuse.mistakes import checked
from agent_fuse.quoting.families import CACHED_FROM, caches_unasked
from agent_fuse.quoting.names import bare

PICOS_PER_NANO = 1_000
"""Rates are pico-dollars (1e-12 USD): $1 per million tokens is 1,000,000 of them per token, $0.0125 is 12,500."""


class Origin(StrEnum):
    """Where rates come from."""

    OVERRIDE = "override"
    DATA = "data"
    FALLBACK = "fallback"
    FREE = "free"


@checked
@dataclass(frozen=True, slots=True)
class Price:
    """A user's own price of a model: USD per million tokens, `per_call` in USD. None: billed like the wider bucket.

    Raises:
        ConfigurationError: a figure is NaN, infinite, negative, not a number, or above 1,000,000 USD.
    """

    input: Usd
    output: Usd
    _: KW_ONLY
    cache_read: Usd | None = None
    cache_write: Usd | None = None
    input_audio: Usd | None = None
    output_audio: Usd | None = None
    per_call: Usd = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value: Usd | None = getattr(self, field.name)
            if value is None and field.name not in ("input", "output", "per_call"):
                continue
            try:
                to_nanos(value, f"Price.{field.name}")  # type: ignore[arg-type]
            except ValueError as error:
                raise ConfigurationError(str(error)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Pico-dollars per token, for calls with more than `above` input tokens (all their tokens, not just the excess)."""

    above: int = -1
    input: int
    output: int
    cache_read: int
    cache_read_audio: int
    cache_read_image: int
    cache_write: int
    cache_write_1h: int
    input_audio: int
    output_audio: int
    input_image: int
    output_text: int
    """What `output` is where an answer tells how much of it is images; else it is the dearer of the two."""
    output_image: int
    reasoning: int
    citation: int
    text_bound: int
    """Dearest of the buckets a text token of input can fall in, the one-hour cache write included."""
    media_bound: int
    """The same with audio and images."""
    output_bound: int
    """Dearest of the buckets a token of output can fall in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The rates of one model, resolved once; every figure an integer."""

    tiers: tuple[Tier, ...]
    """Ascending by `above`; the first holds from zero tokens on."""
    max_output_tokens: int
    """The most tokens one answer can have (`families.max_output` says where that is known from)."""
    context_window: int | None = None
    """Tokens; None where unknown."""
    per_call: int = 0
    """Pico-dollars for each call, besides its tokens."""
    per_character: int = 0
    """Pico-dollars for each character of a text to speak."""
    per_second: int = 0
    """Pico-dollars for each second of a recording."""
    per_page: int = 0
    """Pico-dollars for each page of a document."""
    per_web_search: int = 0
    per_preview_search: int = 0
    per_file_search: int = 0
    per_container: int = 0
    """Pico-dollars for each: fees of tools that run at the provider."""
    search_tokens: int = 0
    """Input tokens that each web search is billed as (`families.search_tokens`)."""
    tokens_free: bool = False
    """Where seconds are told they are all that is billed, whatever tokens are told beside them."""
    origin: Origin = Origin.DATA
    provider: str = ""
    """Provider and model as the price data names them, empty where it knows neither."""
    model: str = ""

    def cost(self, usage: Usage) -> int:
        """Nano-dollars for one call, rounded up. Never raises, never negative."""
        return self.bill(usage)[0]

    def bill(self, usage: Usage) -> tuple[int, int]:
        """Nano-dollars for one call, and what of them is fees: no tokens. Both rounded up, never raises.

        Buckets are inclusive, so parts are taken out of the whole before it is priced. Parts that claim more than the
        whole are cut to it, cached reads (the cheapest) first; figures that are no counts are zero.
        """
        given, made, read = usage.input_tokens, usage.output_tokens, usage.cache_read_tokens or 0
        counts = type(given) is int and type(made) is int and type(read) is int and _is_plain(usage)
        if counts and given is not None and made is not None and 0 <= read <= given <= MAX_TOKENS >= made >= 0:
            tier = self.tiers[0] if len(self.tiers) == 1 else self._tier(given)
            if tier.reasoning == tier.output or not usage.reasoning_tokens:
                picos = self.per_call + (given - read) * tier.input + read * tier.cache_read + made * tier.output
                return -(-picos // PICOS_PER_NANO), -(-self.per_call // PICOS_PER_NANO)
        picos, fees = self._units(usage), self._fees(usage)
        if not (self.tokens_free and usage.seconds):
            picos += self._tokens(usage)
        return -(-(picos + fees) // PICOS_PER_NANO), -(-fees // PICOS_PER_NANO)

    def _units(self, usage: Usage) -> int:
        timed = _count(usage.characters) * self.per_character + _count(usage.seconds) * self.per_second
        return timed + _count(usage.pages) * self.per_page

    def _tokens(self, usage: Usage) -> int:
        whole, out, read = map(_count, (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens))
        written, kept = _count(usage.cache_write_tokens), _count(usage.cache_write_1h_tokens)
        heard, shown = _count(usage.input_audio_tokens), _count(usage.input_image_tokens)
        spoken, drawn = _count(usage.output_audio_tokens), _count(usage.output_image_tokens)
        heard_again = min(_count(usage.cache_read_audio_tokens), read, heard)
        shown_again = min(_count(usage.cache_read_image_tokens), read - heard_again, shown)
        heard, shown = heard - heard_again, shown - shown_again
        thought = _count(usage.reasoning_tokens)
        if usage.input_tokens is None:
            whole = min(read + written + heard + shown, MAX_TOKENS)
        if usage.output_tokens is None:
            out = max(thought, spoken + drawn)
        if read + written + heard + shown > whole:
            written = min(written, whole)
            heard = min(heard, whole - written)
            shown = min(shown, whole - written - heard)
            read = min(read, whole - written - heard - shown)
            heard_again = min(heard_again, read)
            shown_again = min(shown_again, read - heard_again)
        if self.search_tokens and whole < (searched := self.searched(usage)):  # so they can't be among those told
            whole = min(whole + searched, MAX_TOKENS)
        spoken, kept = min(spoken, out), min(kept, written)
        drawn = min(drawn, out - spoken)
        tier = self._tier(whole)
        thought = min(thought, out - spoken - drawn) if tier.reasoning != tier.output else 0
        written_out = tier.output if usage.output_image_tokens is None else tier.output_text
        return (
            (whole - read - written - heard - shown) * tier.input
            + (read - heard_again - shown_again) * tier.cache_read
            + heard_again * tier.cache_read_audio
            + shown_again * tier.cache_read_image
            + (written - kept) * tier.cache_write
            + kept * tier.cache_write_1h
            + heard * tier.input_audio
            + shown * tier.input_image
            + (out - thought - spoken - drawn) * written_out
            + thought * tier.reasoning
            + spoken * tier.output_audio
            + drawn * tier.output_image
            + _count(usage.citation_tokens) * tier.citation
        )

    def of_size(self, input_tokens: int) -> "Rates":
        """The rates that hold for calls of so much input, whatever they add up to together."""
        return (
            self if len(self.tiers) == 1 else _replace(self, tiers=(self._tier(input_tokens),), per_call=self.per_call)
        )

    def searched(self, usage: Usage) -> int:
        """Input tokens that a call's web searches are billed as; 0 where they are those that its usage tells."""
        return _count(usage.web_searches) * self.search_tokens

    def fees(self, usage: Usage) -> int:
        """Nano-dollars of a call's cost that are no tokens: each call's charge, and tools run at the provider."""
        return -(-self._fees(usage) // PICOS_PER_NANO)

    def _fees(self, usage: Usage) -> int:
        return (
            self.per_call
            + _count(usage.web_searches) * self.per_web_search
            + _count(usage.preview_searches) * self.per_preview_search
            + _count(usage.file_searches) * self.per_file_search
            + _count(usage.containers) * self.per_container
        )

    def expected(self, input_tokens: int, output_tokens: int, *, cache_write: bool = False) -> int:
        """Nano-dollars for a call still to be made, nothing read from cache, and all written to it where it may be.

        That is with `cache_write`, and where the model's maker does so unasked: at OpenAI, from 1,024 tokens on.
        """
        tier = self._tier(input_tokens)
        rate = tier.input
        if tier.cache_write > rate and (cache_write or _is_cached_unasked(self.model, input_tokens)):
            rate = tier.cache_write
        return -(-(self.per_call + input_tokens * rate + output_tokens * tier.output) // PICOS_PER_NANO)

    def bound(self, input_tokens: int, output_tokens: int, *, media: bool = False) -> int:
        """Nano-dollars no call of at most these tokens can pass, whatever buckets they fall in.

        `media`: the input may hold audio or images.
        """
        reached = [tier for tier in self.tiers if tier.above < input_tokens]
        into = max(tier.media_bound if media else tier.text_bound for tier in reached)
        out = max(tier.output_bound for tier in reached)
        return -(-(self.per_call + input_tokens * into + output_tokens * out) // PICOS_PER_NANO)

    def _tier(self, input_tokens: int) -> Tier:
        for tier in reversed(self.tiers):
            if input_tokens > tier.above:
                return tier
        return self.tiers[0]


def _is_cached_unasked(model: str, input_tokens: int) -> bool:
    return input_tokens >= CACHED_FROM and caches_unasked(bare(model))


def flat(price: Price, *, origin: Origin, max_output_tokens: int, context_window: int | None = None) -> Rates:
    """Rates without tiers, from a price in USD."""
    into, out = picos(price.input), picos(price.output)

    def part(value: Usd | None, whole: int) -> int:
        return whole if value is None else picos(value)

    read, written = part(price.cache_read, into), part(price.cache_write, into)
    heard, spoken = part(price.input_audio, into), part(price.output_audio, out)
    tier = Tier(
        input=into,
        output=out,
        cache_read=read,
        cache_read_audio=read,
        cache_read_image=read,
        cache_write=written,
        cache_write_1h=written,
        input_audio=heard,
        output_audio=spoken,
        input_image=into,
        output_text=out,
        output_image=out,
        reasoning=out,
        citation=into,
        text_bound=max(into, read, written),
        media_bound=max(into, read, written, heard),
        output_bound=max(out, spoken),
    )
    return Rates(
        tiers=(tier,),
        per_call=picos(price.per_call, Decimal(10) ** 12),
        origin=origin,
        max_output_tokens=max_output_tokens,
        context_window=context_window,
    )


def picos(amount: Usd, scale: Decimal = Decimal(10) ** 6) -> int:
    """USD per million tokens to pico-dollars per token, rounded up (with `scale` 1e12: USD to pico-dollars)."""
    value = amount if isinstance(amount, Decimal) else Decimal(str(amount).strip().removeprefix("$"))
    return int((value * scale).to_integral_value(ROUND_CEILING))


def scaled(rates: Rates, factor: int) -> Rates:
    """The same rates, so many times as dear."""

    def times(tier: Tier) -> Tier:
        return Tier(
            above=tier.above,
            **{name: getattr(tier, name) * factor for name in Tier.__slots__ if name != "above"},
        )

    return _replace(rates, tiers=map(times, rates.tiers), per_call=rates.per_call * factor)


def _replace(rates: Rates, *, tiers: Iterable[Tier], per_call: int) -> Rates:
    return Rates(
        tiers=tuple(tiers),
        per_call=per_call,
        per_character=rates.per_character,
        per_second=rates.per_second,
        per_page=rates.per_page,
        per_web_search=rates.per_web_search,
        per_preview_search=rates.per_preview_search,
        per_file_search=rates.per_file_search,
        per_container=rates.per_container,
        search_tokens=rates.search_tokens,
        tokens_free=rates.tokens_free,
        max_output_tokens=rates.max_output_tokens,
        context_window=rates.context_window,
        origin=rates.origin,
        provider=rates.provider,
        model=rates.model,
    )


_rare = attrgetter(
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "characters",
    "seconds",
    "pages",
    "citation_tokens",
    "web_searches",
    "preview_searches",
    "file_searches",
    "containers",
)


def _is_plain(usage: Usage) -> bool:
    """Whether nothing but input, output and cached input is billed, as for most answers."""
    return usage.output_image_tokens is None and not any(_rare(usage))


def _count(value: object) -> int:
    if value is None:
        return 0
    if type(value) is int:
        return 0 if value < 0 else min(value, MAX_TOKENS)
    try:
        return min(max(int(cast("Any", value)), 0), MAX_TOKENS)
    except Exception:  # noqa: BLE001 - a figure of any type may come in, and a paid call must be booked
        return 0
