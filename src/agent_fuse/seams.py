"""Seams: where another library or the host's runtime calls us. A fault of ours is told once a place and stays here.

Only a trip may pass a seam. Before a request is sent, a call that cannot be judged is blocked or let go, as `fail_safe`
says; after it, nothing is raised at all: the answer is paid for.
"""

import contextlib
import functools
import logging
from collections.abc import Callable
from traceback import walk_tb
from typing import ParamSpec, TypeVar

from agent_fuse.errors import ConfigurationError, SentinelError, SentinelSystemError
from agent_fuse.foreign_text import inline

log = logging.getLogger("agent_fuse")

P = ParamSpec("P")
T = TypeVar("T")

BOOKED_AT_QUOTE = "the call is booked at its quote"
HELD_AT_QUOTE = "the call stays held at its quote"
GOES_ON = "the host goes on as if nothing had been"

_OURS = (SentinelError, Exception)
"""What is kept from the host once a call has been made: there is nothing left to refuse."""

_MAX_TOLD = 1_000
_MAX_WORDS = 200
_MAX_DEPTH = 20

_told: dict[tuple[str, str, str], object] = {}
"""Faults that were logged: the seam, where in our code, and of which class."""


def fault(place: str, error: BaseException, so: str) -> None:
    """Log a fault of ours, once a place. `place` says what was being done ("reading an answer"), `so` what follows."""
    with contextlib.suppress(Exception):  # the host's own log handler failed: there is nobody left to tell
        key, mine = (place, _where(error), type(error).__name__), object()
        if len(_told) < _MAX_TOLD and _told.setdefault(key, mine) is mine:
            log.error("AgentFuse failed in %s; %s. This is told once; please report it", place, so, exc_info=error)


def unjudged(place: str, error: Exception, *, fail_safe: bool) -> None:
    """A call could not be judged because of a fault of ours: block it, or let it go.

    Call it inside the `except` that caught the fault. A trip that was on its way when the fault came goes on.

    Raises:
        SentinelError: the trip that was on its way. SentinelSystemError: fail_safe=True.
    """
    trip = _trip_behind(error)
    if trip is not None:
        fault(place, error, "the call is refused all the same")
        raise trip from trip.__cause__
    if fail_safe:
        fault(place, error, "the call is blocked, since fail_safe=True")
        raise blocked(place, error) from error
    fault(place, error, "the call goes unjudged, since fail_safe=False")


def judge(place: str, closed: Callable[[], bool], work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """Do work of ours that decides whether a call may be made; None when it failed and the call goes all the same.

    Args:
        closed: whether fail_safe=True; asked only when it matters, and where even that fails it is.

    Raises:
        SentinelError: a trip, or fail_safe=True. ConfigurationError: what the caller gave is wrong.
    """
    try:
        return work(*args, **kwargs)
    except (SentinelError, ConfigurationError):
        raise
    except Exception as error:  # noqa: BLE001  fail_safe decides
        unjudged(place, error, fail_safe=_is_closed(closed))
        return None


def blocked(place: str, error: BaseException) -> SentinelSystemError:
    """The trip for a call that could not be judged."""
    message = (
        f"call blocked since it could not be judged: {place} failed ({in_words(error)}); "
        "set fail_safe=False to let it go"
    )
    return SentinelSystemError(message, operation=place, original_error=error, retry_count=0)


def refusal(words: Callable[[], SentinelError]) -> SentinelError:
    """The trip for a call that was refused, in its own words; where finding them fails it is refused all the same."""
    try:
        return words()
    except Exception as error:  # noqa: BLE001  a fault of ours must not let a refused call go
        fault("saying why a call is refused", error, "it is refused all the same")
        message = "call refused: a limit does not admit it, and AgentFuse failed to say which; see its log"
        return SentinelSystemError(message, operation="refuse", original_error=error, retry_count=0)


def quietly(place: str, so: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """Do work of ours that the host must not notice; None when it failed."""
    try:
        return work(*args, **kwargs)
    except _OURS as error:
        fault(place, error, so)
        return None


def checked(place: str, so: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """As `quietly`, for what a caller by hand gives after the call.

    Raises:
        ConfigurationError: what the caller gave is wrong.
    """
    try:
        return work(*args, **kwargs)
    except ConfigurationError:
        raise
    except _OURS as error:
        fault(place, error, so)
        return None


def harmless(place: str, so: str) -> Callable[[Callable[P, T]], Callable[P, T | None]]:
    """Decorate a function that is handed to others to call: it raises nothing; where it fails, it answers None."""

    def decorate(work: Callable[P, T]) -> Callable[P, T | None]:
        @functools.wraps(work)
        def call(*args: P.args, **kwargs: P.kwargs) -> T | None:
            try:
                return work(*args, **kwargs)
            except _OURS as error:
                fault(place, error, so)
                return None

        return call

    return decorate


def in_words(error: BaseException) -> str:
    """An error on one short line; its class alone where it has no words for itself."""
    try:
        return inline(" ".join(f"{type(error).__name__}: {error}".split()), _MAX_WORDS)
    except Exception:  # noqa: BLE001  said while a call is judged: what is wrong with the words must not decide it
        return type(error).__name__


def _is_closed(closed: Callable[[], bool]) -> bool:
    try:
        return closed()
    except Exception:  # noqa: BLE001  what cannot be told is taken for the safe side
        return True


def _trip_behind(error: BaseException) -> SentinelError | None:
    """The trip that our own code was handling when it failed; not one that the host is handling further up."""
    ours = {id(frame) for frame, _ in walk_tb(error.__traceback__)}
    one = error.__context__
    for _ in range(_MAX_DEPTH):
        if one is None:
            break
        at = one.__traceback__
        if isinstance(one, SentinelError) and at is not None and id(at.tb_frame) in ours:
            return one
        one = one.__context__
    return None


def _where(error: BaseException) -> str:
    """The deepest line of ours that the fault came through."""
    found = ""
    for frame, line in walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith("agent_fuse.") or not found:
            found = f"{module}:{line}"
    return found
