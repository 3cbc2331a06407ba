"""One model call guarded by hand: quoted and held when it opens, booked when it closes."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from decimal import Decimal
from threading import get_ident
from types import TracebackType
from typing import Self
from weakref import ref

from agent_fuse import terms as check
from agent_fuse.accounting.call_request import CallRequest, Stage
from agent_fuse.api import init
from agent_fuse.calls import Usage, to_usd
from agent_fuse.charged import says_nothing
from agent_fuse.errors import ConfigurationError, SentinelError
from agent_fuse.fuse import Fuse, Seen
from agent_fuse.locks import Lock
from agent_fuse.manual.failures import is_free
from agent_fuse.manual.usage_reader import ResponsesTold
from agent_fuse.mistakes import spelled
from agent_fuse.otel import open_spans
from agent_fuse.otel.awaiting import awaited
from agent_fuse.otel.gate import admit, fail_safe, guarded_call_site
from agent_fuse.otel.open_spans import OpenSpan
from agent_fuse.quotes import Quote
from agent_fuse.seams import BOOKED_AT_QUOTE, GOES_ON, HELD_AT_QUOTE, checked, judge, quietly
from agent_fuse.sightings import CallState, Layer, Outcome
from agent_fuse.terms import Terms

SOURCE = "by hand"

_JUDGING = "judging a call by hand"
_AROUND = "going along with a call by hand"
_BOOKING = "booking a call by hand"

_NESTED = 64
"""Calls open around another in one context, beyond which the outermost are forgotten there."""

_OPEN: "ContextVar[tuple[ref[HandCall], ...]]" = ContextVar("agent_fuse_by_hand", default=())
"""Held weakly: a block that was interrupted where it ends never left, and must not be kept for ever."""
_claiming = Lock()


class HandCall:
    """One model call guarded by hand. `with agent_fuse.call(...)` makes one; `pre_flight` returns one."""

    seen: Seen | None = None
    _entered = False

    def __init__(self, terms: Terms, source: str = SOURCE, *, assumed: bool = False) -> None:
        self._terms = terms
        self._source = source
        self._assumed = assumed
        self._told = ResponsesTold()
        self.fuse: Fuse | None = None
        """The fuse that let it go; None before it is open."""
        self.on_end: Callable[[HandCall], None] | None = None
        self.frame: OpenSpan | None = None
        """What spans and requests of the same context find while it is open."""
        self._before: tuple[HandCall, ...] = ()
        self._claimed_by = 0
        """The thread that books it by `post_flight`, or has."""

    @property
    def model(self) -> str:
        """The model, as the caller named it."""
        return self._terms.model

    @property
    def session(self) -> str:
        """The session on whose account it goes; empty before it is open."""
        return self.seen.call.payload.request.caller.session.id if self.seen is not None else ""

    @property
    def quoted_usd(self) -> Decimal:
        """What it is quoted at, US dollars; 0 before it is open."""
        quote = self._quote()
        return to_usd(quote.cost if quote is not None else 0)

    @property
    def is_guard(self) -> bool:
        """Whether it is a call of a guarded function, which a call by hand inside it is the same as."""
        return self._source != SOURCE

    @property
    def is_guessed(self) -> bool:
        """Whether it is booked at its quote, since nothing told what it used: no response, no request inside it."""
        call = self.seen.call if self.seen is not None else None
        return (
            call is not None
            and call.state is CallState.ESTIMATED
            and all(one.usage is None and one.estimate is None for one in call.sightings)
        )

    @property
    def quoted_tokens(self) -> tuple[int, int]:
        """Input and output tokens of its quote; 0 before it is open."""
        quote = self._quote()
        return (quote.input_tokens, quote.output_tokens) if quote is not None else (0, 0)

    def _quote(self) -> Quote | None:
        """Exact also where the vocabulary was not loaded yet when it opened."""
        if self.seen is None or self.fuse is None:
            return None
        return self.fuse.accounting.exact_quote(self.seen.call.payload)

    @property
    def opened_at(self) -> float:
        """Seconds, UTC epoch, by the fuse's clock; 0 before it is open."""
        return self.seen.call.payload.started_at if self.seen is not None else 0.0

    @property
    def is_open(self) -> bool:
        """Whether it was let go and has not ended."""
        return self.seen is not None and self.seen.ended_at is None

    @spelled()
    def usage(
        self,
        input_tokens: int | None,
        output_tokens: int | None,
        *,
        cache_read_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        input_audio_tokens: int | None = None,
        output_audio_tokens: int | None = None,
    ) -> None:
        """What the call really used, tokens; None is unknown. Told more than once, the last figures count.

        Input includes cached and cache-written tokens, output includes reasoning.

        Raises:
            ConfigurationError: a figure is no count of tokens, or a part is more than its whole.
        """
        used = checked(
            "reading the usage of a call by hand",
            BOOKED_AT_QUOTE,
            check.usage,
            "call.usage",
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cache_read_tokens=cache_read_tokens,
            cache_write_tokens=cache_write_tokens,
            reasoning_tokens=reasoning_tokens,
            input_audio_tokens=input_audio_tokens,
            output_audio_tokens=output_audio_tokens,
        )
        self._told.usage = used or self._told.usage

    @spelled()
    def response(self, response: object) -> bool:
        """Take usage and id from a provider's response, an object or a dict. Returns whether it told its usage."""
        return bool(quietly("reading a response", BOOKED_AT_QUOTE, self._told.take, response))

    def piece(self, piece: object) -> None:
        """Take usage and id from a piece of a streamed response, where it tells any."""
        quietly("reading a piece of a response", BOOKED_AT_QUOTE, self._told.take_piece, piece)

    def release(self) -> None:
        """The call was not made, or cost nothing: give its hold back."""
        quietly(_BOOKING, HELD_AT_QUOTE, self._end, Outcome.FAILED, None, None)

    def open(self, *, late: bool = False) -> Self:
        """Quote the call and take its hold; `late` is a call that was made already, and is never refused.

        Raises:
            SentinelBudgetExceeded: a limit does not admit it. SentinelSystemError: the ledger failed and
            fail_safe=True. SentinelError: the session is tripped. ConfigurationError: it was opened before.
        """
        if self.seen is not None:
            raise ConfigurationError(f"call to {self.model} was opened before; make another for each call")
        try:
            return self._open(late=late)
        except (SentinelError, Exception):
            raise
        except BaseException:  # a KeyboardInterrupt: the call will not be made
            self.release()
            raise

    def _open(self, *, late: bool) -> Self:
        site = guarded_call_site(init)
        said = self._terms
        self._before = open_here()[1 - _NESTED :]
        request = CallRequest(
            layer=Layer.FRAMEWORK,
            source=self._source,
            caller=site.caller,
            operation=said.operation,
            provider=said.provider,
            model=said.model,
            estimate=said.estimate,
            body=said.body,
            trace_id=site.caller.trace,
            span_id=site.span_id,
            stage=Stage.OVER if late else Stage.READY,
        )
        around = [*site.around(), *(one.seen for one in reversed(self._before) if one.seen is not None)]
        self.fuse = site.fuse
        self.seen = admit(self.fuse, request, around, site.node)
        self.frame = quietly(_AROUND, GOES_ON, site.framing, self.seen, said.operation)
        return self

    def enter(self) -> None:
        """What this context does from here on happens in this call."""
        self._entered = True
        if self.frame is not None:
            _OPEN.set((*(ref(one) for one in self._before), ref(self)))
            open_spans.enter(self.frame)

    def leave(self) -> None:
        """What this context does from here on happens in the calls around this one."""
        if self.frame is not None:
            _OPEN.set(tuple(ref(one) for one in open_here() if one is not self))
            outer = self._before[-1] if self._before else None
            open_spans.leave(self.frame, outer.frame if outer is not None and outer.is_open else None)

    def close(self, error: BaseException | None = None) -> None:
        """The call ended, with `error` if it raised; it is booked. Never raises; a second time says nothing.

        What was told of its usage is booked whatever happened since. Without usage, an error after which nothing can
        have been charged gives the hold back, and anything else is booked by estimate.
        """
        told = self._told
        if told.usage is not None or error is None:
            quietly(_BOOKING, HELD_AT_QUOTE, self._end, Outcome.DONE, told.usage or told.pieces, None)
        elif quietly("telling what an error cost", BOOKED_AT_QUOTE, is_free, error):
            quietly(_BOOKING, HELD_AT_QUOTE, self._end, Outcome.FAILED, None, None)
        else:
            unsure = quietly("telling what an error cost", BOOKED_AT_QUOTE, says_nothing, error) or False
            quietly(_BOOKING, HELD_AT_QUOTE, self._end, Outcome.BROKEN, None, told.pieces, unsure=unsure)

    def finish(self, usage: Usage, response_id: str) -> None:
        """It ended well, and this is what it used."""
        self._told.usage, self._told.response_id = usage, response_id or self._told.response_id
        self.close()

    def claim(self) -> bool:
        """Take it for the one `post_flight` that belongs to it: True once, for one thread."""
        me = get_ident()
        with _claiming:
            free = self.is_open and self._claimed_by in (0, me)
            self._claimed_by = self._claimed_by or me
        return free

    def rename(self, model: str) -> None:
        """The model that answered is known better than the one that was asked for."""
        pending = self.seen.call.payload if self.seen is not None else None
        if pending is None or model in ("", pending.request.model):
            return
        if pending.request.source == self._source:
            pending.request = replace(pending.request, model=model)

    def _end(self, outcome: Outcome, usage: Usage | None, estimate: Usage | None, *, unsure: bool = False) -> None:
        if self.seen is None or self.fuse is None:
            return
        self._claimed_by = self._claimed_by or get_ident()
        if self.on_end is not None:
            quietly("forgetting a call by hand", GOES_ON, self.on_end, self)
        if self._assumed:
            quietly("naming a call's model", GOES_ON, self.rename, self._told.model)
        self.fuse.close_call(
            self.seen,
            outcome=outcome,
            unsure=unsure,
            usage=usage,
            estimate=estimate,
            model=self._told.model,
            response_id=self._told.response_id,
            tier=self._told.tier,
        )

    def __enter__(self) -> Self:
        try:
            judge(_JUDGING, fail_safe, self.open)
            quietly(_AROUND, GOES_ON, self.enter)
        except (SentinelError, Exception):
            raise
        except BaseException:  # a KeyboardInterrupt: its block will not run
            quietly(_AROUND, GOES_ON, self.leave)
            self.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        del kind, at
        try:
            quietly(_AROUND, GOES_ON, self.leave)
            quietly(_BOOKING, HELD_AT_QUOTE, self.close, error)
        except BaseException:  # a KeyboardInterrupt: what was told is booked all the same
            quietly(_AROUND, GOES_ON, self.leave)
            quietly(_BOOKING, HELD_AT_QUOTE, self.close, error)
            raise

    async def __aenter__(self) -> Self:
        return await awaited(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, at)

    def __del__(self) -> None:
        """Nobody has it any more: it was interrupted where it began or ended, and is closed by what it was told."""
        seen = self.seen
        if seen is not None and seen.ended_at is None:
            quietly(_BOOKING, HELD_AT_QUOTE, self.close if self._entered else self.release)


def open_here() -> tuple[HandCall, ...]:
    """Calls by hand that are open in this context, the innermost last."""
    return tuple(one for one in (held() for held in _OPEN.get()) if one is not None and one.is_open)
