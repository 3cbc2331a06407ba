"""The fuse: the one path every model call takes, from its gate to the books."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from threading import get_ident
from typing import Unpack
from weakref import WeakSet

from agent_fuse.accounting.actions import Actions
from agent_fuse.accounting.admission import Admission
from agent_fuse.accounting.alerts import Alerts
from agent_fuse.accounting.backlog import Backlog
from agent_fuse.accounting.booking import Accounting, Clock
from agent_fuse.accounting.call_request import CallRequest, Closing, ClosingTold, Event, PendingCall, Stage
from agent_fuse.accounting.conversations import Conversations
from agent_fuse.accounting.keyed import KeyWatch
from agent_fuse.accounting.ledger_retry import system_error
from agent_fuse.accounting.reentrancy import Reentrancy
from agent_fuse.accounting.tripped import TrippedSessions
from agent_fuse.accounting.waits import WaitFor
from agent_fuse.calls import Entry
from agent_fuse.errors import SentinelError
from agent_fuse.ledgers.base import Balance, Ledger, LedgerError
from agent_fuse.ledgers.fallback import FallbackLedger
from agent_fuse.limits import Demand, demand
from agent_fuse.locks import Lock
from agent_fuse.seams import BOOKED_AT_QUOTE, GOES_ON, HELD_AT_QUOTE, fault, harmless, quietly, unjudged
from agent_fuse.settings import Settings
from agent_fuse.sightings import Book, Layer, Outcome, Release, Sighting, Sightings, close_alone, lone

Seen = Sighting[PendingCall]

_GATES = {layer: layer.name.lower() for layer in Layer}


class Fuse:
    """Refuses calls that a limit does not admit, and books what calls cost. Safe in threads and after fork.

    Gates (`open_call`, `requote`) raise trips and nothing else; accounting (`close_call`) raises nothing.
    """

    def __init__(self, settings: Settings, ledger: Ledger, *, clock: Clock = time.time) -> None:
        self.settings = settings
        self.ledger = ledger
        self.clock = clock
        self.tripped = TrippedSessions()
        self.reentrancy = Reentrancy()
        self.reentrancy.on_broken_off = partial(self.reentrancy.inside, self._mend)
        self.accounting = Accounting(settings, ledger, clock, Backlog(ledger, clock, self.reentrancy.inside))
        self.admission = Admission(settings, self.accounting)
        self.limits = self.accounting.limits
        self._sightings: Sightings[PendingCall] = Sightings()
        self._closing: dict[Seen, Closing] = {}
        """What is to be done at the end of a call, until it is."""
        self.alerts = Alerts(settings, ledger, self.reentrancy, clock)
        self.accounting.on_reserved.add(self.alerts.reserved)
        self.admission.patience.on_paused.add(self.alerts.paused)
        self.listen(self.alerts.heard)
        self.keys = KeyWatch()
        self.listen(self.keys.met)
        self.actions = Actions(settings, self.accounting, self.tripped, self.reentrancy, self.admission.patience)
        self.conversations = Conversations(settings, self.actions, self.reentrancy, self.tripped)
        self.presumed: tuple[Entry, ...] = ()
        """Calls of dead processes, booked when it was opened."""
        self._lock = Lock()
        self.retired = False
        """Nothing asks it any more but what happens in the calls that it let go."""
        _fuses.add(self)

    @harmless("beginning anew in a forked child", GOES_ON)
    def begin_anew(self) -> None:
        """In a forked child: its parent's calls and locks are its parent's."""
        self._lock = Lock()
        self._closing.clear()
        self.reentrancy.renew()
        self.accounting.renew()

    def listen(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Tell `listener` of every call booked or refused, logging what it raises; calling what comes back ends it."""
        return self.accounting.tell.add(listener)

    def open_call(self, request: CallRequest, around: Iterable[Seen] = ()) -> Seen:
        """A layer starts to see a call; `around` are the sightings it happens in, nearest first.

        Raises:
            SentinelBudgetExceeded: a limit does not admit it.
            SentinelSystemError: the ledger failed and fail_safe=True.
            SentinelError: any trip, when the session is tripped.
        """
        if not self.reentrancy.begin():
            # A signal handler or finaliser calls a model from the middle of our own transaction: it cannot be judged.
            if self.settings.fail_safe:
                raise system_error(
                    "reserve", LedgerError("reserve", "of this thread", "the fuse is at work here already"), 0
                )
            return self._lone(request)
        timed = bool(self.accounting.on_gate.those) and request.stage is not Stage.OVER
        try:
            started = time.perf_counter() if timed else 0.0
            try:
                seen = self._open(request, around)
            except SentinelError:
                raise
            except Exception as error:  # noqa: BLE001  fail_safe decides
                unjudged("opening a call", error, fail_safe=self.settings.fail_safe and request.stage is not Stage.OVER)
                seen = self._lone(request)
            finally:
                if timed:
                    self.accounting.on_gate(_GATES[request.layer], time.perf_counter() - started)
                self.reentrancy.leave()
        except (SentinelError, Exception):
            raise
        except BaseException:  # a KeyboardInterrupt: whoever wanted the call will never know of it
            self.reentrancy.break_off()
            raise
        seen.opened_by = 0
        return seen

    def requote(self, seen: Seen, request: CallRequest) -> None:
        """More is known of a call before it was sent: ask again with the better figure.

        Raises:
            SentinelBudgetExceeded, SentinelSystemError: as open_call does.
        """
        if seen.ended_at is not None or self.reentrancy.busy:
            return
        try:
            self.reentrancy.enter()
            try:
                self._judge(seen, request)
            finally:
                self.reentrancy.leave()
        except (SentinelError, Exception):
            raise
        except BaseException:  # a KeyboardInterrupt: the ledger may have taken the hold
            seen.call.payload.held = True
            self.reentrancy.break_off()
            raise

    def close_call(
        self,
        seen: Seen,
        *,
        provider: str = "",
        tier: str | None = None,
        ended_at: float | None = None,
        **told: Unpack[ClosingTold],
    ) -> None:
        """A layer saw the call end; it is booked when it is time to. Never raises.

        Args:
            tier: the service tier it was served at, None where that is not told.
            ended_at: seconds, UTC epoch, real time; now when left out.
            told: what else the layer tells of it, as `ClosingTold` says.
        """
        if tier is not None:
            seen.tier = tier
        self._closing[seen] = closing = Closing(seen, seen.call, ended_at, provider, told)
        try:
            self.reentrancy.account(partial(self._close, closing))
        except BaseException:  # a KeyboardInterrupt: what was paid for is booked all the same
            if not self.reentrancy.busy:
                self.reentrancy.break_off()
            raise

    def _close(self, end: Closing) -> None:
        end.by, seen, told = get_ident(), end.seen, end.told
        now = end.ended_at if end.ended_at is not None else time.time()
        try:
            followed = seen.call.payload.request.followed
            with self._lock:
                decisions = self._sightings.close(seen, now=now, followed=followed, **told)
        except Exception as error:  # noqa: BLE001  what was paid for is booked, whatever fails of ours
            fault("finding what else saw a call", error, BOOKED_AT_QUOTE)
            outcome = told.get("outcome", Outcome.DONE)
            decisions = list(close_alone(seen, outcome, told.get("usage"), now=time.time()))
        for decision in decisions:
            quietly("booking a call", HELD_AT_QUOTE, self._book, decision, told.get("model", ""), end.provider)
        self._closing.pop(seen, None)
        if self.retired:
            quietly("closing a ledger", GOES_ON, self._rest)

    def _close_again(self, end: Closing) -> None:
        """It was interrupted while it was closed."""
        seen = end.seen
        with self._lock:
            self._sightings.reopen(seen)
        if seen.call is not end.first:  # it turned out to be a sighting of another call
            end.first.payload.held = True
            self.accounting.release(end.first.payload)
        seen.call.payload.held = True
        self._close(end)

    def _mend(self) -> None:
        """This thread was interrupted at its work: what it was opening is given up, what it was closing is closed."""
        with self._lock:
            opening = self._sightings.mend()
        for end in list(self._closing.values()):
            if end.by in (0, get_ident()):
                self._close_again(end)
        for lost in opening:
            lost.call.payload.held = True  # the ledger may have taken it
            self.close_call(lost, outcome=Outcome.FAILED)

    def _book(self, decision: Book[PendingCall] | Release[PendingCall], model: str, provider: str) -> None:
        pending = decision.call.payload
        if isinstance(decision, Release):
            self.accounting.release(pending)
            return
        request = pending.request
        if (model and not request.model) or (provider and not request.provider):
            pending.request = replace(request, model=request.model or model, provider=request.provider or provider)
        response_id = ""
        for one in decision.call.sightings:
            response_id = response_id or one.response_id
        entry = self.accounting.settle(
            pending, decision.usage, exact=decision.exact, response_id=response_id, model=model, tier=decision.seen.tier
        )
        quietly("writing a cost on its span", GOES_ON, decision.call.booked, entry)

    def serve(self) -> None:
        """A guard judges by it: its files stay open until it is retired."""
        self.retired = False

    def retire(self) -> None:
        """Nothing asks it any more: its files are closed once no call is open. What comes late opens them again."""
        self.retired = True
        quietly("closing a ledger", GOES_ON, self._rest)

    def _rest(self) -> None:
        if self.open_calls():
            return
        if isinstance(self.ledger, FallbackLedger) and self.ledger.owes():
            self.accounting.retry.hand_over(self.ledger.pay)  # nobody will ask it again, and so bring it back
        else:
            self.accounting.retry.close()

    def balances(self, accounts: Sequence[str]) -> dict[str, Balance]:
        """Accounts as they stand, for whoever looks on from another thread. Takes no write lock.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        self.reentrancy.enter()
        try:
            return self.ledger.balances(accounts, now=self.clock())
        finally:
            self.reentrancy.leave()

    def open_calls(self) -> int:
        """How many calls of this process are under way."""
        self.reentrancy.enter()
        try:
            with self._lock:
                return self._sightings.open_count
        finally:
            self.reentrancy.leave()

    def _open(self, request: CallRequest, around: Iterable[Seen]) -> Seen:
        pending = self._pending(request)
        tripped = None
        if request.stage is not Stage.OVER and (request.loop is not None or self.tripped.sessions):
            tripped = request.loop or self.tripped.take(request.caller.session.id)
        if tripped is not None and not self.admission.lets_go(pending, tripped):
            self.accounting.refused(pending, tripped)
            raise tripped
        with self._lock:
            seen = self._sightings.open(
                pending,
                layer=request.layer,
                source=request.source,
                now=time.time() if request.started_at is None else request.started_at,
                model=request.model,
                around=around,
            )
        joins = seen.call.payload is not pending
        if request.stage is not Stage.OVER and (joins or request.stage is not Stage.FOLLOWED):
            self._judge(seen, request, pending.due)
        return seen

    def _lone(self, request: CallRequest) -> Seen:
        return lone(
            self._pending(request), layer=request.layer, source=request.source, now=time.time(), model=request.model
        )

    def _pending(self, request: CallRequest) -> PendingCall:
        now = self.clock()
        due = demand(self.limits, request.caller, request.fact, now=now)
        return PendingCall(self.accounting.new_id(), request, now, due)

    def _judge(self, seen: Seen, request: CallRequest, due: Demand | None = None) -> None:
        pending = seen.call.payload
        try:
            try:
                asked = pending.asked(request, due, self.limits, self.clock)
                if asked is not None and asked.stage is Stage.READY:
                    self.admission.hold(pending)
                    if self.tripped.soft:
                        self.tripped.admitted(asked.caller.session.id)
                elif asked is not None and asked.stage is Stage.UNNAMED:
                    self.admission.look(pending)
            except SentinelError:
                raise
            except Exception as error:  # noqa: BLE001  fail_safe decides
                unjudged("judging a call", error, fail_safe=self.settings.fail_safe)
        except SentinelError as trip:
            if self.admission.lets_go(pending, trip):
                return
            quietly("closing a refused call", GOES_ON, self._drop, seen)
            if not isinstance(trip, WaitFor):
                quietly("writing a refused call down", GOES_ON, self.accounting.refused, pending, trip)
            raise

    def _drop(self, seen: Seen) -> None:
        with self._lock:
            self._sightings.drop(seen, now=time.time())


_fuses: "WeakSet[Fuse]" = WeakSet()
"""Every fuse of this process, for as long as something uses it."""


@harmless("beginning anew in a forked child", GOES_ON)
def _after_fork() -> None:
    for fuse in list(_fuses):
        fuse.begin_anew()


os.register_at_fork(after_in_child=_after_fork)
