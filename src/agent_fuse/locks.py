"""Locks for `with` that a KeyboardInterrupt leaves as they were, whichever Python runs.

Up to Python 3.13, `with lock` takes the lock and is bound to give it back in one instruction. Since 3.14 an interrupt
may be raised between the two where `__enter__` is C code, and a `threading.Lock` then stays locked for ever. It is not
where `__enter__` is a Python function, which sees to what comes before its own end.
"""

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or sys.version_info < (3, 14):
    Lock, RLock = threading.Lock, threading.RLock
else:

    class _Kept:
        """Built on `threading.RLock`, which knows whether this thread has got it."""

        __slots__ = ("_is_owned", "_lock", "release")

        def __init__(self) -> None:
            self._lock: Any = threading.RLock()
            self.release: Callable[[], None] = self._lock.release
            self._is_owned: Callable[[], bool] = self._lock._is_owned  # noqa: SLF001

        def __enter__(self) -> None:
            lock = self._lock
            before = lock._recursion_count()  # noqa: SLF001
            try:
                lock.acquire()
            except BaseException:
                if lock._recursion_count() > before:  # noqa: SLF001
                    lock.release()
                raise

        @property
        def __exit__(self) -> Callable[..., None]:  # noqa: PLE0302  looked up like a method, and called so
            return self._lock.__exit__  # C code, which nothing can interrupt before it has released

    class RLock(_Kept):
        """One that its thread may take again."""

        __slots__ = ()

        def acquire(self, *how: Any, **more: Any) -> bool:
            """As of `threading.RLock`."""
            return self._lock.acquire(*how, **more)

    class Lock(_Kept):
        """One that its thread does not get again by `acquire`; by `with` it does, rather than wait for itself."""

        __slots__ = ()

        def acquire(self, *how: Any, **more: Any) -> bool:
            """As of `threading.Lock`."""
            return not self._is_owned() and self._lock.acquire(*how, **more)


def begin(thread: threading.Thread) -> None:
    """Start a thread.

    Raises:
        RuntimeError: none can be had. While Python ends that is so from 3.12 on; before, who starts one then waits for
            ever for it to begin.
    """
    if sys.is_finalizing():
        raise RuntimeError("can't start a thread while Python ends")
    thread.start()
