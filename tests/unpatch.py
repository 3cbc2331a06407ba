"""Takes an instrumentation out again, completely: Traceloop's own uninstrument leaves most of its wrappers behind."""

import functools
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

PATCHED = ("openai", "anthropic", "langchain", "langchain_core", "langchain_openai", "langgraph")
"""Libraries whose functions instrumentations replace."""


@functools.cache
def load_sdks() -> None:
    """Load every resource module of the SDKs, which they do lazily, before anything is wrapped."""
    for sdk in ("openai", "anthropic"):
        package = importlib.import_module(f"{sdk}.resources")
        for found in pkgutil.walk_packages(package.__path__, f"{sdk}.resources."):
            importlib.import_module(found.name)


def _holders() -> Iterable[Any]:
    """Every module and class of those libraries that is loaded, but for the SDKs' thousands of types: they do nothing."""
    those: dict[int, Any] = {}
    for name, module in list(sys.modules.items()):
        if module is None or not _is_theirs(name):
            continue
        those[id(module)] = module
        for found in list(vars(module).values()):
            if isinstance(found, type) and id(found) not in those and _is_theirs(getattr(found, "__module__", "")):
                those[id(found)] = found
    return those.values()


@functools.cache
def _is_theirs(module: str) -> bool:
    top, _, rest = module.partition(".")
    return top in PATCHED and rest.partition(".")[0] != "types"


def _functions(holder: Any) -> dict[str, Any]:
    return {
        name: value for name, value in list(vars(holder).items()) if callable(value) and not isinstance(value, type)
    }


def instrumented() -> Iterator[Any]:
    """Instrumentors of others that are on."""
    known = list(BaseInstrumentor.__subclasses__())
    for kind in known:
        known += kind.__subclasses__()
        one = getattr(kind, "_instance", None)
        if isinstance(one, kind) and one.is_instrumented_by_opentelemetry and "agent_fuse" not in kind.__module__:
            yield one


@contextmanager
def restored() -> Iterator[None]:
    """Instrumentations turned on inside are turned off at the end, and functions they replaced are put back."""
    put_back = remembered()
    try:
        yield
    finally:
        put_back()


def remembered() -> Callable[[], None]:
    """Remembers how the libraries are now; what it answers puts them back so, as often as it is called."""
    load_sdks()
    before = [(holder, _functions(holder)) for holder in _holders()]

    def put_back() -> None:
        for one in list(instrumented()):
            one.uninstrument()
        for holder, functions in before:
            now = vars(holder)
            for name, value in functions.items():
                if now.get(name) is not value and type(now.get(name)).__name__ in (
                    "FunctionWrapper",
                    "BoundFunctionWrapper",
                ):
                    setattr(holder, name, value)
            if isinstance(holder, type):  # OpenInference leaves what the class inherits on the class itself
                for name in [one for one in _functions(holder) if one not in functions]:
                    if any(vars(base).get(name) is now[name] for base in holder.__mro__[1:]):
                        delattr(holder, name)

    return put_back
