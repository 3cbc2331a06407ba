"""Greenlets of gevent begin with an empty context: each takes along where it was spawned, as threads do (carrying.py).

Imported by a program that uses gevent.
"""

import functools
from collections.abc import Callable
from contextvars import Context
from typing import Any

from agent_fuse.otel import carrying
from agent_fuse.otel.context import ORIGIN, where_from
from agent_fuse.seams import harmless, quietly

_PLACE, _SO = "handing work to a greenlet", "that work has no session"


@harmless(_PLACE, _SO)
def carry(module: Any) -> None:
    """Greenlets carry; `module` is gevent.greenlet."""
    module.Greenlet.add_spawn_callback(_spawned)


@harmless(_PLACE, _SO)
def carry_to_threads(module: Any) -> None:
    """Its threads too, which are real ones that `threading` knows nothing of; `module` is gevent.threadpool."""
    module.ThreadPool.spawn = _spawn(module.ThreadPool.spawn)


@harmless(_PLACE, _SO)
def _spawned(greenlet: Any) -> None:
    """Called by whoever starts a greenlet, before it runs."""
    origin = where_from() if carrying.installed() else None
    if origin is None:
        return
    if greenlet.gr_context is None:
        greenlet.gr_context = Context()
    greenlet.gr_context.run(ORIGIN.set, origin)


def _spawn(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def spawn(self: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        origin = quietly(_PLACE, _SO, where_from) if carrying.installed() else None
        return original(self, func if origin is None else functools.partial(_run, origin, func), *args, **kwargs)

    return spawn


def _run(origin: Any, func: Any, /, *args: Any, **kwargs: Any) -> Any:
    token = ORIGIN.set(origin)
    try:
        return func(*args, **kwargs)
    finally:
        ORIGIN.reset(token)
