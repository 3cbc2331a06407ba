"""Amazon's framing of streams (`application/vnd.amazon.eventstream`): of a model's own events, and of Converse's.

A message is its length, the length of its headers and a checksum (4 bytes each, big-endian), its headers, its payload
and a checksum. Source: the AWS SDKs' "Event stream encoding"; the payload of a Bedrock chunk is `{"bytes": <base64>}`,
that of an event of Converse is its JSON.
"""

import struct
from base64 import b64decode
from typing import Any, cast

from agent_fuse import foreign_text
from agent_fuse.usage_reader import later, read_usage
from agent_fuse.wire import Reading, StreamReader, read_tier

_METRICS = b"amazon-bedrock-invocationMetrics"
"""Bedrock's own count, in the last chunk of any model's stream."""

_PRELUDE, _CHECKSUM = 12, 4
_LONGEST = (24 * 1024 + 128) * 1024 + _PRELUDE + _CHECKSUM
"""Bytes of the longest frame that botocore takes: 24 MiB of payload, 128 KiB of headers."""


class EventStreamReader:
    """Takes the events out of their frames, for the reader of the events themselves."""

    def __init__(self, reading: Reading, *, count_text: bool) -> None:
        self._reading = reading
        self._events = StreamReader(reading, count_text=count_text)
        self._rest = bytearray()
        self._lost = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body. Where one is no frame, no other can be found: the rest tells nothing."""
        if self._lost:
            return
        self._rest += data
        while len(self._rest) >= _PRELUDE:
            length, headers = struct.unpack_from(">II", self._rest)
            if not _PRELUDE + headers + _CHECKSUM <= length <= _LONGEST:
                self._lost = True
                self._rest.clear()
                return
            if len(self._rest) < length:
                return
            payload = bytes(self._rest[_PRELUDE + headers : length - _CHECKSUM])
            del self._rest[:length]
            self._payload(payload)

    def _payload(self, payload: bytes) -> None:
        told = _object(payload)
        inner = told.get("bytes")
        if isinstance(inner, str):
            try:
                event = b64decode(inner)
            except ValueError:
                return
            self._events.feed(b"data: " + event + b"\n")
            if _METRICS in event and not self._reading.final:
                told = _object(event)
        told = told.get("metadata") or told
        usage = read_usage(told)
        if usage is not None:
            read_tier(told.get, self._reading)
            self._reading.usage = later(self._reading.usage, usage)
            self._reading.complete = self._reading.final = True

    def close(self) -> None:
        """The body ended as it should."""
        self._events.close()


def _object(text: bytes) -> dict[str, Any]:
    try:
        found: object = foreign_text.read_json(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
