"""Waiting for a limit that lets calls wait: how long until it is worth asking again, and who waits.

A thread sleeps where its call is judged. An event loop must not stand still: there the gate says how long (`WaitFor`),
and the one who awaits the call sleeps and has it judged again.
"""

import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar

from agent_fuse.accounting.call_request import PendingCall
from agent_fuse.errors import SentinelError
from agent_fuse.ledgers.base import Refusal
from agent_fuse.ledgers.waiting import in_event_loop
from agent_fuse.limits import Limit, demand
from agent_fuse.refusals import frees_at

BUSY_SECONDS = 0.05
"""How often to ask again while others hold what is left."""

_SHORTEST = 0.001


class WaitFor(SentinelError):
    """No trip: the call may be asked for again after `seconds`. Seen by nobody but the one who awaits the call."""

    seconds: float


class Waited:
    """How long one call has waited in all."""

    def __init__(self) -> None:
        self.seconds = 0.0


AWAITED: "ContextVar[Waited | None]" = ContextVar("agent_fuse_awaited", default=None)
"""Set where the call that is judged is awaited by someone who can wait for it."""


def pause(refusal: Refusal, limit: Limit, waited: Waited, now: float) -> float | None:
    """Seconds until the call may fit; None where it is to be refused now.

    What no time mends is refused at once, and so is what would take longer than the limit lets a call wait.
    """
    if limit.on_limit != "wait" or refusal.requested > refusal.amount:
        return None
    at = frees_at(refusal, limit, now)
    if refusal.busy:
        seconds = BUSY_SECONDS if at is None else min(BUSY_SECONDS, max(at - now, _SHORTEST))
    elif at is not None:
        seconds = max(at - now, _SHORTEST)
    else:
        return None
    return seconds if waited.seconds + seconds <= limit.max_wait else None


def wait(seconds: float, waited: Waited) -> bool:
    """Wait here, and say so; False where nobody can.

    Raises:
        WaitFor: an event loop runs here, and someone awaits the call.
    """
    if not in_event_loop():
        waited.seconds += seconds
        time.sleep(seconds)
        return True
    awaited = AWAITED.get()
    if awaited is None:
        return False
    awaited.seconds += seconds
    raise WaitFor("the call waits", seconds=seconds)


def have_waited(
    pending: PendingCall, answer: Refusal, waited: Waited, limits: Sequence[Limit], clock: Callable[[], float]
) -> bool:
    """Wait for what refused a call, where that helps; whether the call may be asked for again.

    Raises:
        WaitFor: someone else waits for it.
    """
    if answer.stop is not None:
        return False
    limit = pending.due.limits[pending.due.caps.index(answer.cap)]
    seconds = pause(answer, limit, waited, clock())
    if seconds is None or not wait(seconds, waited):
        return False
    request = pending.request  # it is admitted later than it was asked for, perhaps in another interval
    pending.due = demand(limits, request.caller, request.fact, now=clock())
    return True
