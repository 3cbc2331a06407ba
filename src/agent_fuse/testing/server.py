"""A small HTTP/1.1 server on loopback, in a thread of its own: keep-alive, chunked replies, replies that misbehave."""

import asyncio
import contextlib
import math
import os
import socket
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

_MAX_HEAD = 64 * 1024
_REASONS = {one.value: one.phrase for one in HTTPStatus}
_REQUEST_LINE_WORDS = 3


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request off the wire: header names in lower case, the body as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What goes back, and how well it behaves; delays in seconds."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    parts: Sequence[bytes] = ()
    chunked: bool = False
    delay_s: float = 0.0
    part_delay_s: float = 0.0
    cut_after: int | None = None
    stall_after: int | None = None
    before: Mapping[int, Callable[[], None]] = field(default_factory=dict[int, Callable[[], None]])
    """Called just before the part with this index goes out; -1: before the headers do."""

    @property
    def plain(self) -> bool:
        """Whether everything can go out at once."""
        return not (self.delay_s or self.part_delay_s) and self.cut_after is None and self.stall_after is None

    def head(self) -> bytes:
        """Status line and headers."""
        length = "transfer-encoding: chunked" if self.chunked else f"content-length: {sum(map(len, self.parts))}"
        fields = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unnamed')}\r\n{fields}{length}\r\n\r\n".encode()

    def framed(self) -> list[bytes]:
        """The parts as they go over the wire."""
        if not self.chunked:
            return list(self.parts)
        chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in self.parts]
        chunks[-1:] = [chunks[-1] + b"0\r\n\r\n"] if chunks else [b"0\r\n\r\n"]
        return chunks

    def now(self) -> bytes:
        """Everything at once, when `plain`."""
        for index in sorted(self.before):
            self.before[index]()
        return self.head() + b"".join(self.framed())


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
        _running.add(self)

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
            listener.close()
            for connection in tuple(self._connections):
                connection.drop()
            loop.run_until_complete(_settle())
            loop.close()

    def _connect(self) -> "_Connection":
        return _Connection(self._handler, self._connections, self._loop)

    def after_fork(self) -> None:
        """In a forked child: let go of the listening socket, or the port would outlive the parent's server."""
        self._socket.close()


class _Connection(asyncio.Protocol):
    def __init__(self, handler: Handler, peers: "set[_Connection]", loop: asyncio.AbstractEventLoop) -> None:
        self._handler = handler
        self._peers = peers
        self._loop = loop
        self._buffer = bytearray()
        self._head: tuple[str, str, dict[str, str], int] | None = None
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
        """Close without a word; shut down first, so that it is felt even while a forked child holds the socket."""
        with contextlib.suppress(OSError):  # the client may have gone first
            self._transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._playing is None:
            self._serve()

    def _serve(self) -> None:
        while not self._transport.is_closing() and (incoming := self._take()) is not None:
            close = incoming.headers.get("connection", "").lower() == "close"
            outgoing = self._handler(incoming)
            if outgoing.plain:
                self._transport.write(outgoing.now())
                if close:
                    self._transport.close()
                continue
            self._playing = self._loop.create_task(self._play(outgoing, close))
            return

    def _take(self) -> Incoming | None:
        head = self._head = self._head or self._read_head()
        if head is None:
            return None
        method, target, headers, length = head
        if length < 0:
            body = self._take_chunked()
            if body is None:
                return None
        elif len(self._buffer) < length:
            return None
        else:
            body = bytes(self._buffer[:length])
            del self._buffer[:length]
        self._head = None
        return Incoming(method, target, headers, body)

    def _read_head(self) -> tuple[str, str, dict[str, str], int] | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEAD:
                self._refuse()
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        words = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = headers.get("content-length", "0")
        if len(words) != _REQUEST_LINE_WORDS or not length.isdecimal():
            self._refuse()
            return None
        if headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        return words[0], words[1], headers, -1 if chunked else int(length)

    def _take_chunked(self) -> bytes | None:
        body, at = bytearray(), 0
        while (line := self._buffer.find(b"\r\n", at)) >= 0:
            size = int(self._buffer[at:line].split(b";")[0], 16)
            start = line + 2
            if len(self._buffer) < start + size + 2:
                return None
            body += self._buffer[start : start + size]
            at = start + size + 2
            if size == 0:
                del self._buffer[:at]
                return bytes(body)
        return None

    def _refuse(self) -> None:
        self._transport.write(Outgoing(status=400, headers={"connection": "close"}).head())
        self._transport.close()

    async def _play(self, out: Outgoing, close: bool) -> None:
        await _pause(out.delay_s)
        if -1 in out.before:
            out.before[-1]()
        self._transport.write(out.head())
        framed = out.framed()
        cut = len(framed) if out.cut_after is None else min(out.cut_after, len(framed) - 1)
        for index, part in enumerate(framed):
            if index == out.stall_after:
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


_running: "weakref.WeakSet[Server]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for server in tuple(_running):
        server.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
