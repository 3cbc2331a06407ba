"""How long the ledger waits for others: its whole time in a thread, a moment in an event loop (decision 5)."""

import itertools
import queue
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

LOOP_SECONDS = 0.25
"""The longest that a gate holds an event loop up for the sake of another process or thread."""

T = TypeVar("T")

_here = threading.local()
_FIRST_PAUSE, _GROWTH, _LAST_PAUSE = 20e-6, 1.3, 500e-6


def in_event_loop() -> bool:
    """Whether this thread is running an event loop, of asyncio (uvloop's too) or Trio, which stands still meanwhile."""
    asyncio = sys.modules.get("asyncio")
    running = getattr(asyncio, "_get_running_loop", None)
    loop = running() if running is not None else None
    if loop is not None:  # asyncio knows it by the thread; where gevent made greenlets of threads, it may be another's
        return getattr(loop, "_thread_id", None) in (None, threading.get_ident())
    return "trio" in sys.modules and _in_trio()


def _in_trio() -> bool:
    """Asked of Trio alone: what knows both (`sniffio`, `anyio`) need not be there."""
    lowlevel = sys.modules.get("trio.lowlevel")
    current: Any = getattr(lowlevel, "current_trio_token", None)  # `in_trio_run` is younger
    if current is None:
        return False  # it is being imported
    try:
        current()
    except RuntimeError:
        return False
    return True


async def rest(seconds: float) -> None:
    """Wait while the event loop that runs here goes on."""
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio")
    if trio is not None and _in_trio():
        await trio.sleep(seconds)
    elif asyncio is not None:
        await asyncio.sleep(seconds)


def patience(seconds: float) -> float:
    """The part of `seconds` that may be waited here."""
    return min(seconds, getattr(_here, "loop_seconds", LOOP_SECONDS)) if in_event_loop() else seconds


def without_waiting(work: Callable[[], T]) -> T:
    """Do `work` now or not at all, where an event loop would have to stand still for it; elsewhere as ever."""
    here = _here
    here.loop_seconds = 0.0
    try:
        return work()
    finally:
        here.loop_seconds = LOOP_SECONDS


def pause(times: int) -> None:
    """Wait a little, before asking again for the `times`-th time.

    Pauses are short and hardly grow. Measured with four processes on two cores, asking again so serves them as evenly
    as waiting inside flock() does, with more throughput, and it can be given up after a time.
    """
    seconds = min(_FIRST_PAUSE * _GROWTH ** min(times, 99), _LAST_PAUSE) * (0.5 + random.random())  # noqa: S311
    if in_event_loop():
        _wait_in_loop(seconds)
    else:
        time.sleep(seconds)


def pauses(seconds: float) -> Iterator[None]:
    """Come back after each of the pauses that fit into `seconds`."""
    deadline = time.monotonic() + seconds
    for times in itertools.count():
        if time.monotonic() >= deadline:
            return
        pause(times)
        yield


def elsewhere(work: Callable[[], None], seconds: float) -> bool:
    """Do `work` in a thread of its own, since it touches files, and this thread runs an event loop.

    Whether it was done within `seconds`; else it goes on. Raises what `work` raises.
    """
    raised: list[BaseException] = []
    ended: list[bool] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  it is raised below, in the thread that asked
            raised.append(error)
        ended.append(True)

    threading.Thread(target=run, name="agent_fuse ledger", daemon=True).start()
    done = any(ended for _ in pauses(seconds))
    if raised:
        raise raised[0]
    return done


def timed_queue() -> "queue.SimpleQueue[Any]":
    """A queue whose `get(timeout=…)` comes back.

    A fresh one's first need not: where the time is over just when CPython (3.11 to 3.13) has taken the queue's lock, it
    waits without end. Here that lock is taken at once, and stays so until something is put.
    """
    made: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with suppress(queue.Empty):
        made.get_nowait()
    return made


def _wait_in_loop(seconds: float) -> None:
    """Wait without `time.sleep`, which detectors of blocking calls allow in no event loop, for however short a time.

    This wait is short, bounded and decided on.
    """
    try:
        _NEVER.get(timeout=seconds)
    except queue.Empty:
        return


_NEVER: "queue.SimpleQueue[None]" = timed_queue()
