"""Carrying: threads and thread pools take along where their work was handed to them, so that its session reaches them.

A thread begins with an empty context. While AgentFuse guards, each thread takes its starter's context along as its
*origin*, and each task of a pool its submitter's, whenever and wherever the pool was made. An origin is looked at for
accounts alone: spans, baggage and context variables of the host's threads stay as they are. The seams lie beneath those
of OpenTelemetry's own threading instrumentation (`Thread.start`, `Thread.run`, `ThreadPoolExecutor.submit`), so that
either can come and go as it likes; no frame of ours stands in a task's traceback. The pools of `multiprocessing` know
no BaseException: it ends their worker, and whoever waits for the task waits for ever. There a trip ends a task softly.
"""

import functools
import importlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import thread as pools
from contextvars import Context
from multiprocessing import pool as old_pools
from multiprocessing.pool import Pool, ThreadPool
from multiprocessing.process import BaseProcess
from typing import Any

from wrapt import register_post_import_hook

from agent_fuse.errors import SentinelError, soften
from agent_fuse.locks import Lock
from agent_fuse.otel.context import ORIGIN, where_from
from agent_fuse.seams import quietly

log = logging.getLogger("agent_fuse")

_MARK = "_agent_fuse_original"
_ORIGIN = "_agent_fuse_origin"
_PROCESS, _UNGUARDED = "starting a process", "it is not guarded unless it calls init() itself"
_PLACE, _SO = "handing work to a thread", "that work has no session"
_POOL_WORKERS: tuple[Any, ...] = (getattr(pools, "_worker", _MARK), getattr(old_pools, "worker", _MARK))
"""Bodies of threads that live for many tasks: each task has an origin of its own, the thread has none."""

_TASKS = ("apply_async", "_map_async", "imap", "imap_unordered")
"""By which a pool of `multiprocessing` is given work; all others come to these."""

_lock = Lock()
_on = False
_waits_for_others = False
problem = ""
"""What keeps threads from being carried in this Python; empty when all is well."""


def install() -> None:
    """Threads and pools carry from now on. Idempotent."""
    global _on, _waits_for_others, problem
    with _lock:
        _on = True
        missing = [f"{_name(owner)}.{name}" for owner, name, _ in _seams() if not hasattr(owner, name)]
        if missing and not problem:
            problem = f"this Python has no {missing[0]}: sessions do not reach the threads that work is handed to"
            log.warning("%s; enter agent_fuse.session() in the thread itself", problem)
        for owner, name, wrap in _seams():
            original = getattr(owner, name, None)
            if original is not None and not hasattr(original, _MARK):
                wrapper = functools.wraps(original)(wrap(original))
                setattr(wrapper, _MARK, (original, name in vars(owner)))
                setattr(owner, name, wrapper)
        first, _waits_for_others = not _waits_for_others, True
    if first:
        register_post_import_hook("agent_fuse.otel.greenlets:carry", "gevent.greenlet")
        register_post_import_hook("agent_fuse.otel.greenlets:carry_to_threads", "gevent.threadpool")
        register_post_import_hook("agent_fuse.otel.ray_workers:guard_workers", "ray")


def uninstall() -> None:
    """Nothing is carried any more. Where another's wrapper stands over one of ours, ours stays and does nothing."""
    global _on
    with _lock:
        _on = False
        for owner, name, _ in _seams():
            original, own = getattr(owner.__dict__.get(name), _MARK, (None, False))
            if original is None:
                continue
            if own:
                setattr(owner, name, original)
            else:
                delattr(owner, name)


def installed() -> bool:
    """Whether threads carry."""
    return _on and not problem


def _start_thread(original: Callable[..., Any]) -> Callable[..., Any]:
    def start(bootstrap: Any, *args: Any, **kwargs: Any) -> Any:
        begin = quietly(_PLACE, _SO, _carrying, bootstrap) if _on else None
        return original(bootstrap if begin is None else begin, *args, **kwargs)

    return start


def _carrying(bootstrap: Any) -> Any:
    """A thread's first function, which sets its origin before anything of the thread's own runs."""
    thread = getattr(bootstrap, "__self__", None)
    origin = where_from()
    if origin is None or not isinstance(thread, threading.Thread) or getattr(thread, "_target", None) in _POOL_WORKERS:
        return bootstrap
    inside = getattr(thread, "_context", None)
    if isinstance(inside, Context):  # since Python 3.14 a thread runs in a context that is made before it starts
        inside.run(ORIGIN.set, origin)
        return bootstrap

    def begin() -> None:
        ORIGIN.set(origin)
        bootstrap()

    return begin


def _start_process(original: Callable[..., None]) -> Callable[..., None]:
    def start(self: Any) -> None:
        if _on:
            self.agent_fuse_guard = quietly(_PROCESS, _UNGUARDED, _taken_along)
        original(self)

    return start


def _taken_along() -> object:
    return importlib.import_module("agent_fuse.otel.spawning").taken_along()  # few programs start processes


def _make_item(original: Callable[..., None]) -> Callable[..., None]:
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if _on:
            setattr(self, _ORIGIN, quietly(_PLACE, _SO, where_from))

    return init


def _run_item(original: Callable[..., None]) -> Callable[..., None]:
    def run(self: Any, *args: Any, **kwargs: Any) -> None:
        token = ORIGIN.set(self.__dict__.pop(_ORIGIN, None))
        try:
            original(self, *args, **kwargs)
        finally:
            ORIGIN.reset(token)

    return run


def _hand_over(original: Callable[..., Any]) -> Callable[..., Any]:
    def hand_over(self: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        if _on:
            func = functools.partial(_run_task, quietly(_PLACE, _SO, where_from), func)
        return original(self, func, *args, **kwargs)

    return hand_over


def _run_task(origin: Any, func: Any, /, *args: Any, **kwargs: Any) -> Any:
    token = ORIGIN.set(origin)
    try:
        return _softly(func, *args, **kwargs)
    finally:
        ORIGIN.reset(token)


def _send_over(original: Callable[..., Any]) -> Callable[..., Any]:
    def send_over(self: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        return original(self, functools.partial(_softly, func) if _on else func, *args, **kwargs)

    return send_over


def _softly(func: Any, /, *args: Any, **kwargs: Any) -> Any:
    """A task of a pool, in whichever process."""
    try:
        return func(*args, **kwargs)
    except SentinelError as trip:
        if isinstance(trip, Exception):
            raise
        raise soften(trip) from trip


def _seams() -> tuple[tuple[Any, str, Callable[[Callable[..., Any]], Callable[..., Any]]], ...]:
    joinable = "_start_joinable_thread"  # what Thread.start calls since Python 3.13
    item = getattr(pools, "_WorkItem", pools)
    return (
        (threading, joinable if hasattr(threading, joinable) else "_start_new_thread", _start_thread),
        (item, "__init__", _make_item),
        (item, "run", _run_item),
        (BaseProcess, "start", _start_process),
        *((ThreadPool, name, _hand_over) for name in _TASKS),
        *((Pool, name, _send_over) for name in _TASKS),  # after the class that inherits them
    )


def _name(owner: Any) -> str:
    return str(getattr(owner, "__qualname__", getattr(owner, "__name__", owner)))
