"""Pausing: a call that a limit does not admit asks a person, who tops up, stops or denies it; silence refuses it."""

from collections.abc import Callable
from functools import partial

from agent_fuse.account_names import plain
from agent_fuse.accounting.listeners import Listeners
from agent_fuse.accounting.paused_calls import PausedCall, change
from agent_fuse.accounting.waits import Asker, Waited, can_wait
from agent_fuse.ledgers.base import Ledger, Refusal
from agent_fuse.limits import Limit
from agent_fuse.refusals import whose
from agent_fuse.seams import GOES_ON, quietly

POLL_SECONDS = 0.25
"""How often a paused call looks for an answer, as long as few wait: with every look it asks its limits again."""

_LOOKS_A_SECOND = 80
"""How often all that wait in a ledger look, together: in one event loop they are judged one after the other."""


class Pauses:
    """Asks for one fuse's calls, in its ledger, where any process can answer."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float], tell: Listeners[[PausedCall]]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._tell = tell

    def until_asked_again(
        self, who: Callable[[], Asker], refusal: Refusal, limit: Limit, waited: Waited, most: float
    ) -> float | None:
        """Seconds until what waits is to be judged again; None where nobody can wait, said yes in time, or said no."""
        if not can_wait():
            return None
        now = self._clock()
        if waited.paused is None:
            waited.paused = one = _question(who(), refusal, limit, now, most)
            waited.withdraw = partial(self._withdraw, one.id)
            change(self._ledger, lambda those: those.update({one.id: one}), now)
            self._tell(one)
            return min(POLL_SECONDS, most)
        asked = waited.paused
        those = change(self._ledger, _nothing, now)
        waited.paused = those.get(asked.id, asked)
        seconds = max(POLL_SECONDS, len(those) / _LOOKS_A_SECOND)
        return min(seconds, asked.until - now) if now < asked.until and not waited.paused.denied else None

    def _withdraw(self, id: str) -> None:
        now = self._clock()
        quietly("withdrawing a question", GOES_ON, change, self._ledger, lambda those: _drop(those, id), now)


def _drop(those: dict[str, PausedCall], id: str) -> None:
    those.pop(id, None)


def _nothing(_: dict[str, PausedCall]) -> None:
    return None


def _question(who: Asker, refusal: Refusal, limit: Limit, now: float, most: float) -> PausedCall:
    return PausedCall(
        id=who.id,
        at=now,
        until=now + most,
        account=plain(refusal.cap.account),
        limit=whose(refusal, limit),
        meter=refusal.cap.meter,
        short=refusal.settled + refusal.held + refusal.requested - refusal.amount,
        requested=refusal.requested,
        session=who.caller.session.id,
        agent=who.caller.agent,
        model=who.model,
        tool=who.tool,
    )
