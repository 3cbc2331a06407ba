"""A turn: a lock for one thread at a time that no thread waits for too long, and that no exception leaves locked."""

from collections.abc import Callable
from typing import Any

from agent_fuse.ledgers.waiting import in_event_loop, pauses
from agent_fuse.locks import RLock


class Nested(Exception):
    """The thread has the turn already."""


class Turn:
    """Entered by `with`. A KeyboardInterrupt may come between any two steps of ours, so these are few.

    Raises:
        Nested, TimeoutError: when entered.
    """

    def __init__(self, patience: Callable[[], float]) -> None:
        self._patience = patience
        # An RLock knows its owner, so that giving it back is safe where it is not sure that it was got.
        self.lock: Any = RLock()

    def is_mine(self) -> bool:
        """Whether this thread has it."""
        return bool(self.lock._is_owned())  # noqa: SLF001 - as threading.Condition does

    def try_now(self) -> bool:
        """Take it if it is free; the caller gives it back by `release`."""
        return not self.is_mine() and bool(self.lock.acquire(blocking=False))

    def release(self) -> None:
        """Give it back, if this thread has it."""
        try:
            self.lock.release()
        except RuntimeError:
            return

    def __enter__(self) -> None:
        lock = self.lock
        if lock._is_owned():  # noqa: SLF001
            raise Nested
        try:
            if not lock.acquire(blocking=False):
                self._wait()
        except BaseException:
            self.release()
            raise

    @property
    def __exit__(self) -> Callable[..., None]:  # noqa: PLE0302 - looked up like a method, and called so
        # `with` takes this method before it enters. It is C code, which nothing can interrupt before it has released.
        leave: Callable[..., None] = self.lock.__exit__
        return leave

    def _wait(self) -> None:
        lock, seconds = self.lock, self._patience()
        if not in_event_loop():
            if lock.acquire(timeout=seconds):
                return
        elif any(lock.acquire(blocking=False) for _ in pauses(seconds)):
            return
        raise TimeoutError("other threads of this process kept it busy")
