"""Amazon's framing of streams (`application/vnd.amazon.eventstream`), in which Bedrock sends a model's own events.

A message is its length, the length of its headers and a checksum (4 bytes each, big-endian), its headers, its payload
and a checksum. Source: the AWS SDKs' "Event stream encoding"; the payload of a Bedrock chunk is `{"bytes": <base64>}`.
"""

import json
import struct
from base64 import b64decode
from typing import Any, cast

from agent_fuse.wire import Reading, StreamReader

_PRELUDE, _CHECKSUM = 12, 4


class EventStreamReader:
    """Takes the events out of their frames, for the reader of the events themselves."""

    def __init__(self, reading: Reading, *, count_text: bool) -> None:
        self._events = StreamReader(reading, count_text=count_text)
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        self._rest += data
        while len(self._rest) >= _PRELUDE:
            length, headers = struct.unpack_from(">II", self._rest)
            if length < _PRELUDE + headers + _CHECKSUM:
                raise ValueError(f"a frame of {length} bytes cannot have {headers} bytes of headers")
            if len(self._rest) < length:
                return
            payload, self._rest = self._rest[_PRELUDE + headers : length - _CHECKSUM], self._rest[length:]
            told: Any = json.loads(payload) if payload else None
            inner = cast("dict[str, Any]", told).get("bytes") if isinstance(told, dict) else None
            if isinstance(inner, str):
                self._events.feed(b"data: " + b64decode(inner) + b"\n")

    def close(self) -> None:
        """The body ended as it should."""
        self._events.close()
