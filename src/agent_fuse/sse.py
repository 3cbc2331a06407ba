"""Server-sent events as their bytes pass by: lines, whatever ends them, and the data that several of them may hold."""

_BOM = b"\xef\xbb\xbf"
"""A byte order mark, which may stand before the first line."""


class SseLines:
    """Cuts a decoded body into lines, and joins the data of one event (html.spec.whatwg.org, server-sent events)."""

    def __init__(self) -> None:
        self._rest = b""
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that these bytes end."""
        data = self._rest + data
        if b"\r" in data:
            held = b"\r" if data.endswith(b"\r") else b""  # of a CRLF perhaps, whose end is on its way
            lines = data.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
            self._rest = lines.pop() + held
        else:
            lines = data.split(b"\n")
            self._rest = lines.pop()
        return lines

    def close(self) -> list[bytes]:
        """The last line, and the end of its event."""
        rest, self._rest = self._rest, b""
        return [*rest.split(b"\r"), b""]

    def data(self, line: bytes) -> bytes:
        """The data of an event, once it is whole; else nothing. A document may stand on several lines."""
        line = line.strip().removeprefix(_BOM)
        if not line:
            return self._joined()
        if not line.startswith(b"data:"):
            return b""
        line = line[5:].strip()
        if self._parts or (line[:1] in (b"{", b"[") and line[-1:] not in (b"}", b"]")):
            self._parts.append(line)
            return b""
        return line

    def _joined(self) -> bytes:
        if not self._parts:
            return b""
        whole = b"\n".join(self._parts)
        self._parts.clear()
        return whole
