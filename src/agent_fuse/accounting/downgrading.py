"""Downgrading: from a share of a limit on, a turn is begun with a cheaper model, and goes on with it."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from agent_fuse.accounting.call_request import DOWNGRADED_FROM, Event, PendingCall
from agent_fuse.accounting.turns import turn_of
from agent_fuse.calls import Usage
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers.base import Ledger, Meter, Refusal, Reservation
from agent_fuse.ledgers.controls import as_raised
from agent_fuse.limits import Limit, demand
from agent_fuse.prices import PriceBook
from agent_fuse.quotes import Quote
from agent_fuse.quoting.rates import Origin
from agent_fuse.quoting.recent import Recent
from agent_fuse.settings import Settings

_IN, _OUT = Usage(input_tokens=1_000, output_tokens=0), Usage(input_tokens=0, output_tokens=1_000)
_TURNS = 4_096
"""Turns last begun that are remembered, so that they go on with the model that they began with."""


def check(settings: Settings) -> None:
    """Raises ConfigurationError: it leads to a dearer model, or to one that would be refused for want of a price.

    One that has no price may cost whatever it does.
    """
    book = PriceBook(settings.prices, "free")
    for model, cheaper in settings.downgrade.items():
        high, low = book.rates(model), book.rates(cheaper)
        if low.origin is Origin.FREE and settings.unknown_model == "block":
            raise ConfigurationError(
                f"downgrade leads from {model} to {cheaper}, which has no price, and unknown_model is 'block'; "
                f"name a price: prices={{{cheaper!r}: …}}"
            )
        dearer = [low.cost(one) - high.cost(one) for one in (_IN, _OUT)]
        if Origin.FREE not in (high.origin, low.origin) and min(dearer) >= 0 and any(dearer):
            raise ConfigurationError(f"downgrade leads from {model} to {cheaper}, which is dearer; turn them round")


class Downgrades:
    """Says which calls of one fuse go to a cheaper model."""

    def __init__(
        self, settings: Settings, limits: tuple[Limit, ...], ledger: Ledger, clock: Callable[[], float]
    ) -> None:
        self._ladder: Mapping[str, str] = settings.downgrade
        self._share = settings.downgrade_at
        self._on_tight = settings.on_tight
        self._limits = limits
        self._ledger = ledger
        self._clock = clock
        self._turns: Recent[tuple[str, str, str], str] = Recent(_TURNS)
        """The cheaper model by session, model asked for, and mark of the turn."""
        self._steps: Recent[str, tuple[tuple[tuple[str, str], str], ...]] = Recent(_TURNS)
        """The rungs that open calls went down."""

    def booked(self, event: Event) -> None:
        """A listener of the fuse: what goes on from this very answer goes on with its model."""
        for asked, cheaper in self._steps.pop(event.entry.id, ()):
            if event.entry.response_id:
                self._turns.put((*asked, event.entry.response_id), cheaper)

    def step(self, pending: PendingCall, answer: Reservation | Refusal) -> bool:
        """One rung down where the call is to go there, which has it asked for again; whether it does."""
        request = pending.request
        cheaper = self._ladder.get(request.model)
        if cheaper is None or not request.renamable or request.body is None:
            return False
        begins, marks = turn_of(request.body)
        turns = [(request.caller.session.id, request.model, mark) for mark in marks]
        down = DOWNGRADED_FROM in pending.altered.marks
        if begins:
            if (down and not isinstance(answer, Refusal)) or not self._is_due(pending, answer):
                for turn in turns:
                    self._turns.drop(turn)
                return False
            for turn in turns:
                self._turns.put(turn, cheaper)
        elif not any(self._turns.get(turn) == cheaper for turn in turns):
            return False
        before = self._steps.get(pending.id, ()) if down else ()
        self._steps.put(pending.id, (*before, (turns[0][:2], cheaper)))
        first = pending.altered.marks.get(DOWNGRADED_FROM, request.model)
        pending.request = replace(request, model=cheaper)
        pending.due = demand(self._limits, request.caller, pending.request.fact, now=self._clock())
        pending.altered = pending.altered.and_also(
            {"model": cheaper}, {DOWNGRADED_FROM: first}, f"downgraded from {request.model}"
        )
        return True

    def _is_due(self, pending: PendingCall, answer: Reservation | Refusal) -> bool:
        if isinstance(answer, Refusal):
            return answer.stop is None and self._wants(pending.due.limits[pending.due.caps.index(answer.cap)])
        now = self._clock()
        for cap, limit in zip(pending.due.caps, pending.due.limits, strict=True):
            balance = answer.balances.get(cap.account) if self._wants(limit) else None
            if balance is not None and cap.meter is not Meter.CONCURRENT:
                used = sum(balance.used(cap.meter, now)) - _own(cap.meter, pending.quote)
                if used >= self._share * cap.amount and used >= self._share * as_raised(self._ledger, cap, now):
                    return True
        return False

    def _wants(self, limit: Limit) -> bool:
        return (limit.on_tight or self._on_tight) == "downgrade"


def _own(meter: Meter, quote: Quote | None) -> int:
    """What the call holds itself."""
    if quote is None:
        return 0
    match meter:
        case Meter.USD:
            return quote.cost
        case Meter.TOKENS:
            return quote.input_tokens + quote.output_tokens
        case Meter.OUTPUT_TOKENS:
            return quote.output_tokens
        case Meter.CALLS:
            return 1
        case _:
            return 0
