"""Clamping: where a limit does not admit a call, less output may be asked for, so that it still fits."""

from collections.abc import Callable
from typing import Any, cast

from agent_fuse.accounting.call_request import CLAMPED_FROM, CLAMPED_TO, PendingCall
from agent_fuse.accounting.fitting import output_within
from agent_fuse.ledgers.base import Refusal, Reservation
from agent_fuse.quotes import Quote, Quoter
from agent_fuse.quoting.families import hides_reasoning
from agent_fuse.quoting.names import bare
from agent_fuse.quoting.request_parameters import CAPS

_TRIES = 4
"""How many limits may each have less left than the one before."""
_NAMES = {"chat": "", "text_completion": "max_tokens", "responses": "max_output_tokens", "messages": "max_tokens"}
"""What each API calls the most output; chat's name depends on the model."""

Reserve = Callable[[Quote], Reservation | Refusal]


def clamp(
    pending: PendingCall,
    quoter: Quoter,
    short: Refusal,
    reserve: Reserve,
    *,
    floor: int,
    may: Callable[[Refusal], bool],
) -> Reservation | Refusal:
    """Ask for so little output that every limit admits the call; the last refusal where that is not to be.

    Args:
        floor: tokens that an answer may have at least.
        may: whether the limit behind a refusal wants that.
    """
    request, quote = pending.request, pending.quote
    body = request.body
    if quote is None or body is None or request.operation not in _NAMES or quote.fixed or quote.units is not None:
        return short
    least = floor + _thinking(body.get("thinking"))
    tokens = quote.output_tokens // quote.choices
    for _ in range(_TRIES):
        fits = output_within(quoter, quote, short) if may(short) else None
        if fits is None or (fits := min(fits // quote.choices, tokens - 1)) < least:
            break
        tokens = fits
        smaller = quoter.resized(quote, tokens * quote.choices)
        answer = reserve(smaller)
        if isinstance(answer, Refusal):
            short = answer
        else:
            asked = quote.output_tokens // quote.choices
            pending.quote = smaller
            pending.altered = pending.altered.and_also(
                dict.fromkeys(_names(request.operation, request.model, body), tokens),
                {CLAMPED_FROM: asked, CLAMPED_TO: tokens},
                f"clamped from {asked} to {tokens} tokens",
            )
            return answer
    return short


def _thinking(asked: object) -> int:
    """Tokens that Anthropic's models think with; the most output must be more."""
    told: object = cast("dict[str, Any]", asked).get("budget_tokens") if isinstance(asked, dict) else None
    return told if isinstance(told, int) else 0


def _names(operation: str, model: str, body: Any) -> list[str]:
    """The parameters that say how much output is wanted: those that are there, else the API's own."""
    there = [name for name in CAPS if isinstance(body.get(name), int)]
    own = _NAMES[operation] or ("max_completion_tokens" if hides_reasoning(bare(model)) else "max_tokens")
    return there or [own]
