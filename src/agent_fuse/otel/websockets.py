"""Gates the openai SDK's websocket connections: Realtime and its beta, translations, Live sessions, and Responses.

A connection takes a hold as it is opened, for its first answer. Each answer is booked from the event that ends it; each
that is asked for after the first takes a hold of its own, so that one is refused where nothing is left. What is billed
by the second is held and booked by the minute (`websocket_talk`). What a voice detector at the provider makes it say
unasked is booked, and cannot be refused.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from weakref import finalize

from wrapt import register_post_import_hook

from agent_fuse.otel import active, patches
from agent_fuse.otel.gate import call_site
from agent_fuse.seams import BOOKED_AT_QUOTE, GOES_ON, HELD_AT_QUOTE, harmless, judge, quietly

if TYPE_CHECKING:
    from agent_fuse.otel.websocket_talk import Talk

MODULES = (
    ("openai.resources.realtime.realtime", "Realtime"),
    ("openai.resources.beta.realtime.realtime", "Realtime"),
    ("openai.resources.realtime.translations.translations", "Translations"),
    ("openai.resources.responses.responses", "Responses"),
    ("openai.resources.beta.responses.responses", "Responses"),
    ("openai.resources.live.live", "Live"),
    ("openai.resources.live.forks", "Forks"),
    ("openai.resources.live.sideband", "Sideband"),
)
"""Modules of the SDK, and what their classes' names begin with."""

_TALK = "agent_fuse_talk"
_OPENING, _ASKING, _HEARING, _CLOSING = (
    "opening a websocket connection",
    "asking for an answer over a websocket",
    "reading an event of a websocket",
    "closing a websocket connection",
)

_wanted: Callable[[], bool] = bool


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
        sends = _asend if is_async else _send
        raw = patches.owner_of(connection, "send_raw")
        if raw is not None:
            patches.put(raw, "send_raw", sends)
        if raw is None or not _goes_through_raw(connection):
            patches.put(connection, "send", sends)
        patches.put(connection, "recv_bytes", _areceive if is_async else _receive)
        owner = patches.owner_of(connection, "close")
        if owner is not None:
            patches.put(owner, "close", _aclose if is_async else _close)


def _goes_through_raw(connection: type[Any]) -> bool:
    """Whether what is sent as an event is sent as text in the end, by a method that is gated itself."""
    send = connection.__dict__.get("send")
    code = getattr(getattr(send, patches.MARK, send), "__code__", None)
    return code is not None and "send_raw" in code.co_names


def _begin(manager: Any) -> "Talk | None":
    site = call_site()
    if not _wanted() or site is None or not site.fuse.settings.request_gate:
        return None
    from agent_fuse.otel.websocket_talk import KINDS  # noqa: PLC0415  few processes open one

    name = type(manager).__name__
    model = getattr(manager, f"_{name}__model", None)
    kind = KINDS[name.removeprefix("Async").removesuffix("ConnectionManager")]
    talk = kind(site.fuse, site.caller, model if isinstance(model, str) else "")
    talk.open()
    return talk


def _follow(connection: Any, talk: "Talk") -> None:
    setattr(connection, _TALK, talk)
    finalize(connection, quietly, _CLOSING, HELD_AT_QUOTE, talk.end).atexit = False


def _talk(connection: Any) -> "Talk | None":
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
