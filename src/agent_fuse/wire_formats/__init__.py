"""Which protocol a request speaks, by its path and its body: the table that the wire gate looks in."""

from collections.abc import Iterable

from agent_fuse.wire_formats import anthropic, bedrock, cohere, gemini, ollama, openai
from agent_fuse.wire_formats.base import Whole, WireFormat, model_in

__all__ = ["FORMATS", "LAST_WORDS", "Whole", "WireFormat", "find", "model_in"]

FORMATS: tuple[WireFormat, ...] = (
    openai.FORMAT,
    anthropic.FORMAT,
    bedrock.FORMAT,
    gemini.FORMAT,
    cohere.FORMAT,
    ollama.FORMAT,
)


def _last(end: str) -> str:
    return end[max(end.rfind("/"), end.rfind(":")) + 1 :]


LAST_WORDS = frozenset(_last(end) for one in FORMATS for end in one.ends)
"""Last words of the paths that can be priced, after a slash or a colon: whatever ends otherwise is no model's."""

_ENDS = sorted(((end, one) for one in FORMATS for end in one.ends), key=lambda row: -len(row[0]))


def find(path: str) -> tuple[WireFormat, str] | None:
    """The protocol and the operation of a POST to this path, by the longest end that fits; None for no model's."""
    found: Iterable[tuple[WireFormat, str]] = ((one, one.ends[end]) for end, one in _ENDS if path.endswith(end))
    return next(iter(found), None)
