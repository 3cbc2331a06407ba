"""What a limit is given, checked: its keys, its cap, and what it does where it is tight."""

from numbers import Integral, Real
from typing import cast

from agent_fuse.account_names import ALL
from agent_fuse.calls import Usd, to_nanos
from agent_fuse.errors import ConfigurationError
from agent_fuse.foreign_text import unbroken
from agent_fuse.keys import canonical
from agent_fuse.ledgers.base import Meter

_PAIR = 2
_LONGEST_WAIT = 86_400
_ON_TIGHT = ("refuse", "pause", "clamp", "downgrade")
_SHRINKS = frozenset({Meter.USD, Meter.TOKENS, Meter.OUTPUT_TOKENS})
"""Meters on which less output is less."""


def waiting(meter: Meter, on_limit: object, max_wait: object) -> None:
    """Raises ConfigurationError: a limit cannot be waited for in this way."""
    if on_limit not in ("refuse", "wait"):
        raise ConfigurationError(f"Limit on_limit={on_limit!r}; it must be 'refuse' or 'wait'")
    if on_limit == "wait" and meter is Meter.SECONDS:
        raise ConfigurationError("Limit seconds with on_limit='wait'; time that has passed does not come back")
    if not 0 < _seconds(max_wait) <= _LONGEST_WAIT:
        raise ConfigurationError(f"Limit max_wait={max_wait!r}; it must be a number of seconds up to {_LONGEST_WAIT:,}")


def keys(per: object) -> tuple[str, ...]:
    """What a limit is per, in the keys' own spelling. Raises ConfigurationError."""
    those = cast("tuple[object, ...]", per) if isinstance(per, tuple) else (per,)
    given: list[str] = []
    for one in those:
        if not isinstance(one, str) or not one.strip() or "," in one or unbroken(one) != one:
            raise ConfigurationError(
                f"Limit per={per!r}; it must be 'session', 'agent', ... or an attribute name, or a pair of them: "
                "per=('user.id', 'model')"
            )
        given.append(canonical(one, stacklevel=5))
    if len(given) > 1 and (len(set(given)) != _PAIR or ALL in given):
        raise ConfigurationError(f"Limit per={per!r}; a pair is two different keys, none of them 'all'")
    if not given:
        raise ConfigurationError("Limit per=(); name a key, or a pair of them")
    return tuple(given)


def cap(meter: Meter, value: object, name: str = "") -> int:
    """The figure that is never to be passed: nano-dollars for usd, else a count. Raises ConfigurationError."""
    if meter is Meter.USD:
        try:
            return to_nanos(cast("Usd", value), f"Limit {name or meter}")
        except ValueError as bad:
            raise ConfigurationError(str(bad)) from None
    whole = isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole:
        raise ConfigurationError(f"Limit {name or meter}={value!r}; it must be a whole number, 0 or more")
    found = int(cast("int", value))  # numpy's are Integral and no int
    if not 0 <= found < 2**53:
        raise ConfigurationError(f"Limit {name or meter}={value!r}; it must be a whole number from 0 to 2**53")
    return found


def reserve(meter: Meter, value: object, most: int) -> int:
    """What of a cap is kept for a last answer, in its unit. Raises ConfigurationError."""
    if value is None:
        return 0
    if meter is Meter.SECONDS:
        raise ConfigurationError(f"Limit seconds with reserve={value!r}; time cannot be kept")
    kept = cap(meter, value, "reserve")
    if kept >= most:
        raise ConfigurationError(f"Limit reserve={value!r}; it must be less than the limit itself")
    return kept


def tight(meter: Meter, on_tight: object, pause_for: object) -> None:
    """Raises ConfigurationError: what a limit does where it is tight cannot be."""
    if on_tight is not None and on_tight not in _ON_TIGHT:
        allowed = " or ".join(map(repr, _ON_TIGHT))
        raise ConfigurationError(f"Limit on_tight={on_tight!r}; it must be {allowed}")
    if on_tight == "clamp" and meter not in _SHRINKS:
        raise ConfigurationError(f"Limit {meter} with on_tight='clamp'; only usd, tokens and output_tokens can be")
    if on_tight == "downgrade" and meter in {Meter.TOOL_CALLS, Meter.CONCURRENT}:
        raise ConfigurationError(f"Limit {meter} with on_tight='downgrade'; no cheaper model helps there")
    if pause_for is not None and not 0 < _seconds(pause_for) <= _LONGEST_WAIT:
        raise ConfigurationError(
            f"Limit pause_for={pause_for!r}; it must be a number of seconds up to {_LONGEST_WAIT:,}"
        )


def _seconds(value: object) -> float:
    return -1.0 if isinstance(value, bool) or not isinstance(value, Real) else float(value)
