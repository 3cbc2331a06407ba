"""Calls, usage and money: the values that travel between modules, and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal, InvalidOperation
from enum import StrEnum
from operator import attrgetter
from typing import Any, cast

from agent_fuse.foreign_text import unbroken
from agent_fuse.mistakes import ConfigurationError, checked

NANOS_PER_USD = 1_000_000_000
"""Nano-dollars in one US dollar; all money inside AgentFuse is integer nano-dollars."""

MAX_NANOS = 10**15
"""Largest amount taken at the edge: one million US dollars. Anything above is a mistake, not a budget."""

MAX_TOKENS = 10**10
"""Largest token figure believed; a span that claims more is broken."""

Usd = float | int | str | Decimal
"""What a person may write for an amount of US dollars."""


def to_nanos(amount: Usd, what: str = "amount") -> int:
    """US dollars to integer nano-dollars, rounded up, floats read as they are printed (0.1 is 0.1).

    Raises:
        ValueError: the figure is NaN, infinite, negative, not a number, or above 1,000,000 USD.
    """
    if isinstance(amount, bool):
        raise ValueError(f"{what} is {amount!r}, which is not an amount of USD; write a number such as 5.00")
    try:
        value = amount if isinstance(amount, Decimal) else Decimal(str(amount).strip().removeprefix("$"))
    except InvalidOperation:
        raise ValueError(f"{what} is {amount!r}, which is not an amount of USD; write a number such as 5.00") from None
    if not value.is_finite() or value < 0:
        raise ValueError(f"{what} is {amount!r}; it must be a finite amount of USD, 0 or more")
    nanos = int((value * NANOS_PER_USD).to_integral_value(ROUND_CEILING)) if value < MAX_NANOS else MAX_NANOS + 1
    if nanos > MAX_NANOS:
        raise ValueError(f"{what} is {amount!r}; the largest amount taken is 1,000,000 USD")
    return nanos


def to_usd(nanos: int) -> Decimal:
    """Integer nano-dollars to an exact Decimal of US dollars."""
    return Decimal(nanos).scaleb(-9).normalize() + Decimal(0)


def show_usd(nanos: int) -> str:
    """An amount for a person to read: cents, and more digits only where they matter."""
    usd = to_usd(nanos)
    cents = usd.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    return f"${cents:,}" if cents == usd else f"${usd:,f}"


@checked
@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens one call used, in inclusive buckets; None is unknown, 0 is zero.

    `input_tokens` includes cached, cache-written, audio and image input, `output_tokens` reasoning, audio and images
    (OpenTelemetry GenAI semantic conventions, `gen_ai.usage.*`).
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_read_audio_tokens: int | None = None
    """Of those read from the cache, the ones that are audio, which are among the input's audio too; images likewise."""
    cache_read_image_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    """Of the cache-written ones, those kept for an hour, which Anthropic bills dearer."""
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    output_image_tokens: int | None = None
    characters: int | None = None
    """Of a text that is spoken, where that is what is billed."""
    seconds: int | None = None
    """Of a recording, where that is what is billed."""
    pages: int | None = None
    """Of a document that was read, where that is what is billed."""
    citation_tokens: int | None = None
    """Of what was cited (Perplexity), outside input and output."""
    web_searches: int | None = None
    preview_searches: int | None = None
    """Web searches by OpenAI's preview tool, which has a fee of its own; not among `web_searches`."""
    file_searches: int | None = None
    containers: int | None = None
    """Containers in which code ran at the provider, each as many as the gigabytes of its memory."""
    told_cost: int | None = None
    """Nano-dollars that the provider's answer says all this cost, where that is believed."""
    parts: "tuple[tuple[str, Usage], ...]" = ()
    """What other models used for this answer, besides all of the above: each by name, billed at its own rates."""
    served_by: str = ""
    """The model that used all of the above, where it took over from the one that was asked for."""

    def __post_init__(self) -> None:
        for figure in _figures(self):
            if figure is not None and (type(figure) is not int or figure < 0):
                name = next(one for one, value in zip(FIGURES, _figures(self), strict=True) if value is figure)
                raise ConfigurationError(f"Usage {name} is {figure!r}; it must be a whole number of tokens, or None")

    @property
    def known(self) -> bool:
        """Whether there is any figure to bill by."""
        return not (
            self.input_tokens is None and self.output_tokens is None and self.seconds is None and self.pages is None
        )

    @property
    def total_tokens(self) -> int:
        """Input plus output tokens, those of `parts` too, unknown counted as zero."""
        own = (self.input_tokens or 0) + (self.output_tokens or 0)
        return own + sum(part.total_tokens for _, part in self.parts) if self.parts else own


FIGURES = tuple(one.name for one in fields(Usage) if one.name not in {"parts", "served_by"})
"""The names of all that is counted."""
_figures = attrgetter(*FIGURES)


def usage_of(buckets: Mapping[str, int | None]) -> Usage:
    """A Usage of figures known to be good, unchecked: those left out are the class's own defaults.

    Every answer is read into one, and setting a frozen class's fields one by one takes longer than the reading.
    """
    usage = object.__new__(Usage)
    usage.__dict__.update(buckets)
    return usage


def fields_of(holder: Any) -> Callable[[str], Any]:
    """Looks up what an answer, or a part of one, holds under a name; None where it holds nothing.

    A pydantic model is not asked for what it lacks: its own look-up of that is slow.
    """
    kind = type(cast("object", holder))
    if kind is dict:
        return cast("dict[str, Any]", holder).get
    if hasattr(kind, "__pydantic_fields__"):
        extra: dict[str, Any] | None = holder.__pydantic_extra__
        told: dict[str, Any] = {**extra, **holder.__dict__} if extra else holder.__dict__
        return told.get
    if isinstance(holder, Mapping):
        return cast("Mapping[str, Any]", holder).get
    return lambda name: getattr(holder, name, None)


def count(value: object) -> int | None:
    """A token figure if it is one: a whole number from 0 to MAX_TOKENS; else None, unknown."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return int(value) if 0 <= value <= MAX_TOKENS else None
    if isinstance(value, float) and 0 <= value <= MAX_TOKENS and value.is_integer():
        return int(value)
    return None


class Status(StrEnum):
    """How one call stands in the journal."""

    SETTLED = "settled"
    """Booked by the usage that the provider reported."""
    ESTIMATED = "estimated"
    """Booked by quote or by counting, since no usage came; a real figure may still correct it."""
    PRESUMED = "presumed"
    """Its owner died or let it expire: booked at the quote, a real figure may still correct it."""
    REFUSED = "refused"
    """Stopped before it left; its figures are the quote that was refused."""
    WOULD_REFUSE = "would_refuse"
    """Let go in observe mode, though it would have been refused; its figures are the quote. The call has a line too."""

    @property
    def is_booked(self) -> bool:
        """Whether its figures are on the accounts."""
        return self not in NOT_BOOKED


NOT_BOOKED = frozenset({Status.REFUSED, Status.WOULD_REFUSE})
"""Lines that tell of a refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedBy:
    """What refused a call: the limit as it stood just then, and what to do about it.

    Amounts are nano-dollars for the meter `usd`, else counts. All but `advice` is empty where it was no limit.
    """

    limit: str = ""
    """The limit in words: `$5.00 per user.id`."""
    per: str = ""
    """Its key: `session`, `agent`, `all`, or an attribute's name."""
    value: str = ""
    """Whose account of that key it was: `ann`; empty for `all`."""
    meter: str = ""
    cap: int = 0
    spent: int = 0
    held: int = 0
    """By calls that were open."""
    requested: int = 0
    """By the refused call."""
    advice: str = ""
    """What to do, in words that fit the limit."""


RING_FENCE = "ring_fence"
"""`Entry.operation` of a hold that only keeps a place for a moment: nobody's spending, whoever dies."""

WOULD = "would "
"""Begins `Entry.saved_by` of what was only observed."""

PROVIDER = "provider"
"""`Entry.source` of a cost that is the provider's own figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the journal: a call that was booked or refused. No prompt or completion text."""

    id: str
    at: float
    """Start of the call, seconds, UTC epoch."""
    status: Status
    session: str = ""
    agent: str = ""
    user_id: str = ""
    """Whose call it was, where its session, its context or a limit per `user.id` told; empty by older versions."""
    provider: str = ""
    model: str = ""
    operation: str = ""
    """`gen_ai.operation.name`: chat, text_completion, embeddings, generate_content, execute_tool, ..."""
    tool: str = ""
    """Tool name, for operation execute_tool."""
    cost: int = 0
    """Nano-dollars."""
    fee: int = 0
    """Of `cost`, what is no tokens: searches, containers, a charge for each call."""
    source: str = ""
    """Whose figure `cost` is: empty by our prices, `provider` where the provider's answer told it in USD."""
    computed: int | None = None
    """Nano-dollars that our prices come to, where `cost` is the provider's own figure."""
    saved: int | None = None
    """Nano-dollars that what was altered saved, or, in observe mode, would have; None where nothing was altered."""
    saved_by: str = ""
    """What was altered: `clamp`, `downgrade`, or both; after `would `, what was only observed."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    reason: str = ""
    """Why it was refused, or how it was estimated: one short word group."""
    response_id: str = ""
    trace_id: str = ""
    span_id: str = ""
    refused_by: RefusedBy | None = None
    """Of a refused call; None where an older version wrote the line."""


_TOLD = ("session", "agent", "user_id", "provider", "model", "operation", "tool", "reason", "response_id")
"""Texts of a line that models, spans and answers tell."""

told_texts = attrgetter(*_TOLD)


def in_unbroken_texts(entry: Entry) -> Entry:
    """The line as the books can keep it, whatever its texts hold."""
    found: Any = {name: unbroken(text) for name, text in zip(_TOLD, told_texts(entry), strict=True)}
    return replace(entry, **found)
