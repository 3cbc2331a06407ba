"""Watches the body of a streamed HTTP response (httpx, httpx2) as its reader takes it, and notices how it ended."""

import functools
import zlib
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast
from weakref import finalize

from agent_fuse.errors import SentinelError
from agent_fuse.seams import BOOKED_AT_QUOTE, GOES_ON, HELD_AT_QUOTE, quietly
from agent_fuse.wire import StreamReader

_PLACE = "reading the body of a response"


@dataclass(frozen=True, slots=True)
class Cut:
    """A body is to go no further."""

    data: bytes
    """What its user still gets."""
    trip: SentinelError
    """What its user gets then."""
    form: Callable[[SentinelError], SentinelError]
    """Makes it what that user can carry; called where it is raised."""


class AnswerReader(Protocol):
    """What is told of a decoded body: its bytes, and its end."""

    def feed(self, data: bytes) -> Cut | None:
        """Take the next bytes; a cut where the body is to end with them."""
        ...

    def close(self) -> None:
        """It ended as it should."""
        ...


Observe = Callable[[Any, AnswerReader, Callable[[bool], None]], None]
"""Feeds a reader with the decoded body of a response as it is read, and tells its end once (`broken`), as `observe`."""


Sieve = Callable[[bytes], tuple[bytes, bytes]]
"""What the user of a body gets of the bytes that came, and those of which that is not yet known."""


def observe(response: Any, reader: AnswerReader, ended: Callable[[bool], None]) -> None:
    """Feed `reader` with the decoded body as it is read; call `ended(broken)` once, at its end, close or collection.

    The response is made an instance of a subclass of its own class, so that nothing new refers to it and it is still
    collected as soon as it is dropped. Nothing is read that its user does not read.
    """
    response.agent_fuse_watch = watch = Watch(reader, ended)
    response.__class__ = _observed(cast("Hashable", type(response)))
    finalize(response, quietly, _PLACE, HELD_AT_QUOTE, watch.end, True).atexit = False


@functools.cache
def _observed(kind: Hashable) -> type[Any]:
    """The response class with its four ways out watched."""
    base: Any = kind

    def iter_bytes(self: Any, chunk_size: int | None = None) -> Iterator[bytes]:
        return _read(base, self, chunk_size)

    def aiter_bytes(self: Any, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        return _aread(base, self, chunk_size)

    async def aclose(self: Any) -> None:
        await base.aclose(self)
        quietly(_PLACE, HELD_AT_QUOTE, self.agent_fuse_watch.closed)

    methods = {"iter_bytes": iter_bytes, "aiter_bytes": aiter_bytes, "close": closes(base.close), "aclose": aclose}
    return type(base.__name__, (base,), {**methods, "__module__": base.__module__})


def closes(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """The wrapper of an observed response's `close`."""

    def close(self: Any) -> None:
        original(self)
        quietly(_PLACE, HELD_AT_QUOTE, self.agent_fuse_watch.closed)

    return close


def _read(base: Any, response: Any, chunk_size: int | None) -> Iterator[bytes]:
    watch: Watch = response.agent_fuse_watch
    watch.reading = True
    try:
        for data in base.iter_bytes(response, chunk_size):
            quietly(_PLACE, BOOKED_AT_QUOTE, watch.took, data)
            seen = data if watch.cut is None else watch.cut.data
            if watch.sieve is not None:
                sifted = quietly(_PLACE, GOES_ON, watch.sift, seen)
                if sifted is None:
                    sifted, watch.sieve, watch.behind = watch.behind + seen, None, b""
                seen = sifted
            watch.reading = False
            if seen or not data:
                yield seen
            watch.reading = True
            if watch.cut is not None:
                break
        if watch.behind:
            watch.reading = False
            yield watch.behind
            watch.reading = True
        quietly(_PLACE, HELD_AT_QUOTE, watch.done)
    except BaseException as error:
        quietly(_PLACE, HELD_AT_QUOTE, watch.raised, error)
        raise
    if watch.cut is not None:
        base.close(response)
        raise quietly(_PLACE, GOES_ON, watch.cut.form, watch.cut.trip) or watch.cut.trip


async def _aread(base: Any, response: Any, chunk_size: int | None) -> AsyncIterator[bytes]:
    watch: Watch = response.agent_fuse_watch
    watch.reading = True
    try:
        async for data in base.aiter_bytes(response, chunk_size):
            quietly(_PLACE, BOOKED_AT_QUOTE, watch.took, data)
            seen = data if watch.cut is None else watch.cut.data
            if watch.sieve is not None:
                sifted = quietly(_PLACE, GOES_ON, watch.sift, seen)
                if sifted is None:
                    sifted, watch.sieve, watch.behind = watch.behind + seen, None, b""
                seen = sifted
            watch.reading = False
            if seen or not data:
                yield seen
            watch.reading = True
            if watch.cut is not None:
                break
        if watch.behind:
            watch.reading = False
            yield watch.behind
            watch.reading = True
        quietly(_PLACE, HELD_AT_QUOTE, watch.done)
    except BaseException as error:
        quietly(_PLACE, HELD_AT_QUOTE, watch.raised, error)
        raise
    if watch.cut is not None:
        await base.aclose(response)
        raise quietly(_PLACE, GOES_ON, watch.cut.form, watch.cut.trip) or watch.cut.trip


class Watch:
    """What is known of one body. Called by the host's reading, which notices nothing of what goes wrong here."""

    def __init__(self, reader: AnswerReader, ended: Callable[[bool], None]) -> None:
        self._reader: AnswerReader | None = reader
        self._ended: Callable[[bool], None] | None = ended
        self.reading = False
        """Whether its user is inside a read."""
        self.cut: Cut | None = None
        self.sieve: Sieve | None = None
        self.behind = b""
        """What came and was not shown yet."""

    def took(self, data: bytes) -> None:
        """The next bytes went by. A reader that failed once is asked no more: what it says would be wrong."""
        reader = self._reader
        if reader is None:
            return
        self._reader = None
        self.cut = reader.feed(data)
        self._reader = reader

    def sift(self, data: bytes) -> bytes:
        """What its user gets of these bytes, where something is kept from him."""
        if self.sieve is None:
            return data
        shown, self.behind = self.sieve(self.behind + data)
        return shown

    def done(self) -> None:
        """The body ended as it should, or was cut off."""
        reader, whole = self._reader, False
        try:
            if reader is not None and self.cut is None:
                reader.close()
                whole = True
        finally:
            self.end(not whole)

    def raised(self, error: BaseException) -> None:
        """A read raised; GeneratorExit only says that its reader stopped between two reads, and may go on otherwise."""
        if not isinstance(error, GeneratorExit):
            self.end(True)

    def closed(self) -> None:
        """The response was closed."""
        # httpx closes a response from inside the last read of its body; only a close between reads breaks it off.
        if not self.reading:
            self.end(True)

    def end(self, broken: bool) -> None:
        """Nothing more will be read; said once."""
        ended, self._ended = self._ended, None
        if ended is not None:
            try:
                ended(broken)
            except BaseException:  # a KeyboardInterrupt: what was paid for is booked all the same
                ended(True)
                raise


class ToLastWord:
    """A reader of a stream after whose last word nobody may read on, nor close what he read: it has ended there."""

    def __init__(self, reader: StreamReader, ended: Callable[[bool], None]) -> None:
        self._reader, self._ended = reader, ended
        self.close = reader.close

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._reader.feed(data)
        if self._reader.reading.final and self._reader.reading.complete:
            self._ended(False)


def unpacker(encoding: str) -> Callable[[bytes], bytes] | None:
    """Takes apart what a reader takes as it was sent (`content-encoding`); None where that cannot be done here."""
    if encoding in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(wbits=47).decompress
    return bytes if encoding in ("", "identity") else None
