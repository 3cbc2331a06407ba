"""What an agent did, read from the history that it sends: the calls of its last turn, with what came back (pure).

An agent resends its conversation with each request, and only its end is new: the calls that the model asked for last
and their results. They are found from the end backwards, so that the length of the history costs nothing. Known are
OpenAI chat and Responses, Anthropic messages, Bedrock's Converse and Gemini's contents.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

UNKNOWN_CALL = object()
"""Stands for the arguments of a call that the history does not hold (`previous_response_id`)."""

_MOST = 128
"""Items looked at from the end: one turn, with its results and what was said since."""
_SINCE = 4
"""Messages without a result that may follow the results of the last turn."""
_SHORT_ID = 12
"""An id of fewer characters may be one that is used again at each turn; it is known by its place as well."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One call of a tool, as a conversation tells it."""

    id: str
    """The same whenever this call is told again."""
    call_id: str
    """As the provider named it, or its name and place where it has none."""
    tool: str
    arguments: object
    result: object
    failed: bool = False
    at: int = 0
    """Where in its history it was asked for."""


def last_turn(body: Mapping[str, Any], known: Callable[[str], int | None] = lambda _: None) -> list[ToolUse]:
    """The tool calls of the last turn that have a result, in order; empty where the last turn had none.

    `known`: where in its history a call was told of before; what lies behind one that was is not looked at.
    """
    history = history_of(body)
    turn = _Turn(history, known)
    for at in range(len(history) - 1, max(len(history) - 1 - _MOST, -1), -1):
        if turn.ends_before(history[at], at):
            break
    return turn.in_order()


def history_of(body: Mapping[str, Any]) -> Sequence[object]:
    """The messages or items of a request, oldest first."""
    items = body.get("messages") or body.get("input") or body.get("contents")
    return cast("Sequence[object]", items) if isinstance(items, (list, tuple)) else ()


class _Turn:
    """The last turn, as far as it is found, from its end."""

    def __init__(self, history: Sequence[object], known: Callable[[str], int | None]) -> None:
        self._history = history
        self._known = known
        self._uses: list[ToolUse] = []
        self._results: dict[str, tuple[object, bool]] = {}
        self._since = 0
        self._over = False

    def ends_before(self, item: object, at: int) -> bool:
        """Look at an item; whether the turn began with it, or after it."""
        kind = _text(item, "type")
        if kind == "reasoning":
            return False
        told, asked = list(_results(item)), list(_calls(item))
        for call_id, result, failed in told:
            self._results.setdefault(call_id, (result, failed))
        for call_id, tool, arguments in reversed(asked):
            self._asked(at, call_id, tool, arguments)
        if asked or told:
            return self._over or (bool(asked) and kind not in _CALL_ITEMS)  # a message holds all calls of its turn
        self._since += 1
        begun = self._uses or self._results or _text(item, "role") in _ANSWERS
        return bool(begun) or self._since > _SINCE

    def _asked(self, at: int, call_id: str, tool: str, arguments: object) -> None:
        found = self._results.pop(call_id, None)
        if found is None or self._over:
            return
        own = call_id if len(call_id) >= _SHORT_ID else f"{call_id}@{at}"
        place = self._known(own)
        if place is not None and place != at:  # sent again with more before it, or an id that was given to another call
            times = sum(one == call_id for item in self._history[: at + 1] for one, _, _ in _calls(item))
            if times > 1:
                own = f"{own}#{times}"
                place = self._known(own)
        if place is not None:
            self._over = True
        else:
            self._uses.append(ToolUse(own, call_id, tool, arguments, *found, at=at))

    def in_order(self) -> list[ToolUse]:
        lost = {} if self._over else self._results
        unnamed = [ToolUse(one, one, "", UNKNOWN_CALL, result, failed) for one, (result, failed) in lost.items()]
        return unnamed[::-1] + self._uses[::-1]


def calls_in(answer: object) -> list[tuple[str, str, object]]:
    """The tool calls that an answer of the Responses API asks for: id, tool, arguments."""
    return [call for item in _listed(_get(answer, "output")) for call in _calls(item)]


_ANSWERS = frozenset({"assistant", "model"})


_CALL_ITEMS = frozenset({"function_call", "custom_tool_call"})
_RESULT_ITEMS = frozenset({"function_call_output", "custom_tool_call_output"})


def _calls(item: object) -> Iterator[tuple[str, str, object]]:
    if _text(item, "type") in _CALL_ITEMS:
        arguments = _get(item, "arguments")
        yield _text(item, "call_id"), _text(item, "name"), _get(item, "input") if arguments is None else arguments
        return
    role = _text(item, "role")
    if role not in _ANSWERS:
        return
    for call in _listed(_get(item, "tool_calls")):
        function = _get(call, "function") or _get(call, "custom")
        if function is not None:
            arguments = _get(function, "arguments")
            yield (
                _text(call, "id"),
                _text(function, "name"),
                arguments if arguments is not None else _get(function, "input"),
            )
    for part in _parts(item):
        if _get(part, "type") == "tool_use":
            yield _text(part, "id"), _text(part, "name"), _get(part, "input")
        elif (use := _get(part, "toolUse")) is not None:
            yield _text(use, "toolUseId"), _text(use, "name"), _get(use, "input")
        elif (call := _get(part, "functionCall") or _get(part, "function_call")) is not None:
            yield _text(call, "id") or _text(call, "name"), _text(call, "name"), _get(call, "args")


def _results(item: object) -> Iterator[tuple[str, object, bool]]:
    if _text(item, "type") in _RESULT_ITEMS:
        yield _text(item, "call_id"), _said(_get(item, "output")), False
        return
    role = _text(item, "role")
    if role == "tool" and (call_id := _text(item, "tool_call_id")):
        yield call_id, _said(_get(item, "content")), False
        return
    if role in _ANSWERS:
        return
    for part in _parts(item):
        if _get(part, "type") == "tool_result":
            yield _text(part, "tool_use_id"), _said(_get(part, "content")), bool(_get(part, "is_error"))
        elif (back := _get(part, "toolResult")) is not None:
            yield _text(back, "toolUseId"), _said(_get(back, "content")), _get(back, "status") == "error"
        elif (back := _get(part, "functionResponse") or _get(part, "function_response")) is not None:
            yield _text(back, "id") or _text(back, "name"), _get(back, "response"), False


def _parts(item: object) -> Sequence[object]:
    parts = _get(item, "content")
    parts = _get(item, "parts") if parts is None else parts
    return cast("Sequence[object]", parts) if isinstance(parts, (list, tuple)) else ()


def _said(content: object) -> object:
    """A result as its tool gave it: the text of text parts."""
    if not isinstance(content, (list, tuple)):
        return content
    parts = cast("Sequence[object]", content)
    texts = [text for part in parts if isinstance(text := _get(part, "text"), str)]
    return "\n".join(texts) if parts and len(texts) == len(parts) else parts


def _listed(found: object) -> Sequence[Any]:
    return cast("Sequence[Any]", found) if isinstance(found, (list, tuple)) else ()


def _get(item: Any, name: str) -> Any:
    return cast("dict[str, Any]", item).get(name) if isinstance(item, dict) else getattr(item, name, None)


def _text(item: object, name: str) -> str:
    found = _get(item, name)
    return found if isinstance(found, str) else ""
