"""Installs the wire gate into the HTTP libraries, once they are used: until then none of it is imported."""

import functools
import importlib
import logging
import sys
from typing import Any

from wrapt import register_post_import_hook

from agent_fuse.locks import Lock
from agent_fuse.otel import blind, patches
from agent_fuse.seams import harmless

log = logging.getLogger("agent_fuse")

_SEAMS = {
    "httpx": "agent_fuse.otel.wire_httpx",
    "httpx2": "agent_fuse.otel.wire_httpx",
    "urllib3": "agent_fuse.otel.wire_urllib3",
    "aiohttp": "agent_fuse.otel.wire_aiohttp",
    "http.client": "agent_fuse.otel.wire_http_client",
}
"""The part of the gate that stands in a library: which methods it wraps (`methods`), and whether the rest of what it
relies on is there (`is_as_ever`)."""

LIBRARIES = tuple(_SEAMS)

_lock = Lock()
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
    gate = sys.modules.get("agent_fuse.otel.wire_gate")
    if gate is not None:
        gate.turn(on=False)


@harmless("installing the wire gate", "its library's requests are not judged on the wire")
def _gate_if_wanted(library: str, module: object) -> None:
    del module
    if _wanted:
        _gate(library)


def _gate(library: str) -> None:
    module, seam = sys.modules[library], importlib.import_module(_SEAMS[library])
    what = _moved(module, seam)
    if what:
        problems[library] = f"{library} {what}: requests are not judged on the wire"
        log.warning("%s; the other gates stand. Upgrade agent-fuse, or use an earlier %s", problems[library], library)
        blind.changed()
        return
    problems.pop(library, None)
    with _lock:
        sys.modules["agent_fuse.otel.wire_gate"].turn(on=True)
        for owner, name, around in seam.methods(module):
            patches.put(owner, name, around)


def _moved(module: Any, seam: Any) -> str:
    """What is wrong with the library, as the end of a sentence; empty when all is as it was. Sends nothing."""
    try:
        for owner, name, _ in seam.methods(module):
            if name not in vars(owner):
                return f"has no {owner.__name__}.{name}"
        as_ever: bool = seam.is_as_ever(module)
    except Exception as error:  # noqa: BLE001  whatever it is, the library does not do what the gate relies on
        return f"cannot be tried out ({type(error).__name__}: {error})"
    return "" if as_ever else "has requests or responses that tell other things than they did"


def gated(library: str) -> bool:
    """Whether requests of a library that is imported pass the gate."""
    module, seam = sys.modules[library], importlib.import_module(_SEAMS[library])
    return _wanted and all(patches.stands(owner, name) for owner, name, _ in seam.methods(module))
