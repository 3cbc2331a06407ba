"""Which protocol a request speaks, by its path and its body: the table that the wire gate looks in."""

import logging
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.metadata import entry_points
from typing import cast

from agent_fuse.wire_formats import anthropic, bedrock, cohere, gemini, ollama, openai, openai_other
from agent_fuse.wire_formats.base import WholeBody, WireFormat, model_in, spelled

__all__ = ["BUILT_IN", "FORMATS", "LAST_WORDS", "WholeBody", "WireFormat", "find", "is_priced", "model_in"]

log = logging.getLogger("agent_fuse")

GROUP = "agent_fuse.wire_formats"
"""Entry point group of other packages' protocols: each entry is a WireFormat, or a sequence of them."""

BUILT_IN: tuple[WireFormat, ...] = (
    openai.FORMAT,
    *openai_other.FORMATS,
    anthropic.FORMAT,
    anthropic.BATCHES,
    bedrock.FORMAT,
    bedrock.JOBS,
    gemini.FORMAT,
    *gemini.OTHERS,
    cohere.FORMAT,
    ollama.FORMAT,
)


def _third_party() -> Iterator[WireFormat]:
    """The protocols that installed packages add. One that cannot be loaded is left out, with a warning."""
    for entry in entry_points(group=GROUP):
        try:
            loaded: object = entry.load()
        except Exception:
            log.warning("the wire format %s of %s could not be loaded", entry.name, entry.value, exc_info=True)
            continue
        many = cast("Iterable[object]", loaded) if isinstance(loaded, list | tuple) else (loaded,)
        for one in many:
            if isinstance(one, WireFormat):
                yield one
            else:
                log.warning("the wire format %s of %s is %r; it must be a WireFormat", entry.name, entry.value, one)


FORMATS: tuple[WireFormat, ...] = (*_third_party(), *BUILT_IN)
"""All that are known; of two ends of one length another package's counts."""


def _last(end: str) -> str:
    return end[max(end.rfind("/"), end.rfind(":")) + 1 :]


LAST_WORDS = frozenset(_last(end).lower() for one in FORMATS for end in one.ends)
"""Last words of the paths that can be priced, after a slash or a colon: whatever ends otherwise is no model's."""


@lru_cache(maxsize=1024)
def _is_priced_otherwise_spelled(path: str) -> bool:
    return _last(spelled(path)) in LAST_WORDS


def is_priced(path: str) -> bool:
    """Whether a path ends in one of them; told in less than a microsecond."""
    last = path[path.rfind("/") + 1 :].lower()
    if last in LAST_WORDS or (":" in last and last[last.rfind(":") + 1 :] in LAST_WORDS):
        return True
    return (not last or "%" in last or ";" in path) and _is_priced_otherwise_spelled(path)


_ENDS = sorted(((end, one) for one in FORMATS for end in one.ends), key=lambda row: -len(row[0]))


def find(path: str) -> tuple[WireFormat, str] | None:
    """The protocol and the operation of a POST to this path, by the longest end that fits; None for no model's."""
    path = spelled(path)
    found: Iterable[tuple[WireFormat, str]] = ((one, one.ends[end]) for end, one in _ENDS if path.endswith(end.lower()))
    return next(iter(found), None)
