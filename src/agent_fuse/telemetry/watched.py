"""Watched: the accounts that one fuse's calls met lately, and how full each of its limits is."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agent_fuse.account_names import ALL, key_of, plain
from agent_fuse.calls import NANOS_PER_USD
from agent_fuse.fuse import Fuse
from agent_fuse.ledgers.base import Balance, Cap, Meter
from agent_fuse.ledgers.controls import Controls, read
from agent_fuse.limits import Demand, Limit
from agent_fuse.telemetry import instruments as table
from agent_fuse.telemetry.totals import label_of

MAX_ACCOUNTS = 500
"""Accounts of one fuse that are watched, the latest to be met."""

SECONDS = 900.0
"""An account that no call met for so long is watched no more, but for those that outlive every session."""

_LASTING = frozenset({ALL, "process"})

Attributes = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class LimitLevel:
    """How full one limit is. Amounts are USD for the meter usd, else counts."""

    attributes: Attributes
    cap: float
    spent: float
    held: float
    utilization: float


class Watched:
    """One fuse as metrics see it. Not safe in threads: whoever feeds it holds a lock."""

    def __init__(self, fuse: Fuse) -> None:
        self.fuse = fuse
        self.followers = 0
        """How many processors have it shown."""
        self.ears: tuple[Callable[[], None], ...] = ()
        """Called one by one, they end that its warnings, errors and durations are heard."""
        self.listens: Callable[[], None] | None = None
        """The same for its calls, which are heard until those that are open when it is left are booked."""
        self.left_at: float | None = None
        """Seconds, by the fuse's clock: calls that began later are not counted."""
        self.own = frozenset(fuse.limits)
        self.sessions = fuse.settings.metrics_session
        self._met: OrderedDict[Cap, tuple[Limit, float]] = OrderedDict()
        """Caps, the limit behind each, and when it was met last."""
        for limit in fuse.limits:
            if limit.key == ALL and limit.over is None:
                self._met[Cap(ALL, limit.meter, limit.cap)] = (limit, 0.0)

    def met(self, due: Demand, now: float) -> None:
        """A call met these caps. `now`: seconds of any clock, the same as `read` is given."""
        for limit, cap in zip(due.limits, due.caps, strict=True):
            self._met[cap] = (limit, now)
            self._met.move_to_end(cap)
        while len(self._met) > MAX_ACCOUNTS:
            self._met.popitem(last=False)

    def read(self, now: float) -> tuple[int, list[LimitLevel]]:
        """Spend in the whole ledger (nano-dollars), and how full each limit is: its fullest account, or each key.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        for cap, (limit, at) in list(self._met.items()):
            if limit.key not in _LASTING and now - at > SECONDS:
                del self._met[cap]
        balances = self.fuse.balances(sorted({ALL, *(cap.account for cap in self._met)}))
        controls, at = self._controls(), self.fuse.clock()
        fullest: dict[Attributes, LimitLevel] = {}
        for cap, (limit, _) in self._met.items():
            attributes = tuple(self._attributes(limit, cap.account))
            amount = cap.amount + controls.topped_up(cap.account, cap.meter, at)
            found = _standing(attributes, cap, amount, balances[cap.account], at)
            if attributes not in fullest or fullest[attributes].utilization < found.utilization:
                fullest[attributes] = found
        return balances[ALL].settled.usd, list(fullest.values())

    def _controls(self) -> Controls:
        self.fuse.reentrancy.enter()
        try:
            return read(self.fuse.ledger.controls({plain(cap.account) for cap in self._met}))
        finally:
            self.fuse.reentrancy.leave()

    def _attributes(self, limit: Limit, account: str) -> Iterator[tuple[str, str]]:
        yield table.LIMIT, label_of(limit, self.own)
        yield table.PER, limit.key
        yield table.METER, limit.meter.value
        if limit.key != ALL and (self.sessions or limit.key == "agent"):
            yield table.KEY, key_of(account)[1]


def _standing(attributes: Attributes, cap: Cap, amount: int, balance: Balance, now: float) -> LimitLevel:
    unit = NANOS_PER_USD if cap.meter is Meter.USD else 1
    spent, held = balance.used(cap.meter, now)
    used = (spent + held) / amount if amount else 1.0
    return LimitLevel(attributes, amount / unit, spent / unit, held / unit, used)
