"""Amazon's framing of streams (`application/vnd.amazon.eventstream`): of a model's own events, and of Converse's.

A message is its length, the length of its headers and a checksum (4 bytes each, big-endian), its headers, its payload
and a checksum. Source: the AWS SDKs' "Event stream encoding"; the payload of a Bedrock chunk is `{"bytes": <base64>}`,
that of an event of Converse is its JSON.
"""

import json
import struct
from base64 import b64decode
from typing import Any, cast

from agent_fuse.usage_reader import later, read_usage
from agent_fuse.wire import Reading, StreamReader

_METRICS = b"amazon-bedrock-invocationMetrics"
"""Bedrock's own count, in the last chunk of any model's stream."""

_PRELUDE, _CHECKSUM = 12, 4


class EventStreamReader:
    """Takes the events out of their frames, for the reader of the events themselves."""

    def __init__(self, reading: Reading, *, count_text: bool) -> None:
        self._reading = reading
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
            told: object = json.loads(payload) if payload else None
            if isinstance(told, dict):
                self._event(cast("dict[str, Any]", told))

    def _event(self, told: dict[str, Any]) -> None:
        inner = told.get("bytes")
        if isinstance(inner, str):
            event = b64decode(inner)
            self._events.feed(b"data: " + event + b"\n")
            if _METRICS in event and not self._reading.final:
                told = json.loads(event)
        usage = read_usage(told.get("metadata") or told)
        if usage is not None:
            self._reading.usage = later(self._reading.usage, usage)
            self._reading.complete = self._reading.final = True

    def close(self) -> None:
        """The body ended as it should."""
        self._events.close()
