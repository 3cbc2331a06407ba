"""What a request's conversation tells: whether a turn begins with it, and which turn it belongs to."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, cast

_ASIDES = frozenset({"system", "developer"})


def turn_of(body: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether the user spoke last, with no result of a tool in what he says, and a mark of the turn that he began.

    The mark is empty where the request does not hold what the user said last (it is kept at the provider).
    """
    said: object = body.get("messages") or body.get("input") or body.get("prompt")
    if isinstance(said, str):
        return True, _mark(0, said)
    items = cast("Sequence[object]", said) if isinstance(said, list | tuple) else ()
    last = True
    for at in range(len(items) - 1, -1, -1):
        role = _get(items[at], "role")
        if role in _ASIDES:
            continue
        if role == "user" and not _is_result(_get(items[at], "content")):
            return last, _mark(at, _get(items[at], "content"))
        last = False
    return False, ""


def _is_result(content: object) -> bool:
    """Whether a message of Anthropic's brings the result of a tool."""
    blocks = cast("Sequence[object]", content) if isinstance(content, list | tuple) else ()
    return any(str(_get(one, "type")).endswith("tool_result") for one in blocks)


def _get(item: object, name: str) -> object:
    return cast("Mapping[str, object]", item).get(name) if isinstance(item, Mapping) else getattr(item, name, None)


def _mark(at: int, content: object) -> str:
    return blake2b(f"{at}:{content!r}".encode(errors="replace"), digest_size=8).hexdigest()
