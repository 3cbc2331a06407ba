"""Warnings before the stop: a limit passes a share of its cap, a tool is about to be stuck. Once each."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from agent_fuse.account_names import key_of, rolling
from agent_fuse.accounting.call_request import Event
from agent_fuse.accounting.day_sum import TIMES, DaySum
from agent_fuse.accounting.listeners import Listeners
from agent_fuse.accounting.reentrancy import Reentrancy
from agent_fuse.alert import Alert, AlertKind
from agent_fuse.calls import show_usd, to_usd
from agent_fuse.errors import SentinelError
from agent_fuse.foreign_text import shell_word
from agent_fuse.ledgers.base import Balance, Cap, Ledger, LedgerError, Meter
from agent_fuse.ledgers.controls import as_raised
from agent_fuse.limits import Caller, Demand, Limit, counted
from agent_fuse.quoting.recent import Recent
from agent_fuse.settings import Settings

if TYPE_CHECKING:
    from agent_fuse.accounting.paused_calls import PausedCall

log = logging.getLogger("agent_fuse")

_REMEMBERED = 10_000
_STEP = 0.05
"""Share of a cap that is passed after which to look again whether it was raised."""
_REFUSED = "Calls beyond the limit will be refused; finish what matters most, and say what is left undone."
_OBSERVED = "Calls beyond the limit would be refused, but mode='observe' lets them go."


class Alerts:
    """Watches the balances that reserving returns, and the loop rule. Never raises; costs a comparison per cap.

    A share is announced once per limit and key, in all processes that share the ledger: each limit's mark is a note
    there, asked only when this process has not yet seen the share passed. The callback runs after the fuse's own work,
    in the thread of the call, so that it may make calls itself; what it raises is logged.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        reentrancy: Reentrancy,
        clock: Callable[[], float],
    ) -> None:
        self._shares = settings.warn_at
        self._ahead = _OBSERVED if settings.observes else _REFUSED
        self._callback = settings.on_warning
        self.on_alert: Listeners[[Alert]] = Listeners("counting a warning")
        """Told of every alert, for metrics."""
        self._ledger = ledger
        self._reentrancy = reentrancy
        self._clock = clock
        self._tells = settings.tell_model
        self.to_tell: Recent[str, bool] = Recent(_REMEMBERED)
        """Sessions whose model is to be told what is left."""
        self._next: OrderedDict[str, float] = OrderedDict()
        """Figure at which a cap is to be looked at again, by its mark."""
        self._day = DaySum(settings.all_limits(), ledger, clock)

    def reserved(self, caller: Caller, due: Demand, balances: Mapping[str, Balance]) -> None:
        """A call took its hold; `balances` are the accounts after it."""
        today = self._day.passed(balances)
        if today is not None and self._day.budget is not None:
            self._send(_sum_alert(caller, self._day.budget, today))
        if not self._shares:
            return
        for cap, limit in zip(due.caps, due.limits, strict=True):
            balance = balances.get(cap.account)
            if balance is None:
                continue
            spent, held = balance.used(cap.meter, self._clock())
            first = self._shares[0] * cap.amount
            if spent + held < first or not cap.amount or cap.meter is Meter.CONCURRENT:
                continue
            if spent + held >= self._next.get(self._mark(cap, cap.amount), first):
                self._passed(caller, cap, limit, spent, held)

    def heard(self, event: Event) -> None:
        """A listener of the fuse: hands on that a loop is near."""
        if event.nudge:
            entry = event.entry
            kind = AlertKind.LOOP
            self._send(Alert(kind=kind, message=event.nudge, session=entry.session, agent=entry.agent, tool=entry.tool))

    def paused(self, call: "PausedCall") -> None:
        """A call waits for a person: whoever is told may answer at once, and so is told in a thread of his own."""
        alert = _paused_alert(call)
        log.warning("%s", alert.message, extra={"agent_fuse_alert": alert})
        self.on_alert(alert)
        if self._callback is not None:
            threading.Thread(
                target=_deliver, args=(self._callback, alert), daemon=True, name="agent-fuse-pause"
            ).start()

    def _mark(self, cap: Cap, amount: int) -> str:
        """What is announced once: a limit of so much, and key; in a rolling window again after each of its length."""
        window = rolling(cap.account)
        again = f"@{int(self._clock() // window.seconds)}" if window is not None else ""
        return f"warned/{cap.meter}/{amount}/{cap.account}{again}"

    def _passed(self, caller: Caller, cap: Cap, limit: Limit, spent: int, held: int) -> None:
        used, amount = spent + held, as_raised(self._ledger, cap, self._clock())
        passed = [share for share in self._shares if used >= share * amount]
        ahead = [share for share in self._shares if used < share * amount]
        if len(self._next) >= _REMEMBERED:
            self._next.popitem(last=False)
        beyond = amount + 1 if used <= amount else used + _STEP * amount  # what it admits there, it was raised for
        self._next[self._mark(cap, cap.amount)] = ahead[0] * amount if ahead else beyond
        if not passed:
            return

        def mark(note: bytes | None) -> tuple[bytes | None, float]:
            before = float(note) if note else 0.0
            return repr(max(before, passed[-1])).encode(), before

        try:
            told = self._ledger.update_note(self._mark(cap, amount), mark, now=self._clock())
        except LedgerError as failed:
            log.warning("%s; a warning may come twice", failed)
            told = 0.0
        for share in passed:
            if share > told:
                self._send(
                    _limit_alert(caller, replace(cap, amount=amount), limit, (spent, held), share, ahead=self._ahead)
                )
                if self._tells:
                    self.to_tell.put(caller.session.id, True)

    def _send(self, alert: Alert) -> None:
        log.warning("%s", alert.message, extra={"agent_fuse_alert": alert})
        self.on_alert(alert)
        callback = self._callback
        if callback is None:
            return

        self._reentrancy.afterwards(lambda: _deliver(callback, alert))


def _deliver(callback: Callable[[Alert], None], alert: Alert) -> None:
    try:
        callback(alert)
    except (Exception, SentinelError):  # it may call a model itself, which a limit may refuse
        log.exception("on_warning failed")


def _paused_alert(call: "PausedCall") -> Alert:
    short = counted(call.meter, call.short)
    seconds = f"{call.until - call.at:,.0f} seconds"
    return Alert(
        kind=AlertKind.PAUSED,
        message=f"{call.what} waits for an answer, for {seconds} at most: {short} more than the limit of {call.limit} "
        f"admits; agent-fuse approve {shell_word(call.account)}, or deny",
        session=call.session,
        agent=call.agent,
        limit=call.limit,
        meter=str(call.meter),
    )


def _sum_alert(caller: Caller, budget: Limit, today: int) -> Alert:
    return Alert(
        kind=AlertKind.TOTAL,
        message=(
            f"all sessions together have spent {show_usd(today)} today (UTC), more than {TIMES} times the budget of "
            f"{budget}, which caps each session alone; cap their sum with total_budget=… (AGENTFUSE_TOTAL_BUDGET)"
        ),
        session=caller.session.id,
        agent=caller.agent,
        rule=str(budget),
        meter=str(Meter.USD),
        spent=to_usd(today),
        budget_limit=to_usd(budget.cap),
    )


def _limit_alert(caller: Caller, cap: Cap, limit: Limit, used: tuple[int, int], share: float, *, ahead: str) -> Alert:
    settled, held = used
    money = cap.meter is Meter.USD

    def edge(amount: int) -> Decimal:
        return to_usd(amount) if money else Decimal(amount)

    def show(amount: int) -> str:
        return counted(cap.meter, amount)

    _, value = key_of(cap.account)
    words = f"{limit} {value!r}" if value else str(limit)
    words += f" topped up by {show(cap.amount - limit.cap)}" if cap.amount > limit.cap else ""
    open_calls = f" and {show(held)} held by open calls" if held else ""
    message = (
        f"{share:.0%} of the limit of {words} is used: {show(settled)} {'spent' if money else 'used'}{open_calls}. "
        f"{ahead}"
    )
    return Alert(
        kind=AlertKind.LIMIT,
        message=message,
        session=caller.session.id,
        agent=caller.agent,
        limit=words,
        rule=str(limit),
        meter=cap.meter.value,
        share=share,
        spent=edge(settled),
        held=edge(held),
        budget_limit=edge(cap.amount),
    )
