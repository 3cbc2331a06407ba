"""A call that outgrew its hold: the hold is enlarged as long as every limit admits that, else the call is cut off."""

from dataclasses import replace
from functools import partial

from agent_fuse.accounting.admission import Admission
from agent_fuse.accounting.booking import Accounting
from agent_fuse.accounting.call_request import Event, PendingCall
from agent_fuse.accounting.fitting import output_within
from agent_fuse.calls import Status
from agent_fuse.errors import SentinelSystemError
from agent_fuse.ledgers.base import Meter, Refusal
from agent_fuse.refusals import refused_by
from agent_fuse.seams import refusal

_GROWS = frozenset({Meter.USD, Meter.TOKENS, Meter.OUTPUT_TOKENS})
"""Meters on which a call that goes on takes more."""
_TRIES = 4
"""How many limits may each have less left than the one before."""


def can_be(pending: PendingCall) -> bool:
    """Whether a call can come to take more than it holds, under a limit that this matters to."""
    quote = pending.quote
    metered = pending.held and quote is not None and quote.units is None and not quote.fixed
    return metered and any(cap.meter in _GROWS for cap in pending.due.caps)


def hold_more_input(admission: Admission, accounting: Accounting, pending: PendingCall, tokens: int) -> bool:
    """Let a call that is about to be sent hold more input, and say whether every limit admits that."""
    quote = pending.quote
    if quote is None or not pending.held:
        return False
    longer = accounting.quoter.with_more_input(quote, tokens)
    if isinstance(admission.reserve(pending, longer, pending.due.caps), Refusal):
        return False
    pending.quote = longer
    return True


def enlarge(admission: Admission, accounting: Accounting, pending: PendingCall, came: int, spare: int) -> int:
    """Let the call hold what came of it, and some to spare; the output tokens that it then holds.

    A ledger that cannot answer cuts nothing off: the call was let go, and what comes of it is booked.

    Raises:
        SentinelBudgetExceeded: a limit does not admit what came.
    """
    wanted = came + spare
    if pending.quote is None:
        return wanted
    caps = tuple(cap for cap in pending.due.caps if cap.meter in _GROWS)
    answer: Refusal | None = None
    for _ in range(_TRIES):
        larger = accounting.quoter.resized(pending.quote, wanted)
        try:
            found = admission.reserve(pending, larger, caps)
        except SentinelSystemError:
            return wanted
        if not isinstance(found, Refusal):
            pending.quote = larger
            accounting.on_reserved(pending.request.caller, pending.due, found.balances)
            return wanted
        answer = found
        fits = None if found.stop is not None else output_within(accounting.quoter, larger, found)
        if fits is None or wanted <= came:
            break
        wanted = max(min(fits, wanted - 1), came)
    if answer is None:
        return wanted
    trip = refusal(partial(admission.exceeded, pending, answer, how="cut off"))
    quote = pending.quote
    if accounting.observes:
        pending.quote = accounting.quoter.resized(quote, came + spare)
        admission.lets_go(pending, trip)
        return came + spare
    pending.cut = True
    trip.__dict__["cut_off"] = True
    line = accounting.entry(pending, Status.REFUSED, (quote.cost, quote.fee), quote.usage, reason=trip.reason)
    accounting.tell(Event(replace(line, refused_by=refused_by(trip)), pending.due, trip))
    raise trip
