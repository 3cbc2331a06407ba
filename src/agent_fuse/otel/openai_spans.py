"""Spans of the openai SDK: its instrumentation is turned on once the SDK is imported, and wraps the parts in use.

Traceloop's instrumentation imports all of the SDK that it knows, assistants and realtime too: 600 modules, 20 MiB and
half a second for a program that asks for one chat. So each part is wrapped when the program imports it, and what it
does for assistants is imported when there is one (docs/decisions/0013).
"""

import functools
import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from wrapt import register_post_import_hook

from agent_fuse.otel import active
from agent_fuse.seams import harmless

MODULE = "opentelemetry.instrumentation.openai"

_SDK, _NAME = "openai", "OpenAIInstrumentor"
_PARTS, _ASSISTANTS = f"{MODULE}.v1", f"{MODULE}.v1.assistant_wrappers"
_WHAT, _SO = "turning on the instrumentation of openai", "its requests are judged, and make no spans"

_provider: TracerProvider | None = None
_hooked = False

_Wrap = Callable[[str, str, Any], object]


def turn_on_when_used(provider: TracerProvider) -> None:
    """Turn the installed instrumentation on, unless it is: now where the SDK is imported, else as soon as it is."""
    global _provider, _hooked
    first, _hooked, _provider = not _hooked, True, provider
    if _SDK in sys.modules:
        _turn_on()
    elif first:
        # Whoever imports the instrumentation imports the SDK in the middle of it: its end is the time then.
        for module in (_SDK, MODULE):
            register_post_import_hook(_imported, module)


def waiting() -> bool:
    """Whether the instrumentation, which is installed, will be turned on when the SDK is imported."""
    return _hooked and _SDK not in sys.modules and _installed()


def _installed() -> bool:
    try:
        importlib.metadata.distribution("opentelemetry-instrumentation-openai")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@harmless(_WHAT, _SO)
def _imported(module: Any) -> None:
    if module.__name__ == MODULE or not _half_imported(MODULE):
        _turn_on()


def _half_imported(module: str) -> bool:
    return getattr(getattr(sys.modules.get(module), "__spec__", None), "_initializing", False)


@harmless(_WHAT, _SO)
def _turn_on() -> None:
    if not active.guards():
        return
    try:
        instrumentor = getattr(importlib.import_module(MODULE), _NAME)()
    except ModuleNotFoundError:
        return
    if not instrumentor.is_instrumented_by_opentelemetry:
        with _part_by_part(instrumentor):
            instrumentor.instrument(tracer_provider=_provider)


@contextmanager
def _part_by_part(instrumentor: Any) -> Generator[None]:
    """Inside, the instrumentation wraps what is imported and notes the rest; other releases of it wrap all at once."""
    try:
        parts: Any = _parts()
        wrap: _Wrap = parts.wrap_function_wrapper
    except (ImportError, AttributeError):
        yield
        return
    parts.wrap_function_wrapper = functools.partial(_wrap_when_imported, wrap, instrumentor)
    try:
        yield
    finally:
        parts.wrap_function_wrapper = wrap


def _parts() -> ModuleType:
    """The module that wraps, imported without its part for assistants, whose first line imports 480 modules."""
    if _PARTS in sys.modules:
        return sys.modules[_PARTS]
    sys.modules[_ASSISTANTS] = later = _Later(_ASSISTANTS)
    try:
        return importlib.import_module(_PARTS)
    except ImportError:  # it wants more of that part than its wrappers
        sys.modules.pop(_PARTS, None)
        sys.modules.pop(_ASSISTANTS, None)
        return importlib.import_module(_PARTS)
    finally:
        if sys.modules.get(_ASSISTANTS) is later:
            del sys.modules[_ASSISTANTS]


class _Later(ModuleType):
    """Stands for a module of wrappers while it is imported from: each is looked up in the module when it is called."""

    def __getattr__(self, name: str) -> Callable[[object], Callable[..., object]]:
        if not name.endswith("_wrapper"):
            raise AttributeError(name)

        def make(tracer: object) -> Callable[..., object]:
            def wrapper(*call: Any) -> object:
                return getattr(importlib.import_module(self.__name__), name)(tracer)(*call)

            return wrapper

        return make


def _wrap_when_imported(wrap: _Wrap, instrumentor: Any, module: str, name: str, wrapper: object) -> None:
    if module in sys.modules:
        wrap(module, name, wrapper)
        return

    @harmless("wrapping a part of openai", "calls of that part make no spans; their requests are judged")
    def imported(_: object) -> None:
        owner, _, method = name.partition(".")
        if instrumentor.is_instrumented_by_opentelemetry and hasattr(getattr(sys.modules[module], owner, None), method):
            wrap(module, name, wrapper)

    register_post_import_hook(imported, module)
