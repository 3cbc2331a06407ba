"""Times as a person asks for them: an age, or an ISO date and time."""

import re
from datetime import datetime

from agent_fuse.errors import ConfigurationError

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def when(text: str | None, *, now: float, option: str = "--since", ahead: bool = False) -> float:
    """A time, seconds UTC epoch, from an age or an ISO date and time (local where it names no zone); None is 0.

    Args:
        ahead: what is asked for is to come: instead of an age, how long from now.

    Raises:
        ConfigurationError: it is neither.
    """
    if text is None:
        return 0.0
    age = _AGE.fullmatch(text.strip().lower())
    if age:
        seconds = float(age[1]) * _SECONDS[age[2]]
        return now + seconds if ahead else now - seconds
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        length = "a time from now" if ahead else "an age"
        raise ConfigurationError(
            f"{option} is {text!r}; write {length} such as 30m, 1h, 2d, or a date such as 2026-11-24T08:00"
        ) from None


def period(since: str | None, until: str | None, *, now: float) -> tuple[float, float | None]:
    """From when (0 for the beginning) until when (None for no end), seconds UTC epoch. Raises ConfigurationError."""
    begin = when(since, now=now)
    if until is None:
        return begin, None
    end = when(until, now=now, option="--until")
    if end <= begin:
        raise ConfigurationError(f"--until is {until!r}, which is not after --since {since!r}; swap them")
    return begin, end
