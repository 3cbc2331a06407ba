"""A small HTTP/1.1 server on loopback, in a thread of its own: keep-alive, chunked replies, replies that misbehave."""

import asyncio
import contextlib
import math
import os
import socket
import threading
from collections.abc import Callable
from typing import cast

from agent_fuse.testing.http1 import Incoming, Malformed, Outgoing, Reader

Handler = Callable[[Incoming], Outgoing]
"""Runs in the server's thread: it must be quick. What it raises drops the connection."""


class Server:
    """Serves `handler` at 127.0.0.1 until stopped. `port` 0 takes a free one, which `port` then tells."""

    def __init__(self, handler: Handler, port: int = 0) -> None:
        self._socket = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port: int = self._socket.getsockname()[1]
        self._handler = handler
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._connections: set[_Connection] = set()
        self._thread = threading.Thread(target=self._run, name=f"loopback-provider-{self.port}", daemon=True)
        self._ready = threading.Event()
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Drop every connection and refuse new ones. Idempotent; in a forked child it does nothing."""
        if os.getpid() == self._pid and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        listener = loop.run_until_complete(loop.create_server(self._connect, sock=self._socket, backlog=1024))
        loop.call_soon(self._ready.set)
        try:
            loop.run_forever()
        finally:
            _shut(self._socket)
            listener.close()
            for connection in tuple(self._connections):
                connection.drop()
            loop.run_until_complete(_settle())
            loop.close()

    def _connect(self) -> "_Connection":
        return _Connection(self._handler, self._connections, self._loop)


class _Connection(asyncio.Protocol):
    def __init__(self, handler: Handler, peers: "set[_Connection]", loop: asyncio.AbstractEventLoop) -> None:
        self._handler = handler
        self._peers = peers
        self._loop = loop
        self._reader = Reader()
        self._playing: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._peers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self._peers.discard(self)
        if self._playing is not None:
            self._playing.cancel()

    def drop(self) -> None:
        """Close without a word."""
        _shut(self._transport.get_extra_info("socket"))
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        if self._playing is None:
            self._serve()

    def _serve(self) -> None:
        try:
            while not self._transport.is_closing() and (incoming := self._reader.take()) is not None:
                close = incoming.headers.get("connection", "").lower() == "close"
                outgoing = self._handler(incoming)
                if not outgoing.plain:
                    self._playing = self._loop.create_task(self._play(outgoing, close))
                    return
                self._write(outgoing.now(), close=close)
        except Malformed:
            self._write(Outgoing(status=400, headers={"connection": "close"}).head(), close=True)
        if self._reader.wants_continue:
            self._reader.wants_continue = False
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n", close=False)

    def _write(self, data: bytes, *, close: bool) -> None:
        self._transport.write(data)
        if close:
            self._transport.close()

    async def _play(self, out: Outgoing, close: bool) -> None:
        await _pause(out.delay_s)
        if -1 in out.before:
            out.before[-1]()
        self._transport.write(out.head())
        framed = out.framed()
        # Whatever was asked for, a reply that is cut or stalls never goes out whole.
        cut, stall = (None if at is None else min(at, len(framed) - 1) for at in (out.cut_after, out.stall_after))
        for index, part in enumerate(framed):
            if index == stall:
                await _pause(math.inf)
            if index == cut:
                self.drop()
                return
            await _pause(out.part_delay_s)
            if index in out.before:
                out.before[index]()
            self._transport.write(part)
        if close:
            self._transport.close()
        self._playing = None
        self._serve()


def _shut(end: socket.socket) -> None:
    """End a socket for everyone; to close it would not be felt while a forked child holds a copy."""
    with contextlib.suppress(OSError):  # the other side may have gone first
        end.shutdown(socket.SHUT_RDWR)


async def _pause(seconds: float) -> None:
    if seconds == math.inf:
        await asyncio.get_running_loop().create_future()
    elif seconds:
        await asyncio.sleep(seconds)


async def _settle() -> None:
    """Let what was just aborted be told so, and see the tasks of dropped connections end."""
    await asyncio.sleep(0)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
