"""Installs the wire gate into the HTTP libraries, once they are used: until then none of it is imported."""

import functools
import importlib
import json
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

from wrapt import register_post_import_hook

from agent_fuse.otel import patches, sending
from agent_fuse.seams import harmless

log = logging.getLogger("agent_fuse")

LIBRARIES = ("httpx", "httpx2")

_CLIENTS = (("Client", sending.around), ("AsyncClient", sending.around_async))

_lock = threading.Lock()
_wanted = False
_hooked = False
problems: dict[str, str] = {}
"""What is wrong with the gate of a library, by library; empty when all is well."""


def install() -> None:
    """Gate the HTTP libraries, now where they are imported already, else as soon as they are. Idempotent."""
    global _hooked, _wanted
    with _lock:
        _wanted = True
        first, _hooked = not _hooked, True
    for library in LIBRARIES:
        if library in sys.modules:
            _gate(library)
        elif first:
            register_post_import_hook(functools.partial(_gate_if_wanted, library), library)


def uninstall() -> None:
    """Judge nothing on the wire any more. The wrappers are the request gate's to take out."""
    global _wanted
    _wanted = False
    sending.show_to(None)


@harmless("installing the wire gate", "its library's requests are not judged on the wire")
def _gate_if_wanted(library: str, module: object) -> None:
    del module
    if _wanted:
        _gate(library)


def _gate(library: str) -> None:
    module, gate = sys.modules[library], importlib.import_module("agent_fuse.otel.wire_gate")
    what = _moved(module, gate.path_of)
    if what:
        problems[library] = f"{library} {what}: requests are not judged on the wire"
        log.warning("%s; the other gates stand. Upgrade agent-fuse, or use an earlier %s", problems[library], library)
        return
    problems.pop(library, None)
    with _lock:
        sending.show_to(gate.WireGate())
        for owner, around in _CLIENTS:
            patches.put(getattr(module, owner), "send", around)


def _moved(module: Any, path_of: Callable[[Any], str | None]) -> str:
    """What is wrong with the library, as the end of a sentence; empty when all is as it was. Sends nothing."""
    try:
        for owner, _ in _CLIENTS:
            if "send" not in vars(getattr(module, owner)):
                return f"has no {owner}.send"
        request = module.Request("POST", "http://agent-fuse.invalid/v1/chat/completions?a=b", json={"a": 1})
        seen = (path_of(request), json.loads(request.read()), isinstance(request.extensions, dict))
        answer = module.Response(200, request=request, content=b"{}")
        if seen != ("/v1/chat/completions", {"a": 1}, True) or not (answer.is_closed and answer.content == b"{}"):
            return "has requests or responses that tell other things than they did"
    except Exception as error:  # noqa: BLE001  whatever it is, the library does not do what the gate relies on
        return f"cannot be tried out ({type(error).__name__}: {error})"
    return ""


def gated(library: str) -> bool:
    """Whether requests of a library that is imported pass the gate."""
    module = sys.modules.get(library)
    return sending.wire is not None and all(
        patches.stands(getattr(module, owner, None), "send") for owner, _ in _CLIENTS
    )
