"""The books of one fuse: quotes become holds, usage becomes cost, and every call becomes a line of the journal."""

import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from agent_fuse.account_names import is_nobodys
from agent_fuse.accounting.backlog import Backlog
from agent_fuse.accounting.call_request import CallRequest, Event, PendingCall
from agent_fuse.accounting.later import Later
from agent_fuse.accounting.ledger_retry import LedgerRetry
from agent_fuse.accounting.listeners import Listeners
from agent_fuse.accounting.waits import AWAITED, Waited, have_waited
from agent_fuse.calls import Entry, Status, Usage
from agent_fuse.endpoints import UNKNOWN
from agent_fuse.errors import SentinelBudgetExceeded, SentinelError, SentinelSystemError, UnknownModelError
from agent_fuse.ledgers.base import AMOUNTS, Amounts, Balance, Hold, Ledger, Meter, Refusal, Reservation
from agent_fuse.limits import Caller, Demand, subjects_of
from agent_fuse.prices import PriceBook
from agent_fuse.quotes import Quote, Quoter
from agent_fuse.quoting import request_parameters
from agent_fuse.quoting.rates import Origin, Rates
from agent_fuse.refusals import explain, of_stop, refused_by, unpriced
from agent_fuse.seams import BOOKED_AT_QUOTE, GOES_ON, fault, quietly, refusal
from agent_fuse.settings import Settings
from agent_fuse.wire import semantic_operation

Clock = Callable[[], float]
Bill = tuple[int, int]
"""Nano-dollars of a call, and what of them is no tokens."""

_UNKNOWN_ENDPOINT = "the request's endpoint is not known to AgentFuse, and unknown_endpoint='block' refuses such"
_ROOMY = 0.5
"""Share of a limit up to which a quote may be a bound."""
_NO_BILL: Bill = (0, 0)
_COUNTED = frozenset(AMOUNTS)
_UNKNOWN = Usage()
_NOTHING = Usage(input_tokens=0, output_tokens=0)


class Accounting:
    """Holds, settles, releases and refuses in the ledger. Not re-entrant: the fuse sees to that."""

    def __init__(self, settings: Settings, ledger: Ledger, clock: Clock, backlog: Backlog) -> None:
        self._settings = settings
        self.limits = settings.all_limits()
        self.ledger = ledger
        self.retry = LedgerRetry(ledger, settings.max_retries, clock, backlog)
        self.clock = clock
        self.book = PriceBook(settings.prices, settings.unknown_model)
        self.quoter = Quoter(self.book, strict=settings.strict)
        self._roomy = min((_ROOMY, *settings.warn_at))
        self.tell: Listeners[[Event]] = Listeners("counting a call")
        """Told of every call booked or refused, and of every loop that is near."""
        self.later = Later(ledger, self.retry, self.book, clock, self.tell)
        self.on_gate: Listeners[[str, float]] = Listeners("timing a gate")
        """Told which gate took how many seconds."""
        self.on_reserved: Listeners[[Caller, Demand, Mapping[str, Balance]]] = Listeners("warning of a limit")
        """Told whose call took a hold, and its accounts after it."""
        self.renew()

    def renew(self) -> None:
        """A fresh id prefix: a forked child must not share its parent's."""
        self._prefix = os.urandom(8).hex()
        self._numbers = itertools.count()

    def new_id(self) -> str:
        """An id for a call, unique across processes and machines."""
        return f"{self._prefix}{next(self._numbers):x}"

    def look(self, pending: PendingCall) -> None:
        """Refuse when nothing is left, without a hold."""
        caps = [cap for cap in pending.due.caps if cap.meter is not Meter.TOOL_CALLS and not is_nobodys(cap.account)]
        now = self.clock()
        short = self.retry.ask("balances", lambda: self.ledger.used_up(caps, _subjects(pending), now=now))
        if short is not None and short.cap.meter is Meter.USD and self._is_free(pending.request):
            caps = [cap for cap in caps if cap.meter is not Meter.USD]
            short = self.retry.ask("balances", lambda: self.ledger.used_up(caps, now=now))
        if short is not None:
            raise refusal(partial(self._exceeded, pending, short))

    def hold(self, pending: PendingCall) -> None:
        """Quote the call and take its hold, or replace the one it has.

        Raises:
            SentinelBudgetExceeded: a limit does not admit it. SentinelSystemError: the ledger failed.
        """
        waited: Waited | None = None
        while True:
            quote, answer = self._take(pending, wait=False)
            if quote.provisional and not self._has_room(pending.due, answer):
                quote, answer = self._take(pending, wait=True)  # a bound refuses nobody, and warns of nothing
            if not isinstance(answer, Refusal):
                break
            waited = waited or AWAITED.get() or Waited()
            if not have_waited(pending, answer, waited, self.limits, self.clock):
                raise refusal(partial(self._exceeded, pending, answer))
        self.on_reserved(pending.request.caller, pending.due, answer.balances)

    def _take(self, pending: PendingCall, *, wait: bool) -> tuple[Quote, Reservation | Refusal]:
        try:
            quote = self.quote(pending.request, wait=wait)
        except UnknownModelError as unknown:
            words = partial(unpriced, unknown, model=pending.request.model, session=pending.request.caller.session.id)
            raise refusal(words) from None
        pending.quote = quote
        now = self.clock()
        tokens = quote.input_tokens + quote.output_tokens
        hold = Hold(
            entry=self._entry(pending, Status.PRESUMED, (quote.cost, quote.fee), quote.usage),
            accounts=pending.due.accounts,
            amounts=Amounts(usd=quote.cost, tokens=tokens, output_tokens=quote.output_tokens, calls=1),
            caps=pending.due.caps,
            expires_at=now + self._settings.hold_seconds,
            subjects=partial(_subjects, pending),
        )
        answer = self.retry.ask("reserve", lambda: self.ledger.reserve(hold, now=now))
        if isinstance(answer, Reservation):
            pending.held = True
        return quote, answer

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

    def exact_quote(self, pending: PendingCall) -> Quote | None:
        """The call's quote, made anew where its vocabulary was not there yet."""
        if pending.quote is not None and pending.quote.provisional:
            pending.quote = self._safe_quote(pending.request) or pending.quote
        return pending.quote

    def quote(self, request: CallRequest, *, wait: bool = True) -> Quote:
        """What the call may cost; without `wait` a bound where the vocabulary is still being loaded.

        Raises:
            UnknownModelError: its model has no price, or its endpoint is not known, and such are blocked.
        """
        if request.operation == UNKNOWN and self._settings.unknown_endpoint == "block":
            raise UnknownModelError(_UNKNOWN_ENDPOINT)
        session = request.caller.session.id
        if request.estimate is not None:
            given, made = request.estimate
            return self.quoter.for_estimate(request.model, given, made, provider=request.provider, session=session)
        if request.body is not None:
            return self.quoter.for_body(
                request.provider,
                request.model,
                request.operation,
                request.body,
                body_bytes=request.body_bytes,
                session=session,
                wait=wait,
            )
        told, prompt = request.max_tokens, request.prompt
        return self.quoter.for_span(
            request.provider,
            request.model,
            request.operation,
            max_tokens=told,
            input_text=prompt,
            session=session,
            wait=wait,
        )

    def refused(self, pending: PendingCall, trip: SentinelError) -> None:
        """Write a refused call down and free the hold it may have had."""
        if pending.held:
            self.release(pending)
        quote = pending.quote
        usage = quote.usage if quote is not None else Usage()
        bill = (quote.cost, quote.fee) if quote is not None else _NO_BILL
        entry = self._entry(pending, Status.REFUSED, bill, usage, reason=trip.reason)
        entry = replace(entry, refused_by=refused_by(trip))
        if not isinstance(trip, SentinelSystemError):
            self.retry.refuse(entry, pending.due.accounts)
        self.tell(Event(entry, pending.due, trip))

    def release(self, pending: PendingCall) -> None:
        """The call cost nothing: give its hold back."""
        if pending.held:
            self.retry.release(pending.id)
            pending.held = False

    def settle(
        self,
        pending: PendingCall,
        usage: Usage | None,
        *,
        exact: bool,
        response_id: str,
        model: str = "",
        tier: str | None = None,
    ) -> Entry:
        """Book the call: by usage that was reported (exact) or counted, where unknown by its quote.

        `model` and `tier` are what the answer says it was served by; they outrank what was asked for.
        """
        if pending.request.body is None and self.later.was_asked_after(response_id):
            self.release(pending)  # a span around asking after work that is booked where it was begun
            return self._entry(pending, Status.SETTLED, _NO_BILL, _NOTHING, response_id=response_id)
        try:
            entry, full = self._price(pending, usage, exact=exact, response_id=response_id, model=model, tier=tier)
        except Exception as error:  # noqa: BLE001  what was paid for is booked, whatever fails of ours
            fault("pricing an answer", error, BOOKED_AT_QUOTE if pending.quote is not None else "it is booked unpriced")
            entry, full = self._at_quote(pending, usage, response_id)
        amounts = Amounts(usd=entry.cost, tokens=full.total_tokens, output_tokens=full.output_tokens or 0, calls=1)
        if pending.later and entry.status is Status.ESTIMATED:
            self.later.keep(pending, entry, amounts)
            return entry
        self.retry.settle(entry, pending.due.accounts, amounts, held=pending.held)
        pending.held = False
        if entry.status is Status.SETTLED:
            quietly("learning from a call", GOES_ON, self._learn, pending, full)
        self.tell(Event(entry, pending.due))
        return entry

    def _price(
        self, pending: PendingCall, usage: Usage | None, *, exact: bool, response_id: str, model: str, tier: str | None
    ) -> tuple[Entry, Usage]:
        request = pending.request
        told = usage or _UNKNOWN
        if told.input_tokens is None or told.output_tokens is None:
            pending.quote = self.exact_quote(pending) or self._safe_quote(request)
        quoted = pending.quote.usage if pending.quote is not None else _NOTHING
        exact = (
            exact
            and told.input_tokens is not None
            and (told.output_tokens is not None or request.operation == "embeddings")
        )
        full = told
        if told.input_tokens is None or told.output_tokens is None:
            full = replace(
                told,
                input_tokens=quoted.input_tokens if told.input_tokens is None else told.input_tokens,
                output_tokens=quoted.output_tokens if told.output_tokens is None else told.output_tokens,
            )
        by_quote = pending.quote is not None and (usage is None or pending.quote.fixed)
        bill = (
            (pending.quote.cost, pending.quote.fee)
            if by_quote and pending.quote is not None
            else self._bill(pending, full, model, tier)
        )
        reason = "" if exact else "quote" if by_quote else "counted"
        status = Status.SETTLED if exact else Status.ESTIMATED
        return self._entry(pending, status, bill, full, reason=reason, response_id=response_id), full

    def _at_quote(self, pending: PendingCall, usage: Usage | None, response_id: str) -> tuple[Entry, Usage]:
        quote = pending.quote
        full = quote.usage if quote is not None else usage or _NOTHING
        bill, reason = ((quote.cost, quote.fee), "quote") if quote is not None else (_NO_BILL, "unpriced")
        return self._entry(pending, Status.ESTIMATED, bill, full, reason=reason, response_id=response_id), full

    def _learn(self, pending: PendingCall, usage: Usage) -> None:
        request = pending.request
        if self.quoter.counter.at_hand(request.model):
            self.exact_quote(pending)
        self.quoter.learn(
            request.caller.session.id, request.model, quoted=pending.quote, body_bytes=request.body_bytes, usage=usage
        )

    def _bill(self, pending: PendingCall, usage: Usage, model: str, tier: str | None) -> Bill:
        request = pending.request
        asked_tier = (
            request_parameters.tier(opened) if (opened := request_parameters.opened(request.body)) is not None else ""
        )
        rates = pending.quote.rates if pending.quote is not None and request.body is not None else self.rates(request)
        if rates.origin is Origin.FALLBACK and model and request.model:
            self.book.served(request.model, request.provider or None, model)
        served_tier = asked_tier if tier is None else request_parameters.priced_tier(tier)
        if rates.origin is Origin.FALLBACK or served_tier != asked_tier:
            rates = self.rates(request, served_tier)
        cost, fee = rates.bill(usage)
        for name, part in usage.parts:
            more, of_it = self.rates(replace(request, model=name or request.model)).bill(part)
            cost, fee = cost + more, fee + of_it
        return cost, fee

    def rates(self, request: CallRequest, tier: str = "") -> Rates:
        """The prices of a call that was made, even where unknown models are blocked."""
        try:
            return self.book.rates(request.model or None, request.provider or None, tier=tier)
        except UnknownModelError:
            return self.book.rates(None, None)

    # Inside ----------------------------------------------------------------------------------------------------------

    def _exceeded(self, pending: PendingCall, refusal: Refusal) -> SentinelBudgetExceeded:
        what, session = f"call to {pending.request.model or 'a model'}", pending.request.caller.session.id
        if refusal.stop is not None:
            return of_stop(refusal, refusal.stop, what=what, model=pending.request.model, session=session)
        limit = pending.due.limits[pending.due.caps.index(refusal.cap)]
        message, facts = explain(refusal, limit, what, self.clock())
        return SentinelBudgetExceeded(message, model=pending.request.model, session=session, **facts)

    def _safe_quote(self, request: CallRequest) -> Quote | None:
        try:
            return self.quote(request)
        except UnknownModelError:
            return None
        except Exception as error:  # noqa: BLE001  the call is over: its usage may still be told and priced
            fault("quoting a call that was made", error, "only the usage that it told is booked")
            return None

    def _is_free(self, request: CallRequest) -> bool:
        return bool(request.model) and self.rates(request).cost(Usage(input_tokens=1_000, output_tokens=1_000)) == 0

    def _entry(
        self, pending: PendingCall, status: Status, bill: Bill, usage: Usage, *, reason: str = "", response_id: str = ""
    ) -> Entry:
        request = pending.request
        return Entry(
            id=pending.id,
            at=pending.started_at,
            status=status,
            session=request.caller.session.id,
            agent=request.caller.agent,
            provider=request.provider,
            model=request.model,
            operation=semantic_operation(request.operation),
            cost=bill[0],
            fee=bill[1],
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            reason=reason,
            response_id=response_id,
            trace_id=request.trace_id,
            span_id=request.span_id,
        )


def _subjects(pending: PendingCall) -> tuple[str, ...]:
    request = pending.request
    return subjects_of(pending.due, request.caller, model=request.model, provider=request.provider)
