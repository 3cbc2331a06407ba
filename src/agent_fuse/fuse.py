"""The fuse: the one path every model call takes, from its gate to the books."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from agent_fuse.calls import Entry, Usage
from agent_fuse.engine.accounting import Accounting, Clock
from agent_fuse.engine.actions import Actions
from agent_fuse.engine.alerts import Alerts
from agent_fuse.engine.asks import Ask, Event, Money, Stage
from agent_fuse.engine.backlog import Backlog
from agent_fuse.engine.blown import Blown
from agent_fuse.engine.desk import system_error
from agent_fuse.engine.keyed import KeyWatch
from agent_fuse.engine.turnstile import Turnstile
from agent_fuse.errors import SentinelError
from agent_fuse.ledgers.base import Balance, Ledger, LedgerError
from agent_fuse.limits import demand
from agent_fuse.seams import BOOKED_AT_QUOTE, GOES_ON, HELD_AT_QUOTE, fault, harmless, quietly, unjudged
from agent_fuse.settings import Settings
from agent_fuse.sightings import Book, Layer, Outcome, Release, Sighting, Sightings, State, lone

Seen = Sighting[Money]

_GATES = {layer: layer.name.lower() for layer in Layer}


class Fuse:
    """Refuses calls that a limit does not admit, and books what calls cost. Safe in threads and after fork.

    Gates (`open_call`, `requote`) raise trips and nothing else; accounting (`close_call`) raises nothing.
    """

    def __init__(self, settings: Settings, ledger: Ledger, *, clock: Clock = time.time) -> None:
        self.settings = settings
        self.limits = settings.all_limits()
        self.ledger = ledger
        self.clock = clock
        self.blown = Blown()
        self.turnstile = Turnstile()
        self.accounting = Accounting(settings, ledger, clock, Backlog(ledger, clock, self.turnstile.inside))
        self._sightings: Sightings[Money] = Sightings()
        self.alerts = Alerts(settings, ledger, self.turnstile, clock)
        self.accounting.on_reserved = self.alerts.reserved
        self.listen(self.alerts.heard)
        self.keys = KeyWatch()
        self.listen(self.keys.met)
        self.actions = Actions(settings, self.limits, self.accounting, self.blown, self.turnstile)
        self.presumed: tuple[Entry, ...] = ()
        """Calls of dead processes that were booked at their quote when this fuse was opened."""
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._after_fork)

    @harmless("beginning anew in a forked child", GOES_ON)
    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self.turnstile.renew()
        self.accounting.renew()

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Tell `listener` of every call booked or refused. What it raises is logged, not passed on."""
        self.accounting.listeners = (*self.accounting.listeners, listener)

    def open_call(self, ask: Ask, around: Iterable[Seen] = ()) -> Seen:
        """A layer starts to see a call; `around` are the sightings it happens in, nearest first.

        Raises:
            SentinelBudgetExceeded: a limit does not admit it.
            SentinelSystemError: the ledger failed and fail_safe=True.
            SentinelError: any trip, when the fuse is blown.
        """
        if self.turnstile.busy:
            # A signal handler or finaliser calls a model from the middle of our own transaction: it cannot be judged.
            if self.settings.fail_safe:
                raise system_error(
                    "reserve", LedgerError("reserve", "of this thread", "the fuse is at work here already"), 0
                )
            return lone(self._money(ask), layer=ask.layer, source=ask.source, now=time.time(), model=ask.model)
        self.turnstile.enter()
        on_gate = self.accounting.on_gate if ask.stage is not Stage.OVER else None
        started = time.perf_counter() if on_gate is not None else 0.0
        try:
            return self._open(ask, around)
        except SentinelError:
            raise
        except Exception as error:  # noqa: BLE001  fail_safe decides
            unjudged("opening a call", error, fail_safe=self.settings.fail_safe and ask.stage is not Stage.OVER)
            return lone(self._money(ask), layer=ask.layer, source=ask.source, now=time.time(), model=ask.model)
        finally:
            if on_gate is not None:
                quietly("timing a gate", GOES_ON, on_gate, _GATES[ask.layer], time.perf_counter() - started)
            self.turnstile.leave()

    def requote(self, seen: Seen, ask: Ask) -> None:
        """More is known of a call before it was sent: ask again with the better figure.

        Raises:
            SentinelBudgetExceeded, SentinelSystemError: as open_call does.
        """
        if seen.ended_at is not None or self.turnstile.busy:
            return
        self.turnstile.enter()
        try:
            self._judge(seen, ask)
        finally:
            self.turnstile.leave()

    def close_call(
        self,
        seen: Seen,
        *,
        outcome: Outcome = Outcome.DONE,
        unsure: bool = False,
        usage: Usage | None = None,
        estimate: Usage | None = None,
        model: str = "",
        answered: str = "",
        provider: str = "",
        response_id: str = "",
        tier: str | None = None,
        ended_at: float | None = None,
    ) -> None:
        """A layer saw the call end; it is booked when it is time to. Never raises.

        Args:
            unsure: its error tells nothing of a request; what other layers saw of the call says whether there was one.
            usage: as reported; None when it was not.
            estimate: as counted, fields unknown left None; the quote fills them.
            model: that answered, or was asked for. answered: the one that answered, where it is told beside it.
            tier: the service tier it was served at, None where that is not told.
            ended_at: seconds, UTC epoch, real time; now when left out.
        """
        if tier is not None:
            seen.tier = tier

        def close() -> None:
            try:
                ask = seen.call.payload.ask
                with self._lock:
                    decisions = self._sightings.close(
                        seen,
                        now=ended_at if ended_at is not None else time.time(),
                        outcome=outcome,
                        unsure=unsure,
                        followed=ask.followed,
                        usage=usage,
                        estimate=estimate,
                        model=model,
                        answered=answered,
                        response_id=response_id,
                    )
            except Exception as error:  # noqa: BLE001  what was paid for is booked, whatever fails of ours
                fault("finding what else saw a call", error, BOOKED_AT_QUOTE)
                decisions = list(self._alone(seen, outcome, usage))
            for decision in decisions:
                quietly("booking a call", HELD_AT_QUOTE, self._book, decision, model, provider)

        self.turnstile.account(close)

    @staticmethod
    def _alone(seen: Seen, outcome: Outcome, usage: Usage | None) -> Iterator[Book[Money] | Release[Money]]:
        """What is done with a call's money when all that is known is that one layer saw it end."""
        call = seen.call
        seen.ended_at, seen.outcome = time.time(), outcome
        if outcome is Outcome.FAILED:
            if call.state is State.OPEN and all(one.ended_at is not None for one in call.sightings):
                call.state = State.RELEASED
                yield Release(call)
        elif call.state is State.OPEN or (call.state is State.ESTIMATED and usage is not None):
            call.state = State.ESTIMATED if usage is None else State.EXACT
            yield Book(call, usage, usage is not None, seen)

    def _book(self, decision: Book[Money] | Release[Money], model: str, provider: str) -> None:
        money = decision.call.payload
        if isinstance(decision, Release):
            self.accounting.release(money)
            return
        ask = money.ask
        if (model and not ask.model) or (provider and not ask.provider):
            money.ask = replace(ask, model=ask.model or model, provider=ask.provider or provider)
        ids = (one.response_id for one in decision.call.sightings if one.response_id)
        entry = self.accounting.settle(
            money,
            decision.usage,
            exact=decision.exact,
            response_id=next(ids, ""),
            model=model,
            tier=decision.seen.tier,
        )
        quietly("writing a cost on its span", GOES_ON, decision.call.booked, entry)

    def balances(self, accounts: Sequence[str]) -> dict[str, Balance]:
        """Accounts as they stand, for whoever looks on from another thread. Takes no write lock.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        self.turnstile.enter()
        try:
            return self.ledger.balances(accounts)
        finally:
            self.turnstile.leave()

    def open_calls(self) -> int:
        """How many calls of this process are under way."""
        self.turnstile.enter()
        try:
            with self._lock:
                return self._sightings.open_count
        finally:
            self.turnstile.leave()

    def _open(self, ask: Ask, around: Iterable[Seen]) -> Seen:
        session = ask.who.session.id
        money = self._money(ask)
        blown = None if ask.stage is Stage.OVER else self.blown.take(session)
        if blown is not None:
            self.accounting.refused(money, blown)
            raise blown
        with self._lock:
            seen = self._sightings.open(
                money,
                layer=ask.layer,
                source=ask.source,
                now=time.time() if ask.started_at is None else ask.started_at,
                model=ask.model,
                around=around,
            )
        if ask.stage is not Stage.OVER:
            self._judge(seen, ask)
        return seen

    def _money(self, ask: Ask) -> Money:
        return Money(self.accounting.new_id(), ask, self.clock(), demand(self.limits, ask.who, ask.fact))

    def _judge(self, seen: Seen, ask: Ask) -> None:
        try:
            try:
                self._hold(seen.call.payload, ask)
            except SentinelError:
                raise
            except Exception as error:  # noqa: BLE001  fail_safe decides
                unjudged("judging a call", error, fail_safe=self.settings.fail_safe)
        except SentinelError as trip:
            quietly("closing a refused call", GOES_ON, self._drop, seen)
            quietly("writing a refused call down", GOES_ON, self.accounting.refused, seen.call.payload, trip)
            raise

    def _drop(self, seen: Seen) -> None:
        with self._lock:
            self._sightings.drop(seen, now=time.time())

    def _hold(self, money: Money, ask: Ask) -> None:
        if money.held and (
            ask.stage is Stage.FOLLOWED or ask.layer is Layer.WIRE or (ask.body is None and money.ask.body is not None)
        ):
            return  # a layer that knows more holds already
        if ask.layer is Layer.WIRE and money.ask is not ask:
            ask = replace(money.ask, stage=Stage.READY)  # what is around it knows more of the call than a URL does
        if ask is not money.ask:
            if not money.held:
                money.due = demand(self.limits, ask.who, ask.fact)
            elif money.due.vague:  # the hold moves to the accounts of the keys that are told now
                keys = {**ask.who.keys, **money.ask.who.keys}
                money.due = demand(self.limits, replace(money.ask.who, keys=keys), ask.fact)
        money.ask = ask
        match ask.stage:
            case Stage.READY:
                self.accounting.hold(money)
                self.blown.admitted(ask.who.session.id)
            case Stage.UNNAMED:
                self.accounting.look(money)
            case Stage.FOLLOWED | Stage.OVER:
                pass
