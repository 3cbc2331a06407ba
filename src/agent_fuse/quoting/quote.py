"""One quote: what a call is expected, or at most, to use and to cost, and how that is known."""

from dataclasses import dataclass
from enum import StrEnum

from agent_fuse.calls import Usage, usage_of
from agent_fuse.quoting.rates import Rates


class Source(StrEnum):
    """Where a quote's figure comes from."""

    BODY = "body"
    """The request's own body: counted, or its max_tokens."""
    PROMPT = "prompt"
    """The span's prompt attributes, or its max_tokens."""
    GIVEN = "given"
    """The caller said so."""
    LEARNED = "learned"
    """The calls of this session before it."""
    DEFAULT = "default"
    BOUND = "bound"
    """The most it can be (strict)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What one call is expected to use and to cost; with `is_upper_bound`, what it can cost at most."""

    input_tokens: int
    output_tokens: int
    cost: int
    """Nano-dollars, rounded up; nothing assumed to be read from the cache."""
    rates: Rates
    fee: int = 0
    """Of `cost`, what is no tokens."""
    input_source: Source
    output_source: Source
    is_upper_bound: bool = False
    """No real call can use or cost more, by what is known of the model."""
    model: str = ""
    """As asked for."""
    choices: int = 1
    """Answers asked for (`n`, `best_of`, several prompts)."""
    counted: int | None = None
    """Input as counted, before what was learned corrected it; None where the call teaches nothing about counting."""
    fixed: bool = False
    """The request alone tells the price (characters, seconds, images): once it is served, this is the bill."""
    exact: bool = False
    """The model's own vocabulary counted the text."""
    provisional: bool = False
    """Its text was counted by bytes, a bound, since its vocabulary is still being loaded; a later quote is exact."""
    units: Usage | None = None
    """What is billed beside tokens: characters, seconds."""

    @property
    def usage(self) -> Usage:
        """Its tokens as usage."""
        if self.units is not None:
            return self.units
        return usage_of({"input_tokens": self.input_tokens, "output_tokens": self.output_tokens})
