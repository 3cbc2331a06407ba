"""Metrics: the instruments of the table, fed by fuses, through the user's MeterProvider."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from weakref import ReferenceType, WeakKeyDictionary, WeakSet, ref

from opentelemetry import metrics
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from agent_fuse.accounting.call_request import Event
from agent_fuse.alert import Alert
from agent_fuse.calls import NANOS_PER_USD
from agent_fuse.fuse import Fuse
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.ledgers.fallback import FallbackLedger
from agent_fuse.limits import Demand
from agent_fuse.locks import Lock
from agent_fuse.seams import GOES_ON, harmless, quietly
from agent_fuse.telemetry import instruments as table
from agent_fuse.telemetry.instruments import Instrument
from agent_fuse.telemetry.registering import Callback, register
from agent_fuse.telemetry.totals import Series, Totals
from agent_fuse.telemetry.watched import LimitLevel, Watched

DRAIN_AT = 512
"""Events and durations that wait before the thread that brings one more counts them."""

_NOTHING_DUE = Demand((), (), ())
_NOWHERE = Context()
"""Durations are recorded later, so they must not be linked to whatever span is current then."""

Read = Callable[[], Iterable[Observation]]


class Meters:
    """The instruments at one MeterProvider.

    A call only appends to a queue; the collecting thread counts. Spend is kept in integers and observed, not added up
    as floats: a total below 8 million USD is exact to the nano-dollar. Without a provider no fuse is listened to.

    Args:
        provider: the MeterProvider; None for the global one, which may be set later.
    """

    def __init__(self, provider: MeterProvider | None = None) -> None:
        self._provider = provider
        self._blind: Callable[[], Iterable[str]] = tuple
        self._followed: tuple[Watched, ...] = ()
        self._known: WeakKeyDictionary[Fuse, ReferenceType[Watched]] = WeakKeyDictionary()
        """Those that are followed, and those replaced of which late calls are still heard; the fuses keep them."""
        self._presumed: WeakSet[Fuse] = WeakSet()
        """Fuses whose presumed calls were counted."""
        self._live = False
        self._waking = Lock()
        self._renew()
        meter = (provider or metrics.get_meter_provider()).get_meter("agent_fuse")
        callbacks = [(instrument, self._callback(instrument, read)) for instrument, read in self._reads()]
        self._durations = register(meter, callbacks, self._wake)
        _all.add(self)

    def _renew(self) -> None:
        self._lock = Lock()
        self._events: deque[tuple[Watched, Event | Alert]] = deque()
        self._timings: deque[tuple[str, float]] = deque()
        self._errors: deque[str] = deque()
        self._totals = Totals()
        for watched in self._followed:
            self._totals.expect(watched.fuse.limits)
        self._served: set[str] = {table.COST.name}
        self._standings: dict[tuple[tuple[str, str], ...], LimitLevel] = {}
        self._spent_in_all: int | None = None

    def follow(self, fuse: Fuse, *, instead_of: Fuse | None = None, blind: Callable[[], Iterable[str]] = tuple) -> None:
        """Count what this fuse books and refuses, and show its limits; those of `instead_of` no more.

        What that one books late is still counted: nobody else uses it, and it goes with its last call.

        Args:
            blind: tells the blind spots of this process.
        """
        self._blind = blind
        self._left(instead_of)
        with self._lock:
            known = self._known.get(fuse)
            watched = known() if known is not None else None
            if watched is None:
                watched = Watched(fuse)
                self._known[fuse] = ref(watched)
            watched.followers += 1
            watched.left_at = None
            if watched.followers == 1:
                self._followed = (*self._followed, watched)
                self._totals.expect(fuse.limits)
        if self._live:
            self._begin(watched)

    def leave(self, fuse: Fuse) -> None:
        """Show this fuse's limits no more; what its open calls will cost is still counted, and then nothing is kept."""
        left = self._left(fuse)
        if left is not None:
            left.left_at = fuse.clock()
            ears, left.ears = left.ears, ()
            for end in ears:
                end()
            self._end(left)
            self._drain(wait=False)

    def _left(self, fuse: Fuse | None) -> Watched | None:
        with self._lock:
            known = next((one for one in self._followed if one.fuse is fuse), None)
            if known is not None:
                known.followers -= 1
                self._followed = tuple(one for one in self._followed if one.followers)
            return known if known is not None and not known.followers else None

    def _end(self, left: Watched) -> None:
        end = left.listens
        if end is not None and not left.fuse.open_calls():
            left.listens = None
            end()

    @harmless("handing metrics to a provider", GOES_ON)
    def _wake(self) -> None:
        """There is a provider that means to call back: from now on, listen."""
        with self._waking:
            if not self._live:
                self._live = True
                for one in self._followed:
                    self._begin(one)

    def _begin(self, watched: Watched) -> None:
        fuse, hear = watched.fuse, partial(self._heard, watched)
        failing = fuse.ledger if isinstance(fuse.ledger, FallbackLedger) else None
        if watched.listens is None:
            watched.listens = fuse.listen(hear)
        if not watched.ears:
            watched.ears = (
                fuse.alerts.on_alert.add(hear),
                fuse.accounting.retry.on_error.add(self._failed),
                fuse.accounting.on_gate.add(self._timed),
                *((failing.listen(lambda error: self._failed(error.operation)),) if failing is not None else ()),
            )
        if fuse not in self._presumed:
            self._presumed.add(fuse)
            self._events.extend((watched, Event(entry, _NOTHING_DUE)) for entry in fuse.presumed)

    # What fuses tell -------------------------------------------------------------------------------------------------

    def _heard(self, watched: Watched, event: Event | Alert) -> None:
        if watched.left_at is not None:
            self._end(watched)
            if isinstance(event, Alert) or event.entry.at > watched.left_at:
                return
        self._events.append((watched, event))
        if len(self._events) >= DRAIN_AT:
            self._drain(wait=False)

    def _failed(self, operation: str) -> None:
        self._errors.append(operation)

    def _timed(self, gate: str, seconds: float) -> None:
        self._timings.append((gate, seconds))
        if len(self._timings) >= DRAIN_AT:
            self._drain(wait=False)

    def _drain(self, *, wait: bool) -> None:
        # Never waits on the path of a call: a finaliser or signal handler may run inside this very lock.
        if not self._lock.acquire(blocking=wait):
            return
        try:
            now = time.monotonic()
            while self._events:
                watched, event = self._events.popleft()
                if isinstance(event, Alert):
                    self._totals.warn(event, own=watched.own)
                    continue
                watched.met(event.due, now)
                self._totals.add(event, own=watched.own, session=event.entry.session if watched.sessions else "")
            while self._errors:
                self._totals.ledger_errors.add((self._errors.popleft(),), 1)
            while self._timings:
                gate, seconds = self._timings.popleft()
                self._durations.record(seconds, {table.GATE: gate}, _NOWHERE)
        finally:
            self._lock.release()

    # What a reader sees ----------------------------------------------------------------------------------------------

    def _refresh(self, name: str) -> None:
        """Once in each round of callbacks: count what waits, read the ledgers."""
        if name not in self._served:
            self._served.add(name)
            return
        self._served = {name}
        self._drain(wait=True)
        standings: dict[tuple[tuple[str, str], ...], LimitLevel] = {}
        spent = None
        for watched in self._followed:
            try:
                with self._lock:
                    in_all, found = watched.read(time.monotonic())
            except LedgerError as failed:
                self._errors.append(failed.operation)
                continue
            spent = in_all if spent is None else max(spent, in_all)
            for one in found:
                known = standings.get(one.attributes)
                if known is None or known.utilization < one.utilization:
                    standings[one.attributes] = one
        self._standings, self._spent_in_all = standings, spent
        self._drain(wait=True)

    def _callback(self, instrument: Instrument, read: Read) -> Callback:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            del options
            return quietly("reading metrics", "their figures are left out", self._observed, instrument, read) or ()

        return observe

    def _observed(self, instrument: Instrument, read: Read) -> list[Observation]:
        self._refresh(instrument.name)
        with self._lock:
            return list(read())

    def _reads(self) -> Iterator[tuple[Instrument, Read]]:
        yield table.COST, lambda: _observe(self._totals.cost, NANOS_PER_USD)
        yield table.TOKENS, lambda: _observe(self._totals.tokens)
        yield table.CALLS, lambda: _observe(self._totals.calls)
        yield table.TRIPS, lambda: _observe(self._totals.trips)
        yield table.WARNINGS, lambda: _observe(self._totals.warnings)
        yield table.LEDGER_ERRORS, lambda: _observe(self._totals.ledger_errors)
        yield table.OPEN, lambda: (Observation(sum(one.fuse.open_calls() for one in self._followed)),)
        yield table.SPENT_IN_ALL, self._read_spent
        yield table.CAP, lambda: [Observation(one.cap, dict(one.attributes)) for one in self._standings.values()]
        yield table.SPENT, lambda: [Observation(one.spent, dict(one.attributes)) for one in self._standings.values()]
        yield table.HELD, lambda: [Observation(one.held, dict(one.attributes)) for one in self._standings.values()]
        yield (
            table.UTILIZATION,
            lambda: [Observation(one.utilization, dict(one.attributes)) for one in self._standings.values()],
        )
        yield table.BLIND, self._read_blind

    def _read_spent(self) -> Iterable[Observation]:
        return () if self._spent_in_all is None else (Observation(self._spent_in_all / NANOS_PER_USD),)

    def _read_blind(self) -> Iterable[Observation]:
        spots = sorted({what.partition(":")[0] for what in self._blind()})
        return [Observation(1, {table.SPOT: spot}) for spot in spots] or [Observation(0, {table.SPOT: "none"})]


def _observe(series: Series, unit: int = 1) -> Iterator[Observation]:
    for attributes, total in series.read():
        yield Observation(total / unit if unit > 1 else total, attributes)


def _after_fork() -> None:
    """A forked child counts its own calls: what its parent counted, the parent tells."""
    for one in _all:
        quietly("beginning anew in a forked child", GOES_ON, one._renew)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


_all: "WeakSet[Meters]" = WeakSet()
_of_provider: "WeakKeyDictionary[MeterProvider, ReferenceType[Meters]]" = WeakKeyDictionary()
_global: list[Meters] = []
_making = Lock()
os.register_at_fork(after_in_child=_after_fork)


def meters(provider: MeterProvider | None = None) -> Meters:
    """The instruments at this provider, made once; None for the global one, now or when it is set."""
    with _making:
        if provider is not None:
            known = _of_provider.get(provider)
            found = known() if known is not None else None
            if found is None:
                found = Meters(provider)
                _of_provider[provider] = ref(found)
            return found
        if not _global:
            _global.append(Meters())
        return _global[0]
