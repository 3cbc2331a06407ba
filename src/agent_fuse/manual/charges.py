"""Costs that no model call tells: a GPU rented, a search paid for, held and booked in the same limits."""

from contextlib import ContextDecorator
from dataclasses import replace
from decimal import Decimal
from types import TracebackType
from typing import Self

from agent_fuse import terms
from agent_fuse.accounting.call_request import Action
from agent_fuse.api import init
from agent_fuse.calls import Usd, to_nanos, to_usd
from agent_fuse.errors import ConfigurationError
from agent_fuse.fuse import Fuse
from agent_fuse.mistakes import spelled
from agent_fuse.otel.awaiting import awaited
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


class Charging(ContextDecorator):
    """What `charge` returns: a block, plain or async, or a decorator of plain functions."""

    def __init__(self, name: str, usd: Usd, id: str) -> None:
        self._given = name, usd, id
        self._one = Charge(name, _nanos(usd))
        self._opened: tuple[Fuse, Action] | None = None

    def __enter__(self) -> Charge:
        self._opened = judge(_PLACE, fail_safe, _open, self._one, self._given[2])
        return self._one

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        del kind, at
        if self._opened is None:  # fail_safe=False: it could not be judged, and goes on
            return
        fuse, action = self._opened
        if error is None:
            quietly(_PLACE, HELD_AT_QUOTE, _close, fuse, action, self._one)
        else:
            quietly(_PLACE, HELD_AT_QUOTE, _fail, fuse, action, error)

    async def __aenter__(self) -> Charge:
        return await awaited(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, at)

    def _recreate_cm(self) -> Self:
        return type(self)(*self._given)


@spelled()
def charge(name: str, usd: Usd, *, id: str = "") -> Charging:
    """Work inside costs so much: held in every limit in USD before it begins, booked when it ends, 0 when it fails.

    It counts as a tool action of that name, in limits on tool calls and in reports. `with charge(…)` waits in its
    thread where a limit lets it; `async with charge(…)` is awaited.

    Args:
        name: what costs: `gpu`, `web_search`.
        usd: what it may cost, US dollars; set the yielded charge's `usd` inside where it came out at something else.
        id: of the order, where it may come twice: the same id is booked once in the ledger.

    Raises:
        SentinelBudgetExceeded: a limit does not admit it. ConfigurationError: no name, or no amount.
    """
    terms.name("charge", "name", name)
    if id != "":
        terms.name("charge", "id", id)
    return Charging(name, usd, id)


def _open(one: Charge, id: str) -> tuple[Fuse, Action]:
    site = guarded_call_site(init)
    line = f"charge/{one.name}/{id}" if id else ""
    cost = to_nanos(one.usd, "charge usd")
    trace, span = site.caller.trace, site.span_id
    return site.fuse, site.fuse.actions.open(site.caller, one.name, trace_id=trace, span_id=span, cost=cost, id=line)


def _close(fuse: Fuse, action: Action, one: Charge) -> None:
    fuse.actions.close(action, cost=to_nanos(one.usd, "charge usd"))


def _fail(fuse: Fuse, action: Action, error: BaseException) -> None:
    """One that failed is written down under an id of its own: an order that is tried again is booked then."""
    held = action.entry.id
    fuse.reentrancy.account(lambda: fuse.accounting.retry.release(held))
    action.entry, action.held = replace(action.entry, id=fuse.accounting.new_id()), False
    fuse.actions.close(action, error=type(error).__qualname__, message=str(error))


def _nanos(amount: Usd) -> int:
    try:
        return to_nanos(amount, "charge usd")
    except ValueError as bad:
        raise ConfigurationError(str(bad)) from None
