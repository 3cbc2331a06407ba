"""Cutting off: a streamed answer that outgrows its hold asks for more, and ends where a limit does not admit that.

Nothing is asked of the ledger while what came is within the hold. Beyond it the hold is enlarged by a quarter of what
it was at first, or by what is left: no limit is passed by more than one event.
"""

from collections.abc import Callable
from dataclasses import replace

from agent_fuse.accounting import outgrown
from agent_fuse.calls import Usage
from agent_fuse.errors import SentinelError
from agent_fuse.fuse import Fuse, Seen
from agent_fuse.otel.response import AnswerReader, Cut
from agent_fuse.quoting.quote import Source
from agent_fuse.wire import Reading

Form = Callable[[SentinelError], SentinelError]

_LEAST_SPARE = 64
"""Tokens that a hold is enlarged by at least."""
_PARTS = 4
_DOUBTLESS = 6
"""Bytes a token is seldom longer than, whatever the language: an estimate must not end what keeps to its max_tokens."""


def can_be_cut_off(seen: Seen) -> bool:
    """Whether the answer to a call is to be watched while it comes."""
    return outgrown.can_be(seen.call.payload)


class CutOff:
    """Reads a streamed answer event by event, until it is to end. Stands before the reader of its usage."""

    def __init__(self, fuse: Fuse, seen: Seen, reader: AnswerReader, reading: Reading, form: Form) -> None:
        quote = seen.call.payload.quote
        self._fuse = fuse
        self._seen = seen
        self._reader = reader
        self._reading = reading
        self._form = form
        self._held = quote.output_tokens if quote is not None else 0
        self._spare = max(self._held // _PARTS, _LEAST_SPARE)
        self._stated = quote is not None and quote.output_source is Source.BODY
        self.cut = False

    def feed(self, data: bytes) -> Cut | None:
        """Take the next bytes of the body, up to the event that is one too many."""
        at = 0
        while at < len(data):
            end = _after_event(data, at)
            self._reader.feed(data[at:end])
            trip = self._judge()
            if trip is not None:
                self.cut = True
                return Cut(data[:end], trip, self._form)
            at = end
        return None

    def close(self) -> None:
        """The body ended as it should."""
        self._reader.close()

    def what_came(self) -> Usage:
        """The usage that was told, with the output that was seen."""
        told = self._reading.usage
        return Usage(output_tokens=self._came()) if told is None else replace(told, output_tokens=self._came())

    def _came(self) -> int:
        """Output tokens so far, as far as is known."""
        reading = self._reading
        told = reading.usage.output_tokens if reading.usage is not None else None
        return max(reading.written_tokens, told or 0)

    def _passed(self, came: int) -> bool:
        """Whether more came than is held. Where the request states the most it wants, that is beyond doubt."""
        if came <= self._held or not self._stated:
            return came > self._held
        reading = self._reading
        self._stated = min(reading.pieces, came) <= self._held and reading.written <= self._held * _DOUBTLESS
        return not self._stated

    def _judge(self) -> SentinelError | None:
        reading = self._reading
        came = self._came()
        if not self._passed(came) or reading.complete or reading.final or self._fuse.reentrancy.busy:
            return None
        fuse, pending = self._fuse, self._seen.call.payload
        try:
            fuse.reentrancy.enter()
            try:
                self._held = outgrown.enlarge(fuse.admission, fuse.accounting, pending, came, self._spare)
            finally:
                fuse.reentrancy.leave()
        except SentinelError as trip:
            return trip
        except Exception:
            raise
        except BaseException:  # a KeyboardInterrupt: the ledger may have taken the hold
            fuse.reentrancy.break_off()
            raise
        return None


def _after_event(data: bytes, at: int) -> int:
    """Where the next event begins: after a blank line."""
    ends = [found + len(blank) for blank in (b"\n\n", b"\r\n\r\n") if (found := data.find(blank, at)) >= 0]
    return min(ends, default=len(data))
