"""Admission: a call goes when every limit admits its quote; where one does not, it waits, pauses, or is refused."""

from collections.abc import Callable
from functools import partial
from typing import Any

from agent_fuse.account_names import is_nobodys
from agent_fuse.accounting.booking import Accounting
from agent_fuse.accounting.call_request import AS_ASKED, CallRequest, PendingCall, Stage
from agent_fuse.accounting.patience import Patience
from agent_fuse.accounting.waits import AWAITED, Asker, Waited
from agent_fuse.calls import Status, Usage
from agent_fuse.errors import SentinelBudgetExceeded, SentinelError, UnknownModelError
from agent_fuse.foreign_text import name
from agent_fuse.ledgers.base import AMOUNTS, Amounts, Cap, Hold, Meter, Refusal, Reservation
from agent_fuse.limits import Demand, demand, subjects_of
from agent_fuse.quotes import Quote
from agent_fuse.refusals import BEFORE_SENT, explain, of_stop, unpriced
from agent_fuse.seams import GOES_ON, quietly, refusal
from agent_fuse.settings import Settings

_ROOMY = 0.5
"""Share of a limit up to which a quote may be a bound."""
_FITTING, _SO, _AS_IS = "making a call fit", "it is refused all the same", "it is judged as it was asked for"
_IN_LOOP = "use the asynchronous client, or run it in a thread"
_COUNTED = frozenset(AMOUNTS)


class Admission:
    """Asks the ledger whether all limits admit a call. Not re-entrant: the fuse sees to that."""

    def __init__(self, settings: Settings, accounting: Accounting) -> None:
        self._settings = settings
        self._observes = settings.observes
        self._accounting = accounting
        self._ledger = accounting.ledger
        self._clock = accounting.clock
        self._roomy = min((_ROOMY, *settings.warn_at))
        self._downgrades: Any = None
        if settings.downgrade:
            from agent_fuse.accounting.downgrading import Downgrades  # noqa: PLC0415  few have a ladder

            self._downgrades = Downgrades(settings, accounting.limits, accounting.ledger, accounting.clock)
            accounting.tell.add(self._downgrades.booked)
        self.patience = Patience(settings, accounting)

    def look(self, pending: PendingCall) -> None:
        """Refuse when nothing is left, without a hold."""
        caps = [cap for cap in pending.due.caps if cap.meter is not Meter.TOOL_CALLS and not is_nobodys(cap.account)]
        now = self._clock()
        awaited, retry = AWAITED.get(), self._accounting.retry
        ask = retry.ask if awaited is None else partial(retry.ask_for, awaited)
        short = ask("balances", lambda: self._ledger.used_up(caps, _subjects(pending), now=now))
        if short is not None and self.patience.sweeping.freed(short):
            short = ask("balances", lambda: self._ledger.used_up(caps, _subjects(pending), now=now))
        if short is not None and short.cap.meter is Meter.USD and self._is_free(pending.request):
            caps = [cap for cap in caps if cap.meter is not Meter.USD]
            short = ask("balances", lambda: self._ledger.used_up(caps, now=now))
        if short is not None:
            raise refusal(partial(self.exceeded, pending, short))

    def hold(self, pending: PendingCall) -> None:
        """Quote the call and take its hold, or replace the one it has.

        Raises:
            SentinelBudgetExceeded: a limit does not admit it. SentinelSystemError: the ledger failed.
        """
        asked = pending.request, pending.due
        pending.altered = AS_ASKED
        try:
            self._hold(pending)
        except SentinelError:
            if self._observes and pending.altered.marks:
                quietly(_FITTING, _AS_IS, self._put_back, pending, *asked)
            raise
        if self._observes and pending.altered.marks:
            pending.foreseen = pending.altered
            quietly(_FITTING, _AS_IS, self._put_back, pending, *asked)

    def _put_back(self, pending: PendingCall, request: CallRequest, due: Demand) -> None:
        """Observe mode alters nothing: the call is held as it was asked for."""
        pending.altered = AS_ASKED
        pending.request, pending.due = request, due
        pending.quote = self._accounting.quote(request)
        if pending.held:
            self.hold_uncapped(pending, pending.quote)

    def _hold(self, pending: PendingCall) -> None:
        waited = AWAITED.get()
        if waited is not None:
            pending.place = waited.place
        while True:
            quote, answer = self._take(pending, wait=False)
            if quote.provisional and not self._has_room(pending.due, answer):
                quote, answer = self._take(pending, wait=True)  # a bound refuses nobody, and warns of nothing
            if self._downgrades is not None and quietly(_FITTING, _AS_IS, self._downgrades.step, pending, answer):
                continue
            if not isinstance(answer, Refusal):
                break
            waited = waited or Waited()
            if not self._asks_again(pending, answer, waited):
                if quietly(_FITTING, _SO, self._is_left, pending, answer):
                    return
                fitted = quietly(_FITTING, _SO, self._fitted, pending, answer) or answer
                if not isinstance(fitted, Refusal):
                    answer = fitted
                    break
                waited.end()
                raise refusal(partial(self.exceeded, pending, fitted, waited))
        if waited is not None:
            waited.end()
        self._accounting.on_reserved(pending.request.caller, pending.due, answer.balances)

    def _take(self, pending: PendingCall, *, wait: bool) -> tuple[Quote, Reservation | Refusal]:
        try:
            quote = self._accounting.quote(pending.request, wait=wait)
        except UnknownModelError as unknown:
            words = partial(unpriced, unknown, model=pending.request.model, session=pending.request.caller.session.id)
            raise refusal(words) from None
        pending.quote = quote
        return quote, self._reserve(pending, quote, pending.due.caps, partial(_subjects, pending))

    def lets_go(self, pending: PendingCall, trip: SentinelError) -> bool:
        """In observe mode, write down that a call would have been refused, and hold what it may cost."""
        if self._observes:
            if not pending.observed:
                self._accounting.would_refuse(pending, trip)
            if pending.quote is not None and pending.request.stage is Stage.READY:
                quietly("holding what goes", GOES_ON, self.hold_uncapped, pending, pending.quote)
        return self._observes

    def hold_uncapped(self, pending: PendingCall, quote: Quote) -> None:
        """Take the call's hold, or replace the one it has, whatever limits and people say to it.

        Raises:
            SentinelSystemError: the ledger failed.
        """
        answer = self._reserve(pending, quote, (), tuple)
        if isinstance(answer, Reservation):
            self._accounting.on_reserved(pending.request.caller, pending.due, answer.balances)

    def reserve(self, pending: PendingCall, quote: Quote, caps: tuple[Cap, ...]) -> Reservation | Refusal:
        """Take the call's hold at this quote, or replace the one it has, which stays where it is refused.

        Raises:
            SentinelSystemError: the ledger failed.
        """
        return self._reserve(pending, quote, caps, partial(_subjects, pending))

    def _reserve(
        self, pending: PendingCall, quote: Quote, caps: tuple[Cap, ...], subjects: Callable[[], tuple[str, ...]]
    ) -> Reservation | Refusal:
        now = self._clock()
        tokens = quote.input_tokens + quote.output_tokens
        hold = Hold(
            entry=self._accounting.entry(pending, Status.PRESUMED, (quote.cost, quote.fee), quote.usage),
            accounts=pending.due.accounts,
            amounts=Amounts(usd=quote.cost, tokens=tokens, output_tokens=quote.output_tokens, calls=1),
            caps=caps,
            expires_at=now + self._settings.hold_seconds,
            subjects=subjects,
            place=None if pending.held else pending.place,
        )
        work = partial(self._ledger.reserve, hold, now=now)
        awaited, retry = AWAITED.get(), self._accounting.retry
        ask = retry.ask if awaited is None else partial(retry.ask_for, awaited)
        answer = ask("reserve", work, pending.may_be_held)
        if isinstance(answer, Reservation):
            pending.held = True
        return answer

    def _has_room(self, due: Demand, answer: Reservation | Refusal) -> bool:
        """Whether every limit has so much left, with this hold, that one by a bound can neither crowd nor warn."""
        if isinstance(answer, Refusal):
            return False
        for cap in due.caps:
            balance = answer.balances.get(cap.account)
            if balance is None:
                return False
            if cap.meter in _COUNTED and sum(balance.used(cap.meter, 0.0)) >= self._roomy * cap.amount:
                return False
        return True

    def _asks_again(self, pending: PendingCall, answer: Refusal, waited: Waited) -> bool:
        """Whether it has waited for what refused it, or only for others who wait, for whom it will not any more."""
        request = pending.request
        if self.patience.has_waited(
            answer, pending.due, waited, lambda: Asker(pending.id, request.caller, request.model)
        ):
            pending.place = waited.place
            # It is admitted later than it was asked for, perhaps in another interval.
            pending.due = demand(self._accounting.limits, request.caller, request.fact, now=self._clock())
            return True
        if answer.ahead:
            pending.place = None
        return bool(answer.ahead)

    def _is_left(self, pending: PendingCall, answer: Refusal) -> bool:
        """Whether a gate that can alter what leaves judges the call next, and so is to judge it alone."""
        follows = pending.request.requests_seen and not pending.request.alterable and not pending.held
        down = self._downgrades is not None and self._wants("downgrade", pending, answer)
        return follows and (down or self._wants("clamp", pending, answer))

    def _fitted(self, pending: PendingCall, answer: Refusal) -> Reservation | Refusal:
        """Where its limit wants that, what leaves is altered so that it fits."""
        if not pending.request.alterable or not self._wants("clamp", pending, answer):
            return answer
        from agent_fuse.accounting.clamping import clamp  # noqa: PLC0415  few calls ever need it

        return clamp(
            pending,
            self._accounting.quoter,
            answer,
            lambda quote: self.reserve(pending, quote, pending.due.caps),
            floor=self._settings.clamp_floor,
            may=partial(self._wants, "clamp", pending),
        )

    def _wants(self, what: str, pending: PendingCall, short: Refusal) -> bool:
        if short.stop is not None:
            return False
        limit = pending.due.limits[pending.due.caps.index(short.cap)]
        return (limit.on_tight or self._settings.on_tight) == what

    def exceeded(
        self, pending: PendingCall, short: Refusal, waited: Waited | None = None, *, how: str = BEFORE_SENT
    ) -> SentinelError:
        """The trip for a call that a limit does not admit, in words that fit it."""
        what, session = f"call to {name(pending.request.model) or 'a model'}", pending.request.caller.session.id
        if short.stop is not None:
            return of_stop(short, short.stop, what=what, model=pending.request.model, session=session, how=how)
        limit = pending.due.limits[pending.due.caps.index(short.cap)]
        message, facts = explain(short, limit, what, self._clock(), how)
        more, reason = ("", {}) if waited is None else waited.outcome(_IN_LOOP)
        return SentinelBudgetExceeded(
            message + more, model=pending.request.model, session=session, **{**facts, **reason}
        )

    def _is_free(self, request: CallRequest) -> bool:
        usage = Usage(input_tokens=1_000, output_tokens=1_000)
        return bool(request.model) and self._accounting.rates(request).cost(usage) == 0


def _subjects(pending: PendingCall) -> tuple[str, ...]:
    request = pending.request
    return subjects_of(pending.due, request.caller, model=request.model, provider=request.provider)
