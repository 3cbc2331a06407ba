"""Telling the model what is left: one line at the end of its next request, once a limit passes a share of its cap.

It is the last that the request says, so that nothing before it, which a cache may hold, is another.
"""

from collections.abc import Mapping
from typing import Any, cast

from agent_fuse import spend
from agent_fuse.accounting.call_request import TOLD, PendingCall
from agent_fuse.accounting.outgrown import hold_more_input
from agent_fuse.fuse import Fuse


def tell(fuse: Fuse, pending: PendingCall) -> None:
    """Have the request end with what is left, where its session's model is to be told and it fits."""
    request = pending.request
    if not request.alterable or request.body is None or not fuse.alerts.to_tell.get(request.caller.session.id):
        return
    line = f"Budget: {spend.remaining(fuse, request.caller, request.fact)}."
    fields = ended_with(line, request.operation, request.body)
    fuse.reentrancy.enter()
    try:
        if fields and hold_more_input(fuse.admission, fuse.accounting, pending, len(line.encode())):
            fuse.alerts.to_tell.drop(request.caller.session.id)
            pending.altered = pending.altered.and_also(fields, {TOLD: line})
    finally:
        fuse.reentrancy.leave()


def ended_with(line: str, operation: str, body: Mapping[str, Any]) -> dict[str, object]:
    """The field of a request's body that is to be another, so that it ends with this line; empty where it cannot."""
    name = {"chat": "messages", "messages": "messages", "responses": "input"}.get(operation, "")
    said: object = body.get(name)
    mine = {"role": "user", "content": line}
    if name == "input" and isinstance(said, str):
        return {name: [{"role": "user", "content": said}, mine]}
    if not isinstance(said, list) or not said:
        return {}
    items = cast("list[Any]", said)
    if operation != "messages":
        return {name: [*items, mine]}
    last = cast("dict[str, Any]", items[-1] if isinstance(items[-1], dict) else {})
    if last.get("role") != "user":
        return {}  # the beginning of its answer stands there
    content: Any = last["content"]
    parts: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    return {name: [*items[:-1], {**last, "content": [*parts, {"type": "text", "text": line}]}]}
