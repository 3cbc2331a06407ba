"""Installs the request gate into the openai and anthropic SDKs.

The seams are private API of both SDKs, there since openai 1.0 and anthropic 0.2: `BaseClient._build_request`, where a
request is judged; `_process_response` of the sync and async client, where a whole answer is read; `send` of the HTTP
client, where an attempt fails or is answered (`sending`). When one of them is not what it was (`sdk_check`), a warning
says so and the other gates stand. What the user asked for is noted at `_prepare_options`, before a client of the SDK
rewrites it.

`request` is not one of them: OpenInference keeps a wrapper of its own on a subclass, which hides whatever is done to
the base class after it.
"""

import importlib
import logging
import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, cast

from wrapt import register_post_import_hook

from agent_fuse.accounting.waits import AWAITED, Waited, WaitFor
from agent_fuse.errors import SentinelError
from agent_fuse.ledgers.waiting import rest
from agent_fuse.locks import Lock
from agent_fuse.otel import active, blind, patches, sdk_check, sending, websockets, wire_install
from agent_fuse.otel.altering import options_with
from agent_fuse.otel.gate import not_judged
from agent_fuse.otel.request_gate import Flight
from agent_fuse.otel.telling import telling
from agent_fuse.seams import BOOKED_AT_QUOTE, GOES_ON, HELD_AT_QUOTE, harmless, quietly
from agent_fuse.wire import operation_of

log = logging.getLogger("agent_fuse")

SDKS = ("openai", "anthropic")

_DEPLOYED = "/deployments/"
"""In Azure's URLs, which name the model."""
_READING, _ASKING, _FOLLOWING = "reading an answer", "noting what is asked", "following a request"
_LISTENING = "listening for what work under way has cost"
_AS_SENT = "the request is judged as its client rewrote it"

_lock = Lock()
_wanted = False
_hooked = False
problems: dict[str, str] = {}
"""What is wrong with the gate of an SDK, by SDK; empty when all is well."""

_Asked = tuple[int, str, str, object]
_ASKED: ContextVar[_Asked | None] = ContextVar("agent_fuse_asked", default=None)
"""What was asked of a client (its id, the method, URL and body), until the request is built."""


_watchers: list[Callable[[str], None]] = []


def on_problem(watcher: Callable[[str], None]) -> None:
    """Tell `watcher` when an SDK is imported that can't be gated; what it raises leaves the import."""
    _watchers.append(watcher)


def instrument() -> None:
    """Turn the request gate on, unless it is."""
    if not _wanted:
        install()


def install() -> None:
    """Gate both SDKs, now where they are imported already, else as soon as they are. Idempotent."""
    global _wanted, _hooked
    with _lock:
        _wanted = True
        active.set_request_gate(True)
        first, _hooked = not _hooked, True
    for sdk in SDKS:
        if f"{sdk}._base_client" in sys.modules:
            _gate(sdk)
        elif first:
            register_post_import_hook(partial(_gate_if_wanted, sdk), f"{sdk}._base_client")
    websockets.install(wanted, first=first)
    wire_install.install()


@harmless("installing the request gate", "its SDK's requests are not gated")
def _gate_if_wanted(sdk: str, module: object) -> None:
    del module
    if _wanted:
        _gate(sdk)


def uninstall() -> None:
    """Take the gate out of both SDKs."""
    global _wanted
    with _lock:
        _wanted = False
        active.set_request_gate(False)
        wire_install.uninstall()
        patches.put_back()


def wanted() -> bool:
    """Whether the gate was turned on."""
    return _wanted


def gated(sdk: str) -> bool:
    """Whether every seam of an SDK that is imported holds its gate."""
    base = sys.modules.get(f"{sdk}._base_client")
    return base is not None and all(patches.stands(getattr(base, owner, None), name) for owner, name in REQUIRED)


def seams() -> list[tuple[str, str]]:
    """Class and method of each place without which an SDK can't be gated."""
    return [(owner, name) for owner, name, _ in _SEAMS if name in {"_build_request", "_process_response"}]


def _gate(sdk: str) -> None:
    base = importlib.import_module(f"{sdk}._base_client")
    with _lock:
        if not any(patches.stands(getattr(base, owner, None), name) for owner, name in REQUIRED):
            problems.pop(sdk, None)
            what = sdk_check.moved(base, lambda options: (options.method, options.url, _body(options)))
            if what:
                problems[sdk] = f"{sdk}._base_client {what}: this version's requests are not gated"
                active.set_request_gate(False)
                log.warning("%s; spans still are. Upgrade agent-fuse, or use an earlier %s", problems[sdk], sdk)
                blind.changed()
                for watcher in _watchers:
                    watcher(problems[sdk])
                return
        for owner, name, wrap in _SEAMS:
            kind = getattr(base, owner, None)
            if kind is None or not patches.put(kind, name, wrap(sdk)):
                log.warning("%s has no %s.%s: clients that rewrite requests are judged as they do", sdk, owner, name)


# What is asked -------------------------------------------------------------------------------------------------------


def _begins(original: patches.Method) -> patches.Method:
    """Around the first thing that every call does: what was asked before it is over."""

    def begins(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _wanted:
            _ASKED.set(None)
            kind = cast("type[Any]", type(self))
            if not hasattr(getattr(kind, "_prepare_options", None), patches.MARK):
                quietly(_ASKING, _AS_SENT, _note_options_of, kind)
        return original(self, *args, **kwargs)

    return begins


def _note_options_of(kind: type[Any]) -> None:
    owner = patches.owner_of(kind, "_prepare_options")
    if owner is not None:
        patches.put(owner, "_prepare_options", _prepare)


def _prepare(original: patches.Method) -> patches.Method:
    """Around the outermost hook in which a client may rewrite the options; sync and async alike."""

    def prepare(self: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        if _wanted and _ASKED.get() is None:
            _ASKED.set(quietly(_ASKING, _AS_SENT, _asked, self, options))
        return original(self, options, *args, **kwargs)

    return prepare


def _asked(client: object, options: Any) -> _Asked:
    return id(client), options.method, options.url, _body(options)


def _body(options: Any) -> object:
    """What is asked, in a mapping of its own where it is one: a client may take fields out of what it was given."""
    body: Any = options.json_data
    extra: Any = getattr(options, "extra_json", None)
    files: Any = getattr(options, "files", None)
    if isinstance(body, dict):
        more = {"file": files} if files else {}
        return {**cast("dict[str, Any]", body), **more, **cast("dict[str, Any]", extra or {})}
    return cast("object", body or extra)


def _posted(original: patches.Method) -> patches.Method:
    """Around a call of an async client: where its gate says to wait, it is awaited, and asked for again."""

    async def post(self: Any, *args: Any, **kwargs: Any) -> Any:
        waited = quietly("letting a call wait", "a limit refuses it at once", Waited) if _wanted else None
        if waited is None or AWAITED.get() is not None:
            return await original(self, *args, **kwargs)
        token = AWAITED.set(waited)
        try:
            while True:
                try:
                    return await original(self, *args, **kwargs)
                except WaitFor as limit:
                    seconds = limit.seconds
                await rest(seconds)
        finally:
            AWAITED.reset(token)
            quietly("ending a wait", GOES_ON, waited.end)

    return post


# A request and its answer --------------------------------------------------------------------------------------------


def _build_request(original: patches.Method, *, sdk: str) -> patches.Method:
    def build(self: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        request = original(self, options, *args, **kwargs)
        if _wanted:
            try:
                request = _judge(self, options, request, sdk, lambda altered: original(self, altered, *args, **kwargs))
            except SentinelError:
                raise
            except Exception as error:  # noqa: BLE001  fail_safe decides
                not_judged("judging a request", error, fail_safe=active.fail_safe())
        return request

    return build


def _judge(client: Any, options: Any, request: Any, sdk: str, build: Callable[[Any], Any]) -> Any:
    """The request that is to be sent: this one, or another that is built where it is to leave altered."""
    if sending.carried(request) is not None:
        return request
    asked = _ASKED.get()
    if asked is not None:
        _ASKED.set(None)
    if asked is None or asked[0] != id(client):
        asked = _asked(client, options)
    _, method, url, body = asked
    operation = operation_of(method, url, sdk)
    if operation is None:
        quietly(_LISTENING, GOES_ON, _listen, client, request, asked, sdk)
        return request
    flight = Flight(sdk, request.url)
    size = request.headers.get("content-length")
    given: Any = options.json_data
    flight.renamable = isinstance(given, dict) and "model" in given and _DEPLOYED not in options.url
    try:
        flight.judge(operation, url, body, int(size) if size else None)
        if flight.fields:
            request = _altered(options, flight, build)
        if flight.seen is not None and not quietly(_FOLLOWING, BOOKED_AT_QUOTE, _follow, client, request, flight):
            flight.abandon()
    except (SentinelError, Exception):
        raise
    except BaseException:  # a KeyboardInterrupt
        flight.give_back()
        raise
    return request


def _altered(options: Any, flight: Flight, build: Callable[[Any], Any]) -> Any:
    try:
        return build(options_with(options, flight.fields))
    except Exception:  # it was admitted in this form alone
        flight.give_back()
        raise


def _follow(client: Any, request: Any, flight: Flight) -> bool:
    seen = sending.watch(client._client, partial(_is_async, client, flight.provider))  # noqa: SLF001
    request.extensions[sending.CARRIED] = flight
    flight.follow(request, sees_sending=seen)
    return True


def _listen(client: Any, request: Any, asked: _Asked, sdk: str) -> None:
    """What costs nothing may still tell what was begun before."""
    asking = telling(asked[1], asked[2], sdk, asked[3])
    if asking is not None:
        sending.watch(client._client, partial(_is_async, client, sdk))  # noqa: SLF001
        sending.carry(request, asking)


def _is_async(client: Any, sdk: str) -> bool:
    return isinstance(client, sys.modules[f"{sdk}._base_client"].AsyncAPIClient)


def _process(original: patches.Method) -> patches.Method:
    def process(self: Any, *, response: Any, **kwargs: Any) -> Any:
        flight = quietly(_READING, HELD_AT_QUOTE, sending.flight_of, response)
        if flight is None:
            return original(self, response=response, **kwargs)
        try:
            if not flight.has_answer:
                quietly(_READING, HELD_AT_QUOTE, flight.answered, response)
            parsed = original(self, response=response, **kwargs)
            quietly(_READING, HELD_AT_QUOTE, flight.result, response, parsed)
        except BaseException:
            quietly(_READING, HELD_AT_QUOTE, flight.unreadable, response)
            raise
        return parsed

    return process


def _aprocess(original: patches.Method) -> patches.Method:
    async def process(self: Any, *, response: Any, **kwargs: Any) -> Any:
        flight = quietly(_READING, HELD_AT_QUOTE, sending.flight_of, response)
        if flight is None:
            return await original(self, response=response, **kwargs)
        try:
            if not flight.has_answer:
                quietly(_READING, HELD_AT_QUOTE, flight.answered, response)
            parsed = await original(self, response=response, **kwargs)
            quietly(_READING, HELD_AT_QUOTE, flight.result, response, parsed)
        except BaseException:
            quietly(_READING, HELD_AT_QUOTE, flight.unreadable, response)
            raise
        return parsed

    return process


_SEAMS: tuple[tuple[str, str, Callable[[str], patches.Wrap]], ...] = (
    ("BaseClient", "_maybe_override_cast_to", lambda _: _begins),
    ("SyncAPIClient", "_prepare_options", lambda _: _prepare),
    ("AsyncAPIClient", "_prepare_options", lambda _: _prepare),
    ("AsyncAPIClient", "post", lambda _: _posted),
    ("BaseClient", "_build_request", lambda sdk: partial(_build_request, sdk=sdk)),
    ("SyncAPIClient", "_process_response", lambda _: _process),
    ("AsyncAPIClient", "_process_response", lambda _: _aprocess),
)

REQUIRED = tuple((owner, name) for owner, name, _ in _SEAMS if name in ("_build_request", "_process_response"))
"""Class and method of the seams that an SDK must have for its requests to be gated."""
