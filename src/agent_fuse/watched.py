"""Watched: the accounts that one fuse's calls met lately, and how full each of its limits is."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from agent_fuse import instruments as table
from agent_fuse.calls import NANOS_PER_USD
from agent_fuse.fuse import Fuse
from agent_fuse.ledgers.base import Meter
from agent_fuse.limits import ALL, Demand, Limit
from agent_fuse.totals import label_of

MAX_ACCOUNTS = 500
"""Accounts of one fuse that are watched, the latest to be met."""

SECONDS = 900.0
"""An account that no call met for so long is watched no more, but for those that outlive every session."""

_LASTING = frozenset({ALL, "process"})


@dataclass(frozen=True, slots=True)
class Standing:
    """How full one limit is. Amounts are USD for the meter usd, else counts."""

    attributes: tuple[tuple[str, str], ...]
    cap: float
    spent: float
    held: float
    utilization: float


class Watched:
    """One fuse as metrics see it. Not safe in threads: whoever feeds it holds a lock."""

    def __init__(self, fuse: Fuse) -> None:
        self.fuse = fuse
        self.own = frozenset(fuse.limits)
        self.sessions = fuse.settings.metrics_session
        self._met: OrderedDict[tuple[str, str, str, Meter], tuple[int, float]] = OrderedDict()
        """By label, per, account and meter: the cap, and when it was met last."""
        for limit in fuse.limits:
            if limit.per == ALL:
                self._meet(limit, ALL, limit.cap, 0.0)

    def met(self, due: Demand, now: float) -> None:
        """A call met these caps. `now`: seconds of any clock, the same as `read` is given."""
        for limit, cap in zip(due.limits, due.caps, strict=True):
            self._meet(limit, cap.account, cap.amount, now)

    def _meet(self, limit: Limit, account: str, cap: int, now: float) -> None:
        key = (label_of(limit, self.own), limit.per, account, limit.meter)
        self._met[key] = (cap, now)
        self._met.move_to_end(key)
        if len(self._met) > MAX_ACCOUNTS:
            self._met.popitem(last=False)

    def read(self, now: float) -> tuple[int, list[Standing]]:
        """Spend in the whole ledger (nano-dollars), and how full each limit is: its fullest account, or each key.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        for key, (_, at) in list(self._met.items()):
            if key[1] not in _LASTING and now - at > SECONDS:
                del self._met[key]
        balances = self.fuse.balances(sorted({ALL, *(account for _, _, account, _ in self._met)}))
        fullest: dict[tuple[tuple[str, str], ...], Standing] = {}
        for (label, per, account, meter), (cap, _) in self._met.items():
            balance = balances[account]
            attributes = tuple(self._attributes(label, per, account, meter))
            found = _standing(
                attributes, meter, cap, getattr(balance.settled, meter.value), getattr(balance.held, meter.value)
            )
            if attributes not in fullest or fullest[attributes].utilization < found.utilization:
                fullest[attributes] = found
        return balances[ALL].settled.usd, list(fullest.values())

    def _attributes(self, label: str, per: str, account: str, meter: Meter) -> Iterator[tuple[str, str]]:
        yield table.LIMIT, label
        yield table.PER, per
        yield table.METER, meter.value
        if per != ALL and (self.sessions or per == "agent"):
            yield table.KEY, account.partition("=")[2]


def _standing(attributes: tuple[tuple[str, str], ...], meter: Meter, cap: int, spent: int, held: int) -> Standing:
    unit = NANOS_PER_USD if meter is Meter.USD else 1
    return Standing(attributes, cap / unit, spent / unit, held / unit, (spent + held) / cap if cap else 1.0)
