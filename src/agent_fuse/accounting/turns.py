"""What a request's conversation tells: whether a turn begins with it, and which turn it belongs to."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, cast

_ASIDES = frozenset({"system", "developer"})


def turn_of(body: Mapping[str, Any]) -> tuple[bool, tuple[str, ...]]:
    """Whether the user spoke last, with no result of a tool in what he says, and marks of the turn that he began.

    It is known by what he said, wherever that stands in a history that may be cut short, and by the conversation that
    the provider keeps; where the request holds nothing that he said, by the answer that it goes on from.
    """
    said: object = body.get("messages") or body.get("input") or body.get("prompt")
    kept = _id(body.get("conversation"))
    if isinstance(said, str):
        return True, (_mark(said), *kept)
    items = cast("Sequence[object]", said) if isinstance(said, list | tuple) else ()
    last = True
    for at in range(len(items) - 1, -1, -1):
        role = _get(items[at], "role")
        if role in _ASIDES:
            continue
        if role == "user" and not _is_result(_get(items[at], "content")):
            return last, (_mark(_get(items[at], "content")), *(kept if last else ()))
        last = False
    return False, (*_id(body.get("previous_response_id")), *kept)


def _id(named: object) -> tuple[str, ...]:
    found = _get(cast("object", named), "id") if isinstance(named, Mapping) else named
    return (found,) if isinstance(found, str) and found else ()


def _is_result(content: object) -> bool:
    """Whether a message of Anthropic's brings the result of a tool."""
    blocks = cast("Sequence[object]", content) if isinstance(content, list | tuple) else ()
    return any(str(_get(one, "type")).endswith("tool_result") for one in blocks)


def _get(item: object, name: str) -> object:
    return cast("Mapping[str, object]", item).get(name) if isinstance(item, Mapping) else getattr(item, name, None)


def _mark(content: object) -> str:
    """What a message says, whether as a text or in parts, and wherever its mark for the cache stands by now."""
    parts = cast("Sequence[object]", content) if isinstance(content, list | tuple) else ()
    said: list[object] = [_get(one, "text") or _unmarked(one) for one in parts] if parts else [cast("object", content)]
    return blake2b(repr(said).encode(errors="replace"), digest_size=8).hexdigest()


def _unmarked(part: object) -> object:
    if not isinstance(part, Mapping):
        return part
    return {name: value for name, value in cast("Mapping[object, object]", part).items() if name != "cache_control"}
