"""Tools of LangChain, which only spans show: its instrumentation is turned on when a program comes to use LangChain."""

import functools
import importlib
import importlib.metadata
import logging
import sys
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from wrapt import register_post_import_hook

from agent_fuse.locks import RLock
from agent_fuse.seams import GOES_ON, quietly

log = logging.getLogger("agent_fuse")

LIBRARY = "langchain-core"
INSTRUMENTATION = "opentelemetry-instrumentation-langchain"

MODULE = "opentelemetry.instrumentation.langchain"

_PACKAGE, _NAME = "langchain_core", "LangchainInstrumentor"
_ENTRIES = ("langchain.agents", "langgraph.prebuilt", "langgraph.pregel")
"""Modules that are imported whole before an agent is made, so that its making is seen too."""

_FIRST_USE = "langchain_core.callbacks.base"
_FAMILY = ("langchain", "langgraph", "openai", "anthropic")

_PATIENCE = 30.0

_lock = RLock()
_wanted = False
_done = False
_provider: TracerProvider | None = None


def turn_on_when_used(provider: TracerProvider | None = None) -> None:
    """Turn the installed LangChain instrumentation on once LangChain is imported, unless it is on by then. Idempotent.

    To turn it on imports LangChain with all its integrations, which takes seconds: a process that never uses LangChain
    (a server's master, a shell tool) is spared that. So it waits for an import to be whole, or for the first use; where
    it is imported already it is turned on now. The spans go to `provider`, else to the global one.
    """
    global _wanted, _provider
    with _lock:
        _provider = provider or _provider
        if _wanted:
            return
        _wanted = True
    for module in _ENTRIES:
        register_post_import_hook(_imported, module)
    if _PACKAGE in sys.modules and not _half_imported(besides=""):
        _turn_on()
    if not _done:
        register_post_import_hook(_at_first_use, _FIRST_USE)


def missing() -> bool:
    """Whether LangChain is installed, and its instrumentation is not."""
    return _installed(LIBRARY) and not _installed(INSTRUMENTATION)


def watched() -> bool:
    """Whether LangChain and its instrumentation are installed."""
    return _installed(LIBRARY) and _installed(INSTRUMENTATION)


def waiting() -> bool:
    """Whether the instrumentation will be turned on when LangChain is used."""
    return _wanted and not _done and watched()


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _imported(module: Any) -> None:
    if not _half_imported(besides=module.__name__):
        _turn_on()


def _half_imported(besides: str) -> bool:
    """Whether a module of the family is still in the middle of its import: to import more from there would fail."""
    return any(
        name.startswith(_FAMILY) and name != besides and getattr(getattr(one, "__spec__", None), "_initializing", False)
        for name, one in list(sys.modules.items())
    )


def _at_first_use(module: Any) -> None:
    """Every run of a chain, a model or a tool makes a callback manager first."""
    if _done:
        return
    kind = module.BaseCallbackManager
    original = kind.__init__

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        if quietly("looking for imports under way", GOES_ON, _may_turn_on):
            _turn_on(wait=_PATIENCE)
            kind.__init__(self, *args, **kwargs)
        else:
            original(self, *args, **kwargs)

    kind.__init__ = init


def _may_turn_on() -> bool:
    return not _done and not _half_imported(besides="")


def _turn_on(*, wait: float = 0) -> None:
    """Never raises: this runs inside a program's import, or its call.

    Args:
        wait: seconds to wait for another thread that is at it. Inside an import none: that thread may wait for us.
    """
    global _done
    if not _lock.acquire(timeout=wait):
        return
    try:
        if _done:
            return
        _done = True
        instrumentor = getattr(importlib.import_module(MODULE), _NAME)()
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument(**({} if _provider is None else {"tracer_provider": _provider}))
    except ModuleNotFoundError as absent:
        log.warning("AgentFuse cannot see LangChain's tools: %s is not installed", absent.name)
    except Exception:
        log.exception("AgentFuse cannot see LangChain's tools: its instrumentation could not be turned on")
    finally:
        _lock.release()
