"""Takes the JSON documents out of a body as it comes: server-sent events, a line each, an array, or one alone."""

import codecs
from collections.abc import Callable
from typing import Any, cast

from agent_fuse import foreign_text
from agent_fuse.sse import SseLines

Document = dict[str, Any]
Take = Callable[[Document], None]

_BETWEEN = " \t\r\n,[]"


class Documents:
    """Calls `take` with each document, in turn; keeps no more than the one that is on its way.

    A line that is no document is passed over. An array may hold a document over several lines, and one alone is the
    whole body.
    """

    def __init__(self, take: Take, content_type: str = "") -> None:
        self._take = take
        self._lines = "ndjson" in content_type or "stream+json" in content_type or "jsonl" in content_type
        self._feed: Callable[[bytes], None] | None = None
        self._sse = SseLines()
        self._parts: list[bytes] = []
        self._text = ""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the decoded body."""
        if self._feed is None:
            if not (start := data.lstrip()):
                return
            self._feed = self._kind(start[:1])
        self._feed(data)

    def close(self) -> None:
        """The body ended: what is left of it is a document too, if it is any."""
        if self._parts:
            self._told(b"".join(self._parts))
        for line in self._sse.close():
            self._line(line)
        self._parts, self._text = [], ""

    def _kind(self, first: bytes) -> Callable[[bytes], None]:
        if first == b"[":
            return self._array
        return self._parts.append if first == b"{" and not self._lines else self._by_lines

    def _by_lines(self, data: bytes) -> None:
        for line in self._sse.feed(data):
            self._line(line)

    def _line(self, line: bytes) -> None:
        if line.lstrip().startswith(b"{"):
            self._told(line)
        elif told := self._sse.data(line):
            self._told(told)

    def _array(self, data: bytes) -> None:
        self._text = (self._text + self._decode(data)).lstrip(_BETWEEN)
        while self._text and "}" in self._text:
            try:
                found, end = foreign_text.first_json(self._text)
            except ValueError:
                return
            self._text = self._text[end:].lstrip(_BETWEEN)
            self._one(found)

    def _told(self, text: bytes) -> None:
        try:
            found: object = foreign_text.read_json(text)
        except ValueError:
            return
        self._one(found)

    def _one(self, found: object) -> None:
        if isinstance(found, dict):
            self._take(cast("Document", found))
