"""Watches the body of a streamed HTTP response (httpx, httpx2) as its reader takes it, and notices how it ended."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast
from weakref import finalize, ref

from agent_fuse.wire import StreamReader


def observe(response: Any, reader: StreamReader, ended: Callable[[bool], None]) -> None:
    """Feed `reader` with the decoded body as it is read; call `ended(broken)` once, at its end, close or collection.

    The response's own methods are shadowed on the instance, through a weak reference so that a response dropped
    unread is still collected at once; nothing is read that its user does not read.
    """
    watch = _Watch(reader, ended)
    kind = cast("Any", type(response))
    weak = ref(response)

    def iter_bytes(chunk_size: int | None = None) -> Iterator[bytes]:
        return watch.each(kind.iter_bytes(weak(), chunk_size))

    def aiter_bytes(chunk_size: int | None = None) -> AsyncIterator[bytes]:
        return watch.aeach(kind.aiter_bytes(weak(), chunk_size))

    def close() -> None:
        kind.close(weak())
        watch.closed()

    async def aclose() -> None:
        await kind.aclose(weak())
        watch.closed()

    response.iter_bytes, response.close = iter_bytes, close
    response.aiter_bytes, response.aclose = aiter_bytes, aclose
    finalize(response, watch.end, True).atexit = False


class _Watch:
    def __init__(self, reader: StreamReader, ended: Callable[[bool], None]) -> None:
        self._reader = reader
        self._ended: Callable[[bool], None] | None = ended
        self._reading = False

    def end(self, broken: bool) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(broken)

    def closed(self) -> None:
        # httpx closes a response from inside the last read of its body; only a close between reads breaks it off.
        if not self._reading:
            self.end(broken=True)

    def each(self, body: Iterator[bytes]) -> Iterator[bytes]:
        self._reading = True
        try:
            for data in body:
                self._reader.feed(data)
                self._reading = False
                yield data
                self._reading = True
        except Exception:
            self.end(broken=True)
            raise
        self._reader.close()
        self.end(broken=False)

    async def aeach(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self._reading = True
        try:
            async for data in body:
                self._reader.feed(data)
                self._reading = False
                yield data
                self._reading = True
        except Exception:
            self.end(broken=True)
            raise
        self._reader.close()
        self.end(broken=False)
