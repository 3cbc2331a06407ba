"""Savings: what asking for less output, or for a cheaper model, saved; in observe mode what it would have saved."""

from collections.abc import Callable
from dataclasses import replace

from agent_fuse.accounting.call_request import CLAMPED_FROM, CLAMPED_TO, DOWNGRADED_FROM, CallRequest, PendingCall
from agent_fuse.calls import WOULD, Usage
from agent_fuse.quoting.rates import Rates


def savings(pending: PendingCall, usage: Usage, rates: Callable[[CallRequest], Rates]) -> tuple[int, str] | None:
    """Nano-dollars, and by what was altered; None where nothing was, nor would have been.

    Both sides are the same answer at the rates of `rates`, which a call's model decides. A clamp is thought to have
    saved the rest of what was asked for where the answer used up all that it was allowed, which is the most that it can
    have saved, and nothing where it did not.
    """
    observed = bool(pending.foreseen.marks)
    altered = pending.foreseen if observed else pending.altered
    ways = [name for name, mark in (("downgrade", DOWNGRADED_FROM), ("clamp", CLAMPED_TO)) if mark in altered.marks]
    if not ways:
        return None
    made = rates(pending.request).bill(usage)[0]
    model = altered.fields.get("model") if observed else altered.marks.get(DOWNGRADED_FROM)
    tokens = _output(pending, usage.output_tokens, altered.marks.get(CLAMPED_FROM), altered.marks.get(CLAMPED_TO))
    other = replace(pending.request, model=str(model or pending.request.model))
    instead = rates(other).bill(replace(usage, output_tokens=tokens))[0]
    saved = made - instead if observed else instead - made
    return max(saved, 0), (WOULD if observed else "") + " and ".join(ways)


def _output(pending: PendingCall, made: int | None, asked: object, allowed: object) -> int | None:
    """Output tokens of the answer as it would have been with the other one of the two caps."""
    if made is None or not isinstance(asked, int) or not isinstance(allowed, int):
        return made
    choices = pending.quote.choices if pending.quote is not None else 1
    if pending.foreseen.marks:
        return min(made, allowed * choices)
    return max(asked * choices, made) if made >= allowed * choices else made
