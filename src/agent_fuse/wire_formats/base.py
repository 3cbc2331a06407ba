"""What a protocol of model requests says of itself: one table each, so that the wire gate can read it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import unquote

from agent_fuse.calls import Usage
from agent_fuse.wire import Reading, StreamReader, count_whole, read_body

Body = Mapping[str, Any]

_IN_PATH = re.compile(r"/(?:models?|deployments|engines)/([^/:]+(?:/[^/:]+)*?(?::\d+)?)(?=[:/])")
"""Where Gemini, Vertex, Bedrock and Azure name the model: `/models/NAME:generateContent`, `/model/NAME:0/converse`."""


def spelled(path: str) -> str:
    """A path as the tables spell it: to servers a slash behind it, capitals and escapes in it are the same path."""
    return unquote(path).partition(";")[0].rstrip("/").lower()


class BodyReader(Protocol):
    """What is told of a decoded body: its bytes, and its end."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        ...

    def close(self) -> None:
        """It ended as it should."""
        ...


class WholeBody:
    """Reads a body that comes in pieces, and is one document."""

    def __init__(self, read: Callable[[bytes], None]) -> None:
        self._read = read
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Keep the next bytes."""
        self._parts.append(data)

    def close(self) -> None:
        """It is here."""
        self._read(b"".join(self._parts))
        self._parts.clear()


def unchanged(body: Body) -> Body:
    """A body that is in the quoter's words as it is."""
    return body


def _sse(reading: Reading, content_type: str, *, count_text: bool) -> BodyReader:
    del content_type
    return StreamReader(reading, count_text=count_text)


def _untold(headers: Mapping[str, str]) -> Usage | None:
    del headers
    return None


def _whole(body: object, reading: Reading) -> bool:
    if read_body(body, reading):
        return True
    count_whole(body, reading)
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class WireFormat:
    """One protocol, as it is spoken by whatever server."""

    name: str
    source: str
    """Where it is written down."""
    ends: Mapping[str, str]
    """The end of a priced path, with a slash or a colon in it, and the operation that a POST to it is."""
    provider: str = ""
    """Whose prices hold where the host does not tell; empty: the model's maker's."""
    asks: tuple[str, ...]
    """Fields of a body of which one is there: by these it is known at a host that nobody has named."""
    model_in_body: bool = True
    """The body names the model, at any rate where the path does not."""
    nameless: tuple[str, ...] = ()
    """Ends by which it is known though nothing names the model: the server has but one."""
    words: Callable[[Body], Body] = unchanged
    """The body in the words that the quoter reads."""
    streams_usage: bool = True
    """A stream tells its usage unasked."""
    reader: Callable[..., BodyReader] = _sse
    """Reads a stream: `reader(reading, content_type, count_text=…)`."""
    whole: Callable[[object, Reading], bool] = _whole
    """Reads a whole answer; answers whether that told its usage."""
    streams_json: bool = False
    """A stream may come as `application/json`, so that such a body is read as it comes."""
    in_headers: Callable[[Mapping[str, str]], Usage | None] = _untold
    """Usage that the headers of an answer tell."""
    tier_header: str = ""
    """The header that tells the service tier it was served at."""

    def is_spoken(self, path: str, body: object) -> bool:
        """Whether a request to a host of which nothing is known looks like one of these."""
        if not isinstance(body, Mapping):
            return False
        fields = cast("Body", body)
        named = not self.model_in_body or isinstance(fields.get("model"), str) or bool(model_in(path))
        named = named or spelled(path).endswith(self.nameless)
        return named and any(name in fields for name in self.asks)


UNLISTED = WireFormat(name="unlisted", source="whatever a model host answers", ends={}, asks=())
"""Spoken at a path of a model host that no protocol knows: what an answer tells of its usage is read as OpenAI's."""


def model_in(path: str) -> str:
    """The model that a path names, or an empty text."""
    found = _IN_PATH.search(path)
    return unquote(found[1]) if found else ""
