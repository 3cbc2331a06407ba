"""Guarding by hand: `with call(...)`, and the pair of `pre_flight` and `post_flight`."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any, TypeVar, cast

from agent_fuse import terms as check
from agent_fuse.api import init
from agent_fuse.calls import Usage
from agent_fuse.errors import ConfigurationError, SentinelError
from agent_fuse.fuse import Fuse
from agent_fuse.locks import Lock
from agent_fuse.manual.calls import HandCall, open_here
from agent_fuse.mistakes import spelled
from agent_fuse.otel import gate
from agent_fuse.seams import GOES_ON, HELD_AT_QUOTE, checked, harmless, judge, quietly
from agent_fuse.terms import Terms

F = TypeVar("F", bound=Callable[..., object])

_TERMS = "reading the terms of a call by hand"
_BOOKING = "booking a call by hand"

MAX_PENDING = 10_000
"""Calls that wait for their post_flight; beyond it the oldest is booked by estimate."""


@spelled()
def call(
    model: str,
    estimated_input_tokens: int | None = None,
    estimated_output_tokens: int | None = None,
    messages: Sequence[Any] | None = None,
    prompt: str | Sequence[str] | None = None,
    *,
    provider: str = "",
) -> HandCall:
    """Guard one model call: `with agent_fuse.call("gpt-4o", messages=...) as call:`, or `async with`.

    Entering quotes the call and takes its hold. Inside, tell what it used by `call.response(response)` or
    `call.usage(input_tokens, output_tokens)`. Leaving books it: without usage by estimate; after an error for which
    nothing can have been charged, its hold is given back. Spans and SDK requests inside are the same call.

    Args:
        estimated_input_tokens: where left out, counted from `messages` or `prompt`, else learned from earlier calls.
        estimated_output_tokens: where left out, learned from earlier calls.

    Raises:
        ConfigurationError: a bad argument; at once. SentinelBudgetExceeded, SentinelSystemError, SentinelError: when
        entered, as `pre_flight` does.
    """
    terms = judge(
        _TERMS,
        gate.fail_safe,
        check.terms,
        "call",
        model,
        estimated_input_tokens=estimated_input_tokens,
        estimated_output_tokens=estimated_output_tokens,
        messages=messages,
        prompt=prompt,
        provider=provider,
    )
    return HandCall(terms or Terms(model=model, provider=provider))


_NEWEST: ContextVar[HandCall | None] = ContextVar("agent_fuse_newest_by_hand", default=None)
"""What `pre_flight` is about to hand out here."""


def _or_given_back(func: F) -> F:
    """Decorates `pre_flight`: who is interrupted before he gets the call has nothing to book, and made none."""

    @wraps(func)
    def hand_out(*args: Any, **given: Any) -> object:
        _NEWEST.set(None)
        try:
            return func(*args, **given)
        except (SentinelError, Exception):
            raise
        except BaseException:  # a KeyboardInterrupt
            made = _NEWEST.get()
            if made is not None:
                quietly("keeping a call by hand", HELD_AT_QUOTE, made.leave)
                made.release()
            raise

    return cast("F", hand_out)


@_or_given_back
@spelled()
def pre_flight(
    model: str,
    estimated_input_tokens: int | None = None,
    estimated_output_tokens: int | None = None,
    messages: Sequence[Any] | None = None,
    prompt: str | Sequence[str] | None = None,
    *,
    provider: str = "",
) -> HandCall:
    """Refuse the call that is about to be made, or take its hold until `post_flight` books what it used.

    Without a post_flight the hold is presumed spent after `hold_seconds`; `release()` of what is returned gives it back
    for a call that failed. Arguments are those of `call`.

    Raises:
        ConfigurationError: a bad argument. SentinelBudgetExceeded: a limit does not admit the call.
        SentinelSystemError: the ledger failed and fail_safe=True. SentinelError: any trip, when the session is tripped.
    """
    terms = judge(
        _TERMS,
        gate.fail_safe,
        check.terms,
        "pre_flight",
        model,
        estimated_input_tokens=estimated_input_tokens,
        estimated_output_tokens=estimated_output_tokens,
        messages=messages,
        prompt=prompt,
        provider=provider,
    )
    made = HandCall(terms or Terms(model=model, provider=provider))
    _NEWEST.set(made)
    judge("judging a call by hand", gate.fail_safe, made.open)
    quietly("keeping a call by hand", HELD_AT_QUOTE, made.enter)
    quietly("keeping a call by hand", HELD_AT_QUOTE, _pending.add, made)
    return made


@spelled()
def post_flight(
    model: str,
    input_tokens: int | None,
    output_tokens: int | None,
    metadata: Mapping[str, Any] | None = None,
    *,
    cache_read_tokens: int | None = None,
    cache_write_tokens: int | None = None,
    reasoning_tokens: int | None = None,
    input_audio_tokens: int | None = None,
    output_audio_tokens: int | None = None,
    provider: str = "",
) -> None:
    """Book what a call used, tokens; None is unknown, and booked by the call's quote.

    It belongs to the last open pre_flight of this model in this thread or task or those it was started from, else to
    the oldest of the same session and model anywhere in the process; without any it is booked by itself.

    Args:
        input_tokens: includes cached and cache-written tokens.
        output_tokens: includes reasoning tokens.
        metadata: its `response_id` is booked with the call. Nothing else of it is kept: the ledger holds no free text.

    Raises:
        ConfigurationError: a bad argument. Never a trip: what was spent is booked, at once or when the ledger is back.
    """
    if metadata is not None and not isinstance(metadata, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"post_flight metadata is {metadata!r}; it must be a mapping, or None")
    named = checked(_BOOKING, HELD_AT_QUOTE, check.told_name, "post_flight", "model", model) or model
    used = checked(
        _BOOKING,
        HELD_AT_QUOTE,
        check.usage,
        "post_flight",
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=cache_read_tokens,
        cache_write_tokens=cache_write_tokens,
        reasoning_tokens=reasoning_tokens,
        input_audio_tokens=input_audio_tokens,
        output_audio_tokens=output_audio_tokens,
    )
    response_id = str((metadata or {}).get("response_id") or "")
    found: list[HandCall] = []
    book = partial(_book, found, named, used or Usage(), response_id, provider)
    try:
        quietly(_BOOKING, HELD_AT_QUOTE, book)
    except BaseException:  # a KeyboardInterrupt: what was spent is booked all the same
        quietly(_BOOKING, HELD_AT_QUOTE, book)
        raise


def _book(found: list[HandCall], named: str, used: Usage, response_id: str, provider: str) -> None:
    if not found:
        made = _of_this_context(named) or _pending.take(gate.guarded_call_site(init).caller.session.id, named)
        if made is None:
            estimate = (used.input_tokens, used.output_tokens)
            made = HandCall(Terms(model=named, provider=provider, estimate=estimate)).open(late=True)
        found.append(made)
    made = found[0]
    made.leave()
    made.rename(named)
    made.finish(used, response_id)


def _of_this_context(model: str) -> HandCall | None:
    """The last one opened here for this model, or for the model that this one is a dated snapshot of."""
    mine = open_here()[::-1]
    fits = (
        [one for one in mine if one.model == model],
        [one for one in mine if model.startswith(one.model) or one.model.startswith(model)],
    )
    return next((one for some in fits for one in some if one.claim()), None)


class _Pending:
    """Calls of this process that wait for their post_flight, the oldest first."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew, in a forked child: the calls are its parent's."""
        self._lock = Lock()
        self._calls: dict[int, HandCall] = {}
        self._of: dict[tuple[str, str], dict[int, HandCall]] = {}
        self._sweep_at = 0.0

    def add(self, made: HandCall) -> None:
        """A pre_flight let a call go."""
        made.on_end = self.drop
        with self._lock:
            self._calls[id(made)] = made
            self._of.setdefault((made.session, made.model), {})[id(made)] = made
            oldest = next(iter(self._calls.values()))
            crowded = len(self._calls) > MAX_PENDING
        if crowded:
            oldest.close(TimeoutError())
        elif made.fuse is not None:
            self._sweep(made.fuse, oldest.opened_at)

    def drop(self, made: HandCall) -> None:
        """It ended."""
        with self._lock:
            self._calls.pop(id(made), None)
            same = self._of.get((made.session, made.model), {})
            same.pop(id(made), None)
            if not same:
                self._of.pop((made.session, made.model), None)

    def take(self, session: str, model: str) -> HandCall | None:
        """The oldest that waits, of this session and model."""
        with self._lock:
            waiting = list(self._of.get((session, model), {}).values())
        return next((one for one in waiting if one.claim()), None)

    def _sweep(self, fuse: Fuse, oldest: float) -> None:
        """Let the ledger turn holds into presumed spend, once in a while when the oldest call here has expired."""
        now, age = fuse.clock(), fuse.settings.hold_seconds
        if oldest + age > now or now < self._sweep_at:
            return
        self._sweep_at = now + age / 10
        fuse.reentrancy.account(lambda: fuse.accounting.retry.do("sweep", lambda: fuse.ledger.sweep(now=now)))


_pending = _Pending()
os.register_at_fork(after_in_child=harmless("beginning anew in a forked child", GOES_ON)(_pending.renew))
