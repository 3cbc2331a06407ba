"""Everything AgentFuse raises.

    BaseException
     └ SentinelError                 a trip: a call was refused, nothing was sent
        ├ SentinelBudgetExceeded     a limit (USD, tokens, calls) does not admit the call
        ├ SentinelLoopError          the same tool action again and again
        └ SentinelSystemError        the ledger, or AgentFuse itself, failed and fail_safe=True
    Exception
     ├ ConfigurationError            a bad option, named with its value and what is allowed (a ValueError)
     │  └ UnknownModelError          no price for a model, and unknown_model="block"
     └ SentinelException             a trip in its soft form, whatever it is (also a SentinelError)
        └ SentinelBudgetExceededError   the soft form of SentinelBudgetExceeded

A trip is a BaseException so that no `except Exception` in a framework, callback manager or retry loop swallows it. Each
has a *soft* twin that is also an Exception, for the few places that only know Exception (see `soften`, `boundary`); its
class is public so that an exception handler of a web framework can be registered for it.
"""

from collections.abc import Mapping
from copy import copy
from datetime import datetime
from decimal import Decimal
from typing import Any, Self, TypeVar

from agent_fuse.calls import RefusedBy
from agent_fuse.foreign_text import inline
from agent_fuse.mistakes import ConfigurationError, spelled

__all__ = [
    "ConfigurationError",
    "SentinelBudgetExceeded",
    "SentinelError",
    "SentinelLoopError",
    "SentinelSystemError",
    "UnknownModelError",
    "is_soft",
    "public_class",
    "soften",
    "trip_of",
]

_MAX_LINKS = 1_000
"""Errors behind an error that are looked at."""

_GROUP: type[BaseException] = BaseExceptionGroup

_Trip = TypeVar("_Trip", bound="SentinelError")


class UnknownModelError(ConfigurationError):
    """A model without a price, where the user chose to block those."""


class SentinelError(BaseException):
    """A trip: AgentFuse refused a call before it left. Base of all trips; not an Exception, on purpose."""

    reason = "trip"
    """One word for `agent_fuse.refused.reason` on spans and in metrics."""

    def __init__(self, message: str, **fields: object) -> None:
        try:
            line = inline(message)
        except Exception:  # noqa: BLE001  whatever is wrong with the words: without a trip there is nothing to raise
            line = ascii(message)
        super().__init__(line)
        self.__dict__.update(fields)

    @property
    def message(self) -> str:
        """The one line a person can act on."""
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (public_class(self), is_soft(self), self.args, self.__dict__)

    def __copy__(self) -> Self:
        return _rebuild(type(self), self.args, self.__dict__)


class SentinelBudgetExceeded(SentinelError):
    """A limit does not admit the call. Figures are USD (Decimal) for a `usd` limit, else counts (Decimal, whole)."""

    reason = "budget"
    limit: str
    """The limit in words: `$5.00 per session 'run-1'`."""
    kind: str
    """`exceeded`; `busy` where the call would fit if the open ones cost nothing; `stopped` where someone stopped it."""
    meter: str
    """`usd`, `tokens`, `output_tokens`, `calls`, `tool_calls`, `concurrent` or `seconds`."""
    spent: Decimal
    """Settled on the limit's account."""
    held: Decimal
    """Reserved by calls still open."""
    requested: Decimal
    """What the refused call asked for: its quote."""
    budget_limit: Decimal
    """The cap."""
    model: str
    """Model of the refused call, empty when unknown."""
    session: str
    resets_at: datetime | None
    """When the limit's window has room for the call again (UTC); None without a window, or where it never has."""
    retry_after: float | None
    """Seconds until then."""
    cut_off: bool = False
    """Nothing was refused before it was sent: a streamed answer was ended, and what came of it is booked."""
    refused_by: RefusedBy
    """The limit as the journal keeps it: its key and value, its figures as integers, and what to do."""

    @property
    def key(self) -> str:
        """Whose limit it was: the session, the user, …; empty for `all`, and where no limit refused it."""
        return self.refused_by.value

    @property
    def current_spend(self) -> Decimal:
        """What is spoken for: `spent` plus `held`."""
        return self.spent + self.held

    @property
    def estimated_cost(self) -> Decimal:
        """The quote of the refused call, same as `requested`."""
        return self.requested

    @property
    def overage(self) -> Decimal:
        """How far past the cap the call would have gone; never negative."""
        return max(self.current_spend + self.requested - self.budget_limit, Decimal(0))


class SentinelLoopError(SentinelError):
    """A tool action is stuck in a loop."""

    reason = "loop"
    tool: str
    call_count: int
    """How often the action was asked for, this one included."""
    pattern: str
    """Readable signature: `tool_name|{"canonical": "arguments"}`."""
    kind: str
    """`repeat`, `cycle` or `error`."""
    session: str

    @property
    def signature(self) -> str:
        """The same as `pattern`."""
        return self.pattern


class SentinelSystemError(SentinelError):
    """The ledger or AgentFuse itself failed and `fail_safe=True`: the call was blocked since nothing could judge it."""

    reason = "system"
    operation: str
    """What was being done: reserve, settle, open, ..."""
    original_error: BaseException
    retry_count: int


def soften(trip: SentinelError) -> SentinelError:
    """The same trip as an ordinary Exception: caught by its public class and by `except Exception`."""
    if is_soft(trip):
        return trip
    soft: SentinelError = _rebuild(_SOFT[type(trip)], trip.args, trip.__dict__)
    soft.__cause__, soft.__suppress_context__ = trip.__cause__, trip.__suppress_context__
    return soft


def is_soft(trip: BaseException) -> bool:
    """Whether a trip is in its soft form."""
    return isinstance(trip, SentinelError) and isinstance(trip, Exception)


@spelled()
def trip_of(error: BaseException | None) -> SentinelError | None:
    """The trip that an error is, or that stands behind it: as its cause or context, or in an exception group.

    For frameworks that wrap what ends a run (Google's ADK raises RuntimeError): `if trip := trip_of(error): …`.
    """
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < _MAX_LINKS:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        if isinstance(one, SentinelError):
            return one
        seen.add(id(one))
        inside: tuple[BaseException, ...] = getattr(one, "exceptions", ()) if isinstance(one, _GROUP) else ()
        waiting += [one.__context__, one.__cause__, *reversed(inside)]  # the last is looked at first
    return None


def _rebuild(kind: type[_Trip], args: tuple[Any, ...], fields: Mapping[str, object]) -> _Trip:
    trip = kind.__new__(kind, *args)
    trip.args = args
    trip.__dict__.update({name: copy(value) if isinstance(value, dict) else value for name, value in fields.items()})  # pyright: ignore[reportUnknownArgumentType]
    return trip


def _restore(kind: type[SentinelError], soft: bool, args: tuple[Any, ...], fields: Mapping[str, object]) -> Any:
    return _rebuild(_SOFT[kind] if soft else kind, args, fields)


def public_class(trip: SentinelError) -> type[SentinelError]:
    """The public class of a trip, hard or soft."""
    return next(kind for kind in type(trip).__mro__ if kind in _SOFT)


class SentinelException(Exception):
    """A trip in its soft form: what `boundary` raises, and what reaches code that only knows Exception."""


class SentinelBudgetExceededError(SentinelBudgetExceeded, SentinelException):
    """The soft form of SentinelBudgetExceeded, for handlers that are registered by an Exception's class."""


class _SoftLoopError(SentinelLoopError, SentinelException):
    """The soft form of SentinelLoopError."""


class _SoftSystemError(SentinelSystemError, SentinelException):
    """The soft form of SentinelSystemError."""


_SOFT: dict[type[SentinelError], type[SentinelError]] = {
    SentinelBudgetExceeded: SentinelBudgetExceededError,
    SentinelLoopError: _SoftLoopError,
    SentinelSystemError: _SoftSystemError,
}

for _kind, _soft in _SOFT.items():
    # Soft twins carry the public name, so that logs and spans name what a user can catch.
    _soft.__name__ = _soft.__qualname__ = _kind.__name__
