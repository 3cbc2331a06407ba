"""Watches the body of a streamed HTTP response (httpx, httpx2) as its reader takes it, and notices how it ended."""

import functools
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from typing import Any, cast
from weakref import finalize

from agent_fuse.wire import StreamReader


def observe(response: Any, reader: StreamReader, ended: Callable[[bool], None]) -> None:
    """Feed `reader` with the decoded body as it is read; call `ended(broken)` once, at its end, close or collection.

    The response is made an instance of a subclass of its own class, so that nothing new refers to it and it is still
    collected as soon as it is dropped. Nothing is read that its user does not read.
    """
    response.agent_fuse_watch = watch = _Watch(reader, ended)
    response.__class__ = _observed(cast("Hashable", type(response)))
    finalize(response, watch.end, True).atexit = False


@functools.cache
def _observed(kind: Hashable) -> type[Any]:
    """The response class with its four ways out watched."""
    base: Any = kind

    def iter_bytes(self: Any, chunk_size: int | None = None) -> Iterator[bytes]:
        watch: _Watch = self.agent_fuse_watch
        return watch.each(base.iter_bytes(self, chunk_size))

    def aiter_bytes(self: Any, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        watch: _Watch = self.agent_fuse_watch
        return watch.aeach(base.aiter_bytes(self, chunk_size))

    def close(self: Any) -> None:
        base.close(self)
        self.agent_fuse_watch.closed()

    async def aclose(self: Any) -> None:
        await base.aclose(self)
        self.agent_fuse_watch.closed()

    methods = {"iter_bytes": iter_bytes, "aiter_bytes": aiter_bytes, "close": close, "aclose": aclose}
    return type(base.__name__, (base,), {**methods, "__module__": base.__module__})


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
