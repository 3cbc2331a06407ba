"""Waiting for a limit that lets calls wait: how long until it is worth asking again, and who waits.

A thread sleeps where its call is judged. An event loop must not stand still: there the gate says how long (`WaitFor`),
and the one who awaits the call sleeps and has it judged again.
"""

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_fuse.errors import SentinelError
from agent_fuse.ledgers.base import LAST, Busy, Meter, Place, Refusal
from agent_fuse.ledgers.waiting import in_event_loop
from agent_fuse.limits import Caller, Limit
from agent_fuse.refusals import frees_at

if TYPE_CHECKING:
    from agent_fuse.accounting.call_request import Action
    from agent_fuse.accounting.line import PlaceInLine
    from agent_fuse.accounting.paused_calls import PausedCall

BUSY_SECONDS = 0.05
"""How often to ask again while others hold what is left."""

_LONGEST = 0.5
"""How often to ask again, and to say that the call still waits, while a window's time passes."""
_SHORTEST = 0.001


class WaitFor(SentinelError):
    """No trip: the call may be asked for again after `seconds`. Seen by nobody but the one who awaits the call."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Asker:
    """What waits, for the person who is asked about it."""

    id: str
    caller: Caller
    model: str = ""
    tool: str = ""
    """The tool that is to run; empty for a model call."""


class Waited:
    """How long one call has waited, and for what."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """In all."""
        self.busy_seconds = 0.0
        """Of these, for open calls where its limit does not let it wait longer."""
        self.paused: PausedCall | None = None
        """The question that it asked of a person, and what came of it."""
        self.withdraw: Callable[[], None] | None = None
        """Withdraws the question, where one was asked."""
        self.in_loop = False
        """Its limit would have had it wait, where an event loop runs and nobody awaits it."""
        self.standing: PlaceInLine | None = None
        """In line, once it waits for room."""
        self.leave: Callable[[], None] | None = None
        """Leaves the line, where it stands in it."""
        self.action: Action | None = None
        """The tool action that it is: its loop rule has been asked, and is not asked again."""
        self.unanswered: Callable[[], bool] | None = None
        """Whether the ledger is still at what this call asked of it, where it did not answer in time."""
        self.give_up_at = 0.0
        """When it waits for the ledger no longer (time.monotonic); 0 while the ledger answers."""

    @property
    def place(self) -> Place:
        """In line; behind everyone as long as it has not waited."""
        return LAST if self.standing is None else self.standing.place

    def await_ledger(self, busy: Busy, most: float) -> None:
        """The ledger did not answer here in time, and the one who awaits the call can wait for it.

        Raises:
            WaitFor: it has not waited for `most` seconds yet.
        """
        now = time.monotonic()
        self.unanswered = busy.goes_on
        self.give_up_at = self.give_up_at or now + most
        if now < self.give_up_at:
            raise WaitFor("the ledger is waited for", seconds=BUSY_SECONDS) from None

    def ask_no_more(self) -> None:
        """Nothing is asked of a ledger that is still at the question before.

        Raises:
            WaitFor: it is, and may yet answer in time.
        """
        if self.unanswered is not None and self.unanswered() and time.monotonic() < self.give_up_at:
            raise WaitFor("the ledger is waited for", seconds=BUSY_SECONDS)
        self.unanswered = None

    def outcome(self, instead: str) -> tuple[str, dict[str, object]]:
        """Where it is refused: words to add to the refusal, and its reason. `instead`: how it can wait in a loop."""
        if self.paused is not None:
            words, reason = self.paused.outcome
            return words, {"reason": reason}
        return (f"; an event loop runs here, where it cannot wait: {instead}" if self.in_loop else ""), {}

    def end(self) -> None:
        """It waits no longer."""
        leave, self.leave = self.leave, None
        if leave is not None:
            leave()
        withdraw, self.withdraw = self.withdraw, None
        if withdraw is not None:
            withdraw()


AWAITED: "ContextVar[Waited | None]" = ContextVar("agent_fuse_awaited", default=None)
"""Set where the call that is judged is awaited by someone who can wait for it."""


def resumed() -> "Action | None":
    """The tool action that has waited here and is judged on; None where another one begins."""
    waited = AWAITED.get()
    return waited.action if waited is not None else None


def until_it_fits(refusal: Refusal, limit: Limit, waited: Waited, now: float) -> float | None:
    """Seconds until a call under a limit that lets it wait may fit; None where it is not to wait.

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
    return min(seconds, _LONGEST) if waited.seconds + seconds <= limit.max_wait else None


def busy(refusal: Refusal, limit: Limit, waited: Waited, most: float) -> float | None:
    """Seconds until it is worth asking again where open calls hold what is left; None where it is not to wait (longer).

    Where a limit counts calls, the open ones use it up for good. One that lets calls wait says for how long itself.
    """
    if limit.on_limit == "wait" or not refusal.busy or refusal.cap.meter in (Meter.CALLS, Meter.TOOL_CALLS):
        return None
    if waited.busy_seconds + BUSY_SECONDS > most:
        return None
    waited.busy_seconds += BUSY_SECONDS
    return BUSY_SECONDS


def can_wait() -> bool:
    """Whether a call that is judged here can wait at all."""
    return not in_event_loop() or AWAITED.get() is not None


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
