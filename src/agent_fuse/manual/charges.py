"""Costs that no model call tells: a GPU rented, a search paid for, held and booked in the same limits."""

from collections.abc import Generator
from contextlib import contextmanager
from decimal import Decimal

from agent_fuse import terms
from agent_fuse.accounting.call_request import Action
from agent_fuse.api import init
from agent_fuse.calls import Usd, to_nanos, to_usd
from agent_fuse.errors import ConfigurationError
from agent_fuse.fuse import Fuse
from agent_fuse.otel.gate import fail_safe, guarded_call_site
from agent_fuse.seams import HELD_AT_QUOTE, judge, quietly

_PLACE = "charging by hand"


class Charge:
    """One cost under way; what `charge` yields."""

    def __init__(self, name: str, nanos: int) -> None:
        self.name = name
        self._nanos = nanos

    @property
    def usd(self) -> Decimal:
        """What it costs, US dollars: what was given, until something else is set."""
        return to_usd(self._nanos)

    @usd.setter
    def usd(self, amount: Usd) -> None:
        self._nanos = _nanos(amount)


@contextmanager
def charge(name: str, usd: Usd, *, id: str = "") -> Generator[Charge]:
    """Work inside costs so much: held in every limit in USD before it begins, booked when it ends, 0 when it fails.

    It counts as a tool action of that name, in limits on tool calls and in reports.

    Args:
        name: what costs: `gpu`, `web_search`.
        usd: what it may cost, US dollars; set the yielded charge's `usd` inside where it came out at something else.
        id: of the order, where it may come twice: the same id is booked once in the ledger.

    Raises:
        SentinelBudgetExceeded: a limit does not admit it. ConfigurationError: no name, or no amount.
    """
    terms.name("charge", "name", name)
    one = Charge(name, _nanos(usd))
    opened = judge(_PLACE, fail_safe, _open, one, id)
    if opened is None:  # fail_safe=False: it could not be judged, and goes on
        yield one
        return
    fuse, action = opened
    try:
        yield one
    except BaseException as error:
        kind = type(error).__qualname__
        quietly(_PLACE, HELD_AT_QUOTE, fuse.actions.close, action, error=kind, message=str(error))
        raise
    quietly(_PLACE, HELD_AT_QUOTE, _close, fuse, action, one)


def _open(one: Charge, id: str) -> tuple[Fuse, Action]:
    site = guarded_call_site(init)
    line = f"charge/{one.name}/{terms.name('charge', 'id', id)}" if id else ""
    cost = to_nanos(one.usd, "charge usd")
    trace, span = site.caller.trace, site.span_id
    return site.fuse, site.fuse.actions.open(site.caller, one.name, trace_id=trace, span_id=span, cost=cost, id=line)


def _close(fuse: Fuse, action: Action, one: Charge) -> None:
    fuse.actions.close(action, cost=to_nanos(one.usd, "charge usd"))


def _nanos(amount: Usd) -> int:
    try:
        return to_nanos(amount, "charge usd")
    except ValueError as bad:
        raise ConfigurationError(str(bad)) from None
