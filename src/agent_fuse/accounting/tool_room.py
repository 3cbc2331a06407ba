"""Room for tool actions: those that their limits do not admit wait where that helps, else they are refused."""

from collections.abc import Callable

from agent_fuse.accounting.booking import Accounting
from agent_fuse.accounting.call_request import Action
from agent_fuse.accounting.patience import Patience
from agent_fuse.accounting.waits import AWAITED, Asker, Waited
from agent_fuse.errors import SentinelBudgetExceeded
from agent_fuse.foreign_text import quoted
from agent_fuse.ledgers.base import Meter, Refusal, Reservation
from agent_fuse.limits import Caller, Demand
from agent_fuse.refusals import explain, of_stop
from agent_fuse.seams import refusal

_IN_LOOP = "await it (@loop_guard, async with), or run it in a thread"


class ToolRoom:
    """Asks again for tool actions of one fuse. In an event loop those that nobody awaits are refused at once."""

    def __init__(self, accounting: Accounting, patience: Patience) -> None:
        self._accounting = accounting
        self._patience = patience

    def take(
        self,
        action: Action,
        answer: Reservation | Refusal | None,
        due: Callable[[Caller, str], Demand],
        again: Callable[[], Reservation | Refusal | None],
    ) -> None:
        """Take the room that the ledger gave (None where it was asked for none), or wait for it.

        Args:
            due: what a caller's tool is asked for now; a wait may end in another interval.
            again: asks the ledger once more.

        Raises:
            SentinelBudgetExceeded: a limit does not admit it. WaitFor: someone else waits for it.
        """
        if isinstance(answer, Refusal):
            awaited = AWAITED.get()
            waited = awaited or Waited()
            waited.action = action
            try:
                while isinstance(answer, Refusal):
                    self._wait(action, answer, waited)
                    action.due = due(action.caller, action.entry.tool)
                    answer = again()
            finally:
                if awaited is None:
                    waited.end()
        if answer is None or action.held:
            return
        if action.priced or any(cap.meter is Meter.TOOL_CALLS for cap in action.due.caps):
            self._accounting.on_reserved(action.caller, action.due, answer.balances)

    def _wait(self, action: Action, short: Refusal, waited: Waited) -> None:
        def who() -> Asker:
            return Asker(action.entry.id, action.caller, tool=action.entry.tool)

        try:
            goes_on = self._patience.has_waited(short, action.due, waited, who)
        finally:
            action.place = waited.place
        if not goes_on:
            if not short.ahead:
                raise refusal(lambda: self._exceeded(action, short, waited))
            action.place = None  # it waits no longer, neither for others who do

    def _exceeded(self, action: Action, short: Refusal, waited: Waited) -> SentinelBudgetExceeded:
        what, session = f"tool {quoted(action.entry.tool)}", action.caller.session.id
        if short.stop is not None:
            return of_stop(short, short.stop, what=what, model="", session=session)
        limit = action.due.limits[action.due.caps.index(short.cap)]
        message, facts = explain(short, limit, what, self._accounting.clock(), alone=())
        more, reason = waited.outcome(_IN_LOOP)
        return SentinelBudgetExceeded(message + more, model="", session=session, **{**facts, **reason})
