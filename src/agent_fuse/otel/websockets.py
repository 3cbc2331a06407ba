"""Gates the openai SDK's websocket connections: Realtime (and its beta), and the Responses API over a websocket.

A connection takes a hold as it is opened, for its first answer. Each answer is booked from the event that ends it; each
that is asked for after the first takes a hold of its own, so that one is refused where nothing is left. What a voice
detector at the provider makes it say unasked is booked, and cannot be refused.
"""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast
from weakref import finalize

from wrapt import register_post_import_hook

from agent_fuse import foreign_text
from agent_fuse.accounting.call_request import CallRequest, Stage
from agent_fuse.fuse import Fuse, Seen
from agent_fuse.limits import Caller
from agent_fuse.otel import active, patches
from agent_fuse.otel.gate import admit, call_site
from agent_fuse.seams import BOOKED_AT_QUOTE, GOES_ON, HELD_AT_QUOTE, harmless, judge, quietly
from agent_fuse.sightings import Layer, Outcome
from agent_fuse.usage_reader import fields_of, read_usage

SOURCE = "websocket"

MODULES = (
    ("openai.resources.realtime.realtime", "Realtime"),
    ("openai.resources.beta.realtime.realtime", "Realtime"),
    ("openai.resources.responses.responses", "Responses"),
)
"""Modules of the SDK, and what their classes' names begin with."""

_ENDS = frozenset({"response.done", "response.completed", "response.incomplete", "response.failed"})
_TALK = "agent_fuse_talk"
_OPENING, _ASKING, _HEARING, _CLOSING = (
    "opening a websocket connection",
    "asking for an answer over a websocket",
    "reading an event of a websocket",
    "closing a websocket connection",
)

_wanted: Callable[[], bool] = bool


class Talk:
    """One connection: the answers that it holds for, and what they cost."""

    def __init__(self, fuse: Fuse, caller: Caller, model: str) -> None:
        self._fuse = fuse
        self._caller = caller
        self._model = model
        self._held: list[Seen] = []
        self._asked = 0
        """Answers asked for and not here yet."""

    def open(self) -> None:
        """Take the hold for the first answer; where its model is not known yet, see whether anything is left.

        Raises:
            SentinelError: it is refused.
        """
        if self._model:
            self._hold(Stage.READY)
            return
        self._hold(Stage.UNNAMED)
        self.end()

    def _hold(self, stage: Stage, body: Mapping[str, Any] | None = None) -> None:
        site = call_site()
        caller = site.caller if site is not None else self._caller
        inside = (site.node, site.frame) if site is not None else ()
        around = site.around() if site is not None else ()
        self._held.append(admit(self._fuse, self._request(caller, stage, body), around, *inside))

    def ask(self, event: object) -> None:
        """An event is about to be sent. Raises SentinelError where it asks for an answer that is refused."""
        field = fields_of(event)
        if field("type") != "response.create":
            return
        model = field("model")  # the Responses API's events are its requests; a Realtime session has one model
        self._model = model if isinstance(model, str) else self._model
        if len(self._held) <= self._asked:
            body = _given(event) if isinstance(model, str) else None
            self._hold(Stage.READY, body)
        self._asked += 1

    def heard(self, data: Any) -> None:
        """An event came."""
        marks: tuple[Any, ...] = tuple(_MARKS if isinstance(data, bytes | bytearray) else _ENDS)
        if not any(kind in data for kind in marks):
            return
        event = foreign_text.read_json(data)
        if event.get("type") not in _ENDS:
            return
        answer = event.get("response")
        seen = self._held.pop(0) if self._held else self._fuse.open_call(self._request(self._caller, Stage.OVER))
        self._asked = max(self._asked - 1, 0)
        field = fields_of(answer)
        response_id, model = field("id"), field("model")
        self._fuse.close_call(
            seen,
            usage=read_usage(answer),
            response_id=response_id if isinstance(response_id, str) else "",
            model=model if isinstance(model, str) else "",
        )

    def end(self) -> None:
        """The connection is closed: answers that were asked for may have cost, the others did not."""
        while self._held:
            self._fuse.close_call(self._held.pop(0), outcome=Outcome.BROKEN if self._asked else Outcome.FAILED)
            self._asked = max(self._asked - 1, 0)

    def _request(self, caller: Caller, stage: Stage, body: Mapping[str, Any] | None = None) -> CallRequest:
        return CallRequest(
            layer=Layer.REQUEST,
            source=SOURCE,
            caller=caller,
            stage=stage,
            operation="chat" if body is None else "responses",
            provider="openai",
            body=body,
            model=self._model,
            trace_id=caller.trace,
        )


def _given(event: object) -> Mapping[str, Any] | None:
    """What an event says; the SDK still has in it what its caller left out."""
    if not isinstance(event, Mapping):
        return None
    said = cast("Mapping[str, Any]", event)
    return {name: one for name, one in said.items() if type(one).__name__ not in ("Omit", "NotGiven")}


_MARKS = tuple(kind.encode() for kind in _ENDS)


# Where it stands -----------------------------------------------------------------------------------------------------


def install(wanted: Callable[[], bool], *, first: bool) -> None:
    """Stand around the connections, now where their modules are imported, else as soon as they are."""
    global _wanted
    _wanted = wanted
    for module, prefix in MODULES:
        if module in sys.modules:
            _gate(prefix, sys.modules[module])
        elif first:
            register_post_import_hook(partial(_gate_if_wanted, prefix), module)


@harmless("installing the gate of websockets", "websocket connections are not gated")
def _gate_if_wanted(prefix: str, module: object) -> None:
    if _wanted():
        _gate(prefix, module)


def _gate(prefix: str, module: Any) -> None:
    for is_async in (False, True):
        name = f"Async{prefix}" if is_async else prefix
        manager = getattr(module, f"{name}ConnectionManager", None)
        connection = getattr(module, f"{name}Connection", None)
        if manager is None or connection is None:
            continue  # this version has none
        for way in ("enter", "__aenter__" if is_async else "__enter__"):
            patches.put(manager, way, _aenter if is_async else _enter)
        patches.put(connection, "send", _asend if is_async else _send)
        patches.put(connection, "recv_bytes", _areceive if is_async else _receive)
        owner = patches.owner_of(connection, "close")
        if owner is not None:
            patches.put(owner, "close", _aclose if is_async else _close)


def _begin(manager: Any) -> Talk | None:
    site = call_site()
    if not _wanted() or site is None or not site.fuse.settings.request_gate:
        return None
    model = getattr(manager, f"_{type(manager).__name__}__model", None)
    talk = Talk(site.fuse, site.caller, model if isinstance(model, str) else "")
    talk.open()
    return talk


def _follow(connection: Any, talk: Talk) -> None:
    setattr(connection, _TALK, talk)
    finalize(connection, quietly, _CLOSING, HELD_AT_QUOTE, talk.end).atexit = False


def _talk(connection: Any) -> Talk | None:
    found = getattr(connection, "__dict__", {}).get(_TALK)
    return cast("Talk | None", found)


def _ask(connection: Any, event: object) -> None:
    talk = _talk(connection)
    if talk is not None:
        talk.ask(event)


def _hear(connection: Any, data: object) -> None:
    talk = _talk(connection)
    if talk is not None:
        talk.heard(data)


def _end(connection: Any) -> None:
    talk = _talk(connection)
    if talk is not None:
        talk.end()


def _enter(original: patches.Method) -> patches.Method:
    def enter(self: Any, *args: Any, **kwargs: Any) -> Any:
        talk = judge(_OPENING, active.fail_safe, _begin, self)
        if talk is None:
            return original(self, *args, **kwargs)
        try:
            connection = original(self, *args, **kwargs)
        except BaseException:
            quietly(_CLOSING, HELD_AT_QUOTE, talk.end)
            raise
        quietly(_OPENING, HELD_AT_QUOTE, _follow, connection, talk)
        return connection

    return enter


def _aenter(original: patches.Method) -> patches.Method:
    async def enter(self: Any, *args: Any, **kwargs: Any) -> Any:
        talk = judge(_OPENING, active.fail_safe, _begin, self)
        if talk is None:
            return await original(self, *args, **kwargs)
        try:
            connection = await original(self, *args, **kwargs)
        except BaseException:
            quietly(_CLOSING, HELD_AT_QUOTE, talk.end)
            raise
        quietly(_OPENING, HELD_AT_QUOTE, _follow, connection, talk)
        return connection

    return enter


def _send(original: patches.Method) -> patches.Method:
    def send(self: Any, event: Any, *args: Any, **kwargs: Any) -> Any:
        judge(_ASKING, active.fail_safe, _ask, self, event)
        return original(self, event, *args, **kwargs)

    return send


def _asend(original: patches.Method) -> patches.Method:
    async def send(self: Any, event: Any, *args: Any, **kwargs: Any) -> Any:
        judge(_ASKING, active.fail_safe, _ask, self, event)
        return await original(self, event, *args, **kwargs)

    return send


def _receive(original: patches.Method) -> patches.Method:
    def recv_bytes(self: Any, *args: Any, **kwargs: Any) -> Any:
        data = original(self, *args, **kwargs)
        quietly(_HEARING, BOOKED_AT_QUOTE, _hear, self, data)
        return data

    return recv_bytes


def _areceive(original: patches.Method) -> patches.Method:
    async def recv_bytes(self: Any, *args: Any, **kwargs: Any) -> Any:
        data = await original(self, *args, **kwargs)
        quietly(_HEARING, BOOKED_AT_QUOTE, _hear, self, data)
        return data

    return recv_bytes


def _close(original: patches.Method) -> patches.Method:
    def close(self: Any, *args: Any, **kwargs: Any) -> Any:
        quietly(_CLOSING, GOES_ON, _end, self)
        return original(self, *args, **kwargs)

    return close


def _aclose(original: patches.Method) -> patches.Method:
    async def close(self: Any, *args: Any, **kwargs: Any) -> Any:
        quietly(_CLOSING, GOES_ON, _end, self)
        return await original(self, *args, **kwargs)

    return close
