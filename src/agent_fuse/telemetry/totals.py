"""Totals: what this process booked and refused, as exact integers by a bounded set of attribute values."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import lru_cache

from agent_fuse.accounting.call_request import Event
from agent_fuse.alert import Alert
from agent_fuse.calls import Entry, RefusedBy, Status
from agent_fuse.errors import SentinelBudgetExceeded, SentinelLoopError, SentinelSystemError
from agent_fuse.limits import Limit
from agent_fuse.telemetry import instruments as table
from agent_fuse.telemetry.instruments import Instrument

OTHER = "other"
"""Stands for every name beyond the first `MAX_NAMES` of its attribute."""

MAX_NAMES = 200
"""Distinct values of one attribute that are told apart."""

MAX_SERIES = 2000
"""Sets of attribute values of one instrument that are told apart."""

_MAX_CORRECTABLE = 4096

EXECUTE_TOOL = "execute_tool"


class Series:
    """One instrument's totals. To whoever reads them they never go down: a later correction downwards waits."""

    def __init__(self, instrument: Instrument) -> None:
        self._names = instrument.attributes
        self._totals: dict[tuple[str, ...], int] = {}
        self._read: dict[tuple[str, ...], int] = {}
        self._known: tuple[set[str], ...] = tuple(set() for _ in self._names)

    def add(self, values: tuple[str, ...], amount: int) -> None:
        """Add to the total of these attribute values, in the instrument's order; empty is unknown."""
        if values not in self._totals:
            values = tuple(self._bounded(known, value) for known, value in zip(self._known, values, strict=True))
            if values not in self._totals and len(self._totals) >= MAX_SERIES:
                values = (OTHER,) * len(values)
        self._totals[values] = self._totals.get(values, 0) + amount

    def read(self) -> Iterator[tuple[dict[str, str], int]]:
        """Attributes and total of each series."""
        for values, total in self._totals.items():
            self._read[values] = highest = max(total, self._read.get(values, 0))
            yield {name: value for name, value in zip(self._names, values, strict=True) if value}, highest

    @staticmethod
    def _bounded(known: set[str], value: str) -> str:
        if value in known or not value:
            return value
        if len(known) >= MAX_NAMES:
            return OTHER
        known.add(value)
        return value


class Totals:
    """The totals of all counters. Not safe in threads: whoever feeds it holds a lock."""

    def __init__(self) -> None:
        self.cost = Series(table.COST)
        self.tokens = Series(table.TOKENS)
        self.calls = Series(table.CALLS)
        self.trips = Series(table.TRIPS)
        self.warnings = Series(table.WARNINGS)
        self.ledger_errors = Series(table.LEDGER_ERRORS)
        self._correctable: OrderedDict[str, tuple[Entry, str]] = OrderedDict()

    def expect(self, limits: Iterable[Limit]) -> None:
        """Begin refusals and ledger failures at zero: an increase is seen only in a series that is there before."""
        for limit in limits:
            self.trips.add((SentinelBudgetExceeded.reason, str(limit), limit.key, str(limit.meter), "", ""), 0)
        for kind in (SentinelLoopError, SentinelSystemError):
            self.trips.add((kind.reason, *[""] * (len(table.TRIPS.attributes) - 1)), 0)
        for operation in ("reserve", "settle", "balances"):
            self.ledger_errors.add((operation,), 0)

    def add(self, event: Event, *, own: frozenset[Limit], session: str = "") -> None:
        """Count a call that was booked or refused.

        Args:
            own: the limits of the fuse; others are those that a session brought.
            session: its id, where it is to be told apart.
        """
        if event.trip is not None:
            by = event.entry.refused_by or RefusedBy()
            label = "" if not by.limit else by.limit if by.limit in words(own) else _its_own(by.meter, by.per)
            key = by.value if session or by.per == "agent" else ""
            self.trips.add((event.trip.reason, label, by.per, by.meter, key, session), 1)
        elif not event.nudge:
            self.book(event.entry, session=session)

    def warn(self, alert: Alert, *, own: frozenset[Limit]) -> None:
        """Count a warning."""
        label = alert.rule if alert.rule in words(own) else f"{alert.meter}, a session's own" if alert.meter else ""
        self.warnings.add((str(alert.kind), label, f"{alert.share:g}" if alert.share else ""), 1)

    def book(self, entry: Entry, *, session: str = "") -> None:
        """Count a booked call; a real figure takes the place of the estimate that was counted for it."""
        before = self._correctable.pop(entry.id, None)
        if before is not None:
            self._count(*before, -1)
        self._count(entry, session, 1)
        if entry.status is Status.ESTIMATED:
            self._correctable[entry.id] = (entry, session)
            if len(self._correctable) > _MAX_CORRECTABLE:
                self._correctable.popitem(last=False)

    def _count(self, entry: Entry, session: str, sign: int) -> None:
        caller = (entry.provider, entry.model, entry.agent, session)
        self.calls.add((*caller, entry.operation, str(entry.status)), sign)
        if entry.operation != EXECUTE_TOOL:
            self.cost.add(caller, sign * entry.cost)
            self.tokens.add((*caller, "input"), sign * (entry.input_tokens or 0))
            self.tokens.add((*caller, "output"), sign * (entry.output_tokens or 0))


def label_of(limit: Limit, own: frozenset[Limit]) -> str:
    """A limit as an attribute value: in words, but without the amount where a session brought it (there are many)."""
    return str(limit) if limit in own else _its_own(limit.meter, limit.key)


@lru_cache(maxsize=64)
def words(own: frozenset[Limit]) -> frozenset[str]:
    """Limits in words, of which each has its own."""
    return frozenset(map(str, own))


def _its_own(meter: str, per: str) -> str:
    return f"{meter} per {per}, its own"
