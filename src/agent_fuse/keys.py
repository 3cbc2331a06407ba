"""Keys: what a limit can be per, and the spellings under which users and instrumentations say the same thing.

Sources: OpenTelemetry's semantic conventions (`user.id`, `enduser.id`, `session.id`, `gen_ai.*`); OpenInference's
(`user.id`, `agent.name`, `llm.*`, `tool.name`); Traceloop's association properties and semconv-ai (`gen_ai.user`,
`llm.user`); Langfuse's attribute mapping and `propagate_attributes`; pydantic-ai (`agent_name`).
"""

import warnings
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from agent_fuse.foreign_text import unbroken
from agent_fuse.mistakes import near

ASSOCIATION = "traceloop.association.properties."
"""Begins the names of Traceloop's association properties on spans."""

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "session": (
        "session.id", "gen_ai.conversation.id", "langfuse.session.id", "langfuse.propagated.session_id",
        "session_id", "langfuse_session_id", "thread_id", "conversation_id",
    ),
    "agent": ("gen_ai.agent.name", "agent.name", "agent_name"),
    "user.id": (
        "user.id", "enduser.id", "langfuse.user.id", "langfuse.propagated.user_id", "user_id", "langfuse_user_id",
        "gen_ai.user", "llm.user", "enduser.pseudo.id",
    ),
    "model": ("gen_ai.request.model", "llm.model_name", "llm.request.model", "model"),
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "provider"),
    "operation": ("gen_ai.operation.name", "operation"),
    "tool": ("gen_ai.tool.name", "tool.name", "tool"),
}  # fmt: skip
"""The spellings of each key that has several, the one with the most exact meaning first."""

FACTS = frozenset({"model", "provider", "operation", "tool", "user.id"})
"""Keys that a call itself may tell: its request, or the caller by hand."""

_OF = {spelling: key for key, spellings in SPELLINGS.items() for spelling in spellings}
_WORDS = ("session", "trace", "agent", "process", "all", *SPELLINGS)
_DEEP = 2
_BARE = ("user_id", "session_id", "thread_id", "conversation_id", "agent_name", "langfuse_user_id")
"""Spellings that are no attribute's full name: understood, and worth a word."""


def canonical(per: str, *, stacklevel: int = 1) -> str:
    """The key that a limit is per, whichever of its spellings was written. A near-miss of one is told of."""
    if per in _WORDS:
        return per
    known = _OF.get(per.removeprefix(ASSOCIATION))
    if known is not None and per not in _BARE:
        return known
    known = known or next((_OF.get(one, one) for one in (*_WORDS, *_OF) if _plain(one) == _plain(per)), None)
    if known is not None:
        warnings.warn(f"Limit per={per!r} is taken as {known!r}; write per={known!r}", stacklevel=stacklevel + 1)
        return known
    # Attributes of one namespace (`gen_ai.agent.id`) are much alike and not each other's misspellings.
    meant = near(per, (*_WORDS, *_OF), alike=0.8 if per.count(".") < _DEEP else 0.95)
    if meant:
        said = f"did you mean {_OF.get(meant, meant)!r}? Calls that tell no {per!r} share one account"
        warnings.warn(f"Limit per={per!r} is no key that AgentFuse knows; {said}", stacklevel=stacklevel + 1)
    return per


def key_named(name: str) -> str:
    """The key that an attribute's name is a spelling of, else the name."""
    return _OF.get(name.removeprefix(ASSOCIATION), name)


def meant_by(key: str) -> str:
    """The key that an unknown one is much like (`sesion`, `user`); empty where it is known, or like none."""
    if key in _WORDS or key in _OF:
        return ""
    found = "user.id" if _plain(key) in {"user", "users"} else near(key, (*_WORDS, *_OF))
    return _OF.get(found, found)


@lru_cache(maxsize=1024)
def spellings(key: str) -> tuple[str, ...]:
    """Names under which a key may stand among attributes, in baggage or in the context."""
    return SPELLINGS.get(key) or (key,)


@lru_cache(maxsize=1024)
def attribute_names(key: str) -> tuple[str, ...]:
    """Names under which a key may stand among a span's attributes: its spellings, and as association property."""
    known = spellings(key)
    return (*known, *(ASSOCIATION + one for one in known if "." not in one))


def text(value: object) -> str:
    """A key's value as text; empty where there is none (None, a truth value, something that is no text)."""
    if isinstance(value, str):
        value = value.replace("\0", "\ufffd") if "\0" in value else value
        return value if value.isascii() else unbroken(value)
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def first(values: Iterable[object]) -> str:
    """The first value that says something, as text."""
    for value in values:
        if value is not None and (found := text(value)):
            return found
    return ""


def told(names: Collection[str], *places: Mapping[str, object]) -> str:
    """The first of these names that has a value in one of these places, the nearest place first."""
    for place in places:
        if place:
            for name in names:
                value = place.get(name)
                if value is not None and (found := text(value)):
                    return found
    return ""


def _plain(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter.isalnum())
