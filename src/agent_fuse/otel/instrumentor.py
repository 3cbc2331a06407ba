"""Installs the request gate into the openai and anthropic SDKs.

The seams are private API of both SDKs, there since openai 1.0 and anthropic 0.2: `BaseClient._build_request`,
`SyncAPIClient.request` and `_process_response`, and their async twins. When one of them is not what it was
(`sdk_check`), a warning says so and the other gates stand.
"""

import functools
import importlib
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any, cast

from wrapt import register_post_import_hook

from agent_fuse.errors import SentinelError
from agent_fuse.otel import active, sdk_check
from agent_fuse.otel.request_gate import FLIGHT, Flight, unjudged_request
from agent_fuse.seams import GOES_ON, HELD_AT_QUOTE, harmless, quietly
from agent_fuse.wire import operation_of

log = logging.getLogger("agent_fuse")

SDKS = ("openai", "anthropic")

_JUDGING, _READING, _FAILING = "judging a request", "reading an answer", "noting a failed request"

_MARK = "_agent_fuse_original"
_lock = threading.Lock()
_wanted = False
_hooked = False
problems: dict[str, str] = {}
"""What is wrong with the gate of an SDK, by SDK; empty when all is well."""


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
            register_post_import_hook(functools.partial(_gate_if_wanted, sdk), f"{sdk}._base_client")


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
        for sdk in SDKS:
            base = sys.modules.get(f"{sdk}._base_client")
            for owner, name, _ in _SEAMS if base is not None else ():
                kind = getattr(base, owner, None)
                original = getattr(kind.__dict__.get(name), _MARK, None) if kind is not None else None
                if kind is not None and original is not None:
                    setattr(kind, name, original)


def wanted() -> bool:
    """Whether the gate was turned on."""
    return _wanted


def gated(sdk: str) -> bool:
    """Whether every seam of an SDK that is imported holds its gate."""
    base = sys.modules.get(f"{sdk}._base_client")
    seams = [getattr(getattr(base, owner, None), name, None) for owner, name, _ in _SEAMS if name != "_sleep_for_retry"]
    return base is not None and all(hasattr(one, _MARK) for one in seams)


def seams() -> list[tuple[str, str]]:
    """Class and method of each place without which an SDK can't be gated."""
    return [(owner, name) for owner, name, _ in _SEAMS if name in {"_build_request", "_process_response"}]


def _gate(sdk: str) -> None:
    base = importlib.import_module(f"{sdk}._base_client")
    with _lock:
        if not any(hasattr(getattr(getattr(base, owner, None), name, None), _MARK) for owner, name, _ in _SEAMS):
            problems.pop(sdk, None)
            what = sdk_check.moved(base, lambda options: (options.method, options.url, _body(options)))
            if what:
                problems[sdk] = f"{sdk}._base_client {what}: this version's requests are not gated"
                active.set_request_gate(False)
                log.warning("%s; spans still are. Upgrade agent-fuse, or use an earlier %s", problems[sdk], sdk)
                for watcher in _watchers:
                    watcher(problems[sdk])
                return
        for owner, name, wrap in _SEAMS:
            kind = getattr(base, owner, None)
            original = kind.__dict__.get(name) if kind is not None else None
            if kind is not None and original is not None and not hasattr(original, _MARK):
                wrapper = functools.wraps(original)(wrap(original, sdk))
                setattr(wrapper, _MARK, original)
                setattr(kind, name, wrapper)


def _request(original: Callable[..., Any], sdk: str) -> Callable[..., Any]:
    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        flight = quietly(_JUDGING, GOES_ON, Flight, sdk)
        token = FLIGHT.set(flight)
        try:
            return original(self, *args, **kwargs)
        except BaseException as error:
            if flight is not None:
                quietly(_FAILING, HELD_AT_QUOTE, flight.failed, error)
            raise
        finally:
            FLIGHT.reset(token)

    return request


def _arequest(original: Callable[..., Any], sdk: str) -> Callable[..., Any]:
    async def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        flight = quietly(_JUDGING, GOES_ON, Flight, sdk)
        token = FLIGHT.set(flight)
        try:
            return await original(self, *args, **kwargs)
        except BaseException as error:
            if flight is not None:
                quietly(_FAILING, HELD_AT_QUOTE, flight.failed, error)
            raise
        finally:
            FLIGHT.reset(token)

    return request


def _build_request(original: Callable[..., Any], sdk: str) -> Callable[..., Any]:
    def build(self: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        request = original(self, options, *args, **kwargs)
        try:
            flight = FLIGHT.get() or Flight(sdk)
            operation = operation_of(options.method, options.url, sdk)
            if operation is not None:
                size = request.headers.get("content-length")
                flight.judge(operation, options.url, _body(options), int(size) if size else None)
        except SentinelError:
            raise
        except Exception as error:  # noqa: BLE001  fail_safe decides
            unjudged_request(error)
        return request

    return build


def _body(options: Any) -> object:
    body: Any = options.json_data
    extra: Any = getattr(options, "extra_json", None)
    files: Any = getattr(options, "files", None)
    if isinstance(body, dict) and (isinstance(extra, dict) or files):
        more = {"file": files} if files else {}
        return {**cast("dict[str, Any]", body), **more, **cast("dict[str, Any]", extra or {})}
    return cast("object", body or extra)


def _process(original: Callable[..., Any], sdk: str) -> Callable[..., Any]:
    del sdk

    def process(self: Any, *, response: Any, **kwargs: Any) -> Any:
        flight = FLIGHT.get()
        if flight is None:
            return original(self, response=response, **kwargs)
        quietly(_READING, HELD_AT_QUOTE, flight.answered, response)
        try:
            parsed = original(self, response=response, **kwargs)
        except BaseException:
            quietly(_READING, HELD_AT_QUOTE, flight.unreadable, response)
            raise
        quietly(_READING, HELD_AT_QUOTE, flight.result, response, parsed)
        return parsed

    return process


def _aprocess(original: Callable[..., Any], sdk: str) -> Callable[..., Any]:
    del sdk

    async def process(self: Any, *, response: Any, **kwargs: Any) -> Any:
        flight = FLIGHT.get()
        if flight is None:
            return await original(self, response=response, **kwargs)
        quietly(_READING, HELD_AT_QUOTE, flight.answered, response)
        try:
            parsed = await original(self, response=response, **kwargs)
        except BaseException:
            quietly(_READING, HELD_AT_QUOTE, flight.unreadable, response)
            raise
        quietly(_READING, HELD_AT_QUOTE, flight.result, response, parsed)
        return parsed

    return process


def _sleep(original: Callable[..., Any], sdk: str) -> Callable[..., Any]:
    del sdk

    def sleep(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Without a response, it is called inside the handler of the error that made the SDK try again.
        flight = FLIGHT.get()
        if flight is not None and kwargs.get("response") is None:
            quietly(_FAILING, HELD_AT_QUOTE, flight.attempt_failed, sys.exc_info()[1])
        return original(self, *args, **kwargs)

    return sleep


_SEAMS: tuple[tuple[str, str, Callable[[Callable[..., Any], str], Callable[..., Any]]], ...] = (
    ("BaseClient", "_build_request", _build_request),
    ("SyncAPIClient", "request", _request),
    ("AsyncAPIClient", "request", _arequest),
    ("SyncAPIClient", "_process_response", _process),
    ("AsyncAPIClient", "_process_response", _aprocess),
    ("SyncAPIClient", "_sleep_for_retry", _sleep),
    ("AsyncAPIClient", "_sleep_for_retry", _sleep),
)
