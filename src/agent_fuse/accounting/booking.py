"""The books of one fuse: quotes become holds, usage becomes cost, and every call becomes a line of the journal."""

import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import replace

from agent_fuse.accounting.backlog import Backlog
from agent_fuse.accounting.call_request import Action, CallRequest, Event, PendingCall
from agent_fuse.accounting.later import Later
from agent_fuse.accounting.ledger_retry import LedgerRetry
from agent_fuse.accounting.listeners import Listeners
from agent_fuse.calls import PROVIDER, Entry, Status, Usage, in_unbroken_texts, told_texts
from agent_fuse.endpoints import UNKNOWN
from agent_fuse.errors import SentinelError, SentinelSystemError, UnknownModelError
from agent_fuse.ledgers.base import Amounts, Balance, Ledger
from agent_fuse.limits import Caller, Demand
from agent_fuse.prices import PriceBook
from agent_fuse.quotes import Quote, Quoter
from agent_fuse.quoting import request_parameters
from agent_fuse.quoting.rates import Origin, Rates
from agent_fuse.refusals import refused_by
from agent_fuse.seams import BOOKED_AT_QUOTE, GOES_ON, fault, quietly
from agent_fuse.settings import Settings
from agent_fuse.wire import semantic_operation

Clock = Callable[[], float]
Bill = tuple[int, int]
"""Nano-dollars of a call, and what of them is no tokens."""

_UNKNOWN_ENDPOINT = "the request's endpoint is not known to AgentFuse, and unknown_endpoint='block' refuses such"
_NO_BILL: Bill = (0, 0)
_UNKNOWN = Usage()
_NOTHING = Usage(input_tokens=0, output_tokens=0)


class Accounting:
    """Quotes, settles, releases and refuses. Not re-entrant: the fuse sees to that."""

    def __init__(self, settings: Settings, ledger: Ledger, clock: Clock, backlog: Backlog) -> None:
        self._settings = settings
        self.observes = settings.observes
        self.limits = settings.all_limits()
        self.ledger = ledger
        self.retry = LedgerRetry(ledger, settings, clock, backlog)
        self.clock = clock
        self.book = PriceBook(settings.prices, settings.unknown_model)
        self.quoter = Quoter(self.book, strict=settings.strict)
        self.tell: Listeners[[Event]] = Listeners("counting a call")
        """Told of every call booked or refused, and of every loop that is near."""
        self.on_reserved: Listeners[[Caller, Demand, Mapping[str, Balance]]] = Listeners("warning of a limit")
        """Told whose call took a hold, and its accounts after it."""
        self.on_refused: Listeners[[Event]] = Listeners("writing a refusal down")
        """Told of every call and tool action that was refused, after `tell`."""
        self.later = Later(ledger, self.retry, self.book, clock, self.tell)
        self.on_gate: Listeners[[str, float]] = Listeners("timing a gate")
        """Told which gate took how many seconds."""
        self.renew()

    def renew(self) -> None:
        """A fresh id prefix: a forked child must not share its parent's."""
        self._prefix = os.urandom(8).hex()
        self._numbers = itertools.count()

    def new_id(self) -> str:
        """An id for a call, unique across processes and machines."""
        return f"{self._prefix}{next(self._numbers):x}"

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
        entry = self.entry(pending, Status.REFUSED, bill, usage, reason=trip.reason)
        entry = replace(entry, refused_by=refused_by(trip))
        if not isinstance(trip, SentinelSystemError):
            self.retry.refuse(entry, pending.due.accounts)
        self.tell_refused(Event(entry, pending.due, trip))

    def would_refuse(self, pending: PendingCall, trip: SentinelError) -> None:
        """Write down that a call goes in observe mode alone."""
        pending.observed = True
        quote = pending.quote
        bill, usage = ((quote.cost, quote.fee), quote.usage) if quote is not None else (_NO_BILL, _UNKNOWN)
        self._observe(self.entry(pending, Status.WOULD_REFUSE, bill, usage), trip)

    def lets_run(self, action: Action, trip: SentinelError, then: Callable[[Action], None] | None) -> bool:
        """In observe mode, write down that an action would have been refused, and count or hold it all the same."""
        if self.observes:
            action.observed = True
            self._observe(action.entry, trip)
            if then is not None:
                quietly("counting what runs", GOES_ON, then, action)
        return self.observes

    def _observe(self, entry: Entry, trip: SentinelError) -> None:
        from agent_fuse.accounting.observing import OBSERVING, write_down  # noqa: PLC0415  few fuses observe

        quietly(OBSERVING, GOES_ON, write_down, self.retry, replace(entry, id=self.new_id()), trip)

    def tell_refused(self, event: Event) -> None:
        """A call or a tool action was refused."""
        self.tell(event)
        self.on_refused(event)

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
            return self.entry(pending, Status.SETTLED, _NO_BILL, _NOTHING, response_id=response_id)
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
        exact = (
            exact
            and told.input_tokens is not None
            and (told.output_tokens is not None or request.operation == "embeddings")
        )
        full = told
        if told.input_tokens is None or told.output_tokens is None:
            quoted = pending.quote.usage if pending.quote is not None else _NOTHING
            full = replace(
                told,
                input_tokens=quoted.input_tokens if told.input_tokens is None else told.input_tokens,
                output_tokens=quoted.output_tokens if told.output_tokens is None else told.output_tokens,
            )
        opened = request_parameters.opened(request.body)
        asked = request_parameters.tier(opened) if opened is not None else ""
        served = request_parameters.served_tier(asked, tier)
        by_quote = pending.quote is not None and (usage is None or pending.quote.fixed)
        bill = (
            (pending.quote.cost, pending.quote.fee)
            if by_quote and pending.quote is not None
            else self._bill(pending, full, model, served, apart=served != asked)
        )
        reason = "" if exact else "cut off" if pending.cut else "quote" if by_quote else "counted"
        status = Status.SETTLED if exact else Status.ESTIMATED
        entry = self.entry(pending, status, bill, full, reason=reason, response_id=response_id)
        if pending.altered.marks or pending.foreseen.marks:
            entry = (
                quietly("telling what was saved", GOES_ON, self._with_savings, pending, entry, full, served) or entry
            )
        if told.told_cost is not None:
            entry = replace(
                entry, cost=told.told_cost, fee=min(entry.fee, told.told_cost), source=PROVIDER, computed=entry.cost
            )
        return entry, full

    def _with_savings(self, pending: PendingCall, entry: Entry, usage: Usage, tier: str) -> Entry:
        from agent_fuse.accounting.savings import savings  # noqa: PLC0415  few calls are altered

        found = savings(pending, usage, lambda request: self.rates(request, tier))
        return entry if found is None else replace(entry, saved=found[0], saved_by=found[1])

    def _at_quote(self, pending: PendingCall, usage: Usage | None, response_id: str) -> tuple[Entry, Usage]:
        quote = pending.quote
        full = quote.usage if quote is not None else usage or _NOTHING
        bill, reason = ((quote.cost, quote.fee), "quote") if quote is not None else (_NO_BILL, "unpriced")
        return self.entry(pending, Status.ESTIMATED, bill, full, reason=reason, response_id=response_id), full

    def _learn(self, pending: PendingCall, usage: Usage) -> None:
        request = pending.request
        if self.quoter.counter.at_hand(request.model):
            self.exact_quote(pending)
        self.quoter.learn(
            request.caller.session.id, request.model, quoted=pending.quote, body_bytes=request.body_bytes, usage=usage
        )

    def _bill(self, pending: PendingCall, usage: Usage, model: str, tier: str, *, apart: bool) -> Bill:
        """By the model and the tier that served it; `apart`: not the tier that was asked for, and quoted."""
        request = pending.request
        rates = pending.quote.rates if pending.quote is not None and request.body is not None else self.rates(request)
        if rates.origin is Origin.FALLBACK and model and request.model:
            self.book.served(request.model, request.provider or None, model)
        by = usage.served_by
        if request.body is not None and model and not request_parameters.STAND_INS.isdisjoint(request.body):
            by = by or request_parameters.took_over(request.body, request.model, model)
        if rates.origin is Origin.FALLBACK or apart or by:
            rates = self.rates(replace(request, model=by) if by else request, tier)
        cost, fee = rates.bill(usage)
        for name, part in usage.parts:
            more, of_it = self.rates(replace(request, model=name or request.model), tier).bill(part)
            cost, fee = cost + more, fee + of_it
        return cost, fee

    def rates(self, request: CallRequest, tier: str = "") -> Rates:
        """The prices of a call that was made, even where unknown models are blocked."""
        try:
            return self.book.rates(request.model or None, request.provider or None, tier=tier)
        except UnknownModelError:
            return self.book.rates(None, None)

    def _safe_quote(self, request: CallRequest) -> Quote | None:
        try:
            return self.quote(request)
        except UnknownModelError:
            return None
        except Exception as error:  # noqa: BLE001  the call is over: its usage may still be told and priced
            fault("quoting a call that was made", error, "only the usage that it told is booked")
            return None

    def entry(
        self, pending: PendingCall, status: Status, bill: Bill, usage: Usage, *, reason: str = "", response_id: str = ""
    ) -> Entry:
        """The call's line of the journal."""
        request = pending.request
        entry = Entry(
            id=pending.id,
            at=pending.started_at,
            status=status,
            session=request.caller.session.id,
            agent=request.caller.agent,
            user_id=pending.due.user or request.caller.user,
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
            reason=", ".join((reason, *pending.altered.notes)) if reason else ", ".join(pending.altered.notes),
            response_id=response_id,
            trace_id=request.trace_id,
            span_id=request.span_id,
        )
        return entry if "".join(told_texts(entry)).isascii() else in_unbroken_texts(entry)
