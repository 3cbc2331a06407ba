"""Asking a stream for its usage on behalf of a caller who did not, who sees nothing of it.

OpenAI's protocol tells the usage of a streamed chat in one chunk more, without choices, and writes `"usage": null` into
every other, where `stream_options.include_usage` is set. Both are taken out of what a caller reads who did not ask,
also from a server that would have sent them unasked, which nobody can tell then. Who asks himself reads every byte.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from agent_fuse import foreign_text
from agent_fuse.loopback import is_loopback
from agent_fuse.settings import Settings

_OWN = "api.openai.com"
_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_NULL = re.compile(rb',\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,[ \t]*')
"""Cannot stand in a string of JSON, where its quotes would be escaped."""
_USAGE = b'"usage"'
_LONGEST_EVENT = 1_000_000
"""Bytes; what goes on for longer tells no usage, and is looked at no more than once."""


def asking(body: Mapping[str, Any], settings: Settings, to: Any) -> dict[str, object]:
    """The field by which the body of a stream's request would ask for usage; empty where it is not to ask.

    Where the option `stream_usage` says nothing, it asks where that is known to be understood: of OpenAI, and on this
    machine. `to`: the URL it goes to (httpx).
    """
    wanted = _is_known(str(to.host)) if settings.stream_usage is None else settings.stream_usage
    if not wanted:
        return {}
    options: object = body.get("stream_options")
    given: Mapping[str, object] = cast("Mapping[str, object]", options) if isinstance(options, Mapping) else {}
    return {"stream_options": {**given, "include_usage": True}}


def _is_known(host: str) -> bool:
    return host == _OWN or host.endswith("." + _OWN) or is_loopback(host)


def without_usage(events: bytes) -> tuple[bytes, bytes]:
    """Server-sent events as they would have come to who did not ask, and the beginning of one that is not whole yet."""
    kept: list[bytes] = []
    at = 0
    for end in _END.finditer(events):
        kept.append(_unasked(events[at : end.end()]))
        at = end.end()
    rest = events[at:]
    if len(rest) > _LONGEST_EVENT:
        kept.append(rest)
        rest = b""
    return b"".join(kept), rest


def _unasked(event: bytes) -> bytes:
    if _USAGE not in event:
        return event
    without, found = _NULL.subn(b"", event, count=1)
    return without if found or not _tells_usage_alone(event) else b""


def _tells_usage_alone(event: bytes) -> bool:
    lines = (line[5:] for line in event.splitlines() if line.startswith(b"data:"))
    try:
        told: object = foreign_text.read_json(b"\n".join(lines))
    except ValueError:
        return False
    chunk = cast("dict[str, object]", told) if isinstance(told, dict) else {}
    return chunk.get("choices") == [] and isinstance(chunk.get("usage"), dict)
