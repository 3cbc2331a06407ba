"""HTTP/1.1 as bytes: requests read from a connection, replies to be written to it, well-behaved or not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

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


class Malformed(Exception):
    """What came is not HTTP/1.1, or its head is larger than 64 KiB."""


@dataclass(frozen=True, slots=True)
class _Head:
    method: str
    target: str
    headers: Mapping[str, str]
    length: int | None
    """Of the body, bytes; None: chunked."""


class Reader:
    """Takes the bytes of one connection and gives its requests, in turn."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: _Head | None = None
        self.wants_continue = False
        """Whether the client waits for `100 Continue` before it sends the body; to be set back by who answers it."""

    def feed(self, data: bytes) -> None:
        """What came."""
        self._buffer += data

    def take(self) -> Incoming | None:
        """The next request, if all of it came.

        Raises:
            Malformed: the connection cannot be read any further.
        """
        head = self._head = self._head or self._take_head()
        body = None if head is None else self._take_chunks() if head.length is None else self._take_bytes(head.length)
        if head is None or body is None:
            return None
        self._head, self.wants_continue = None, False
        return Incoming(head.method, head.target, head.headers, body)

    def _take_head(self) -> _Head | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEAD:
                raise Malformed
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        words = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = headers.get("content-length", "0")
        if len(words) != _REQUEST_LINE_WORDS or not length.isdecimal():
            raise Malformed
        self.wants_continue = headers.get("expect", "").lower() == "100-continue"
        chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        return _Head(words[0], words[1], headers, None if chunked else int(length))

    def _take_bytes(self, length: int) -> bytes | None:
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _take_chunks(self) -> bytes | None:
        body, at = bytearray(), 0
        while (line := self._buffer.find(b"\r\n", at)) >= 0:
            digits = bytes(self._buffer[at:line]).partition(b";")[0].strip()
            try:
                size = int(digits, 16)
            except ValueError:
                raise Malformed from None
            start = line + 2
            at = start + size + 2
            if len(self._buffer) < at:
                return None
            body += self._buffer[start : start + size]
            if size == 0:
                del self._buffer[:at]
                return bytes(body)
        return None
