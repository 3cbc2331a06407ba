"""Locks that a KeyboardInterrupt leaves as they were, whichever Python runs."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from agent_fuse.locks import Lock, RLock
from interrupting import interrupted

KINDS: tuple[Callable[[], Any], ...] = (Lock, RLock)


def is_free(lock: Any) -> bool:
    """Whether another thread gets it."""
    got: list[bool] = []

    def take() -> None:
        got.append(lock.acquire(blocking=False))
        if got[0]:
            lock.release()

    other = threading.Thread(target=take)
    other.start()
    other.join()
    return got == [True]


@pytest.mark.parametrize("kind", KINDS)
def test_no_instant_of_a_with_leaves_it_locked(kind: Callable[[], Any]) -> None:
    """At every opcode in which Python may raise an interrupt, of the `with` itself and of what it calls."""
    lock = kind()

    def work() -> None:
        with lock:
            len("what it guards")

    there, at = True, 0
    while there:
        at += 1
        there, place = interrupted(work, at, opcodes=True, also=__file__)
        assert is_free(lock), (at, place)
    assert at > 10, "it was interrupted nowhere"


def test_one_thread_keeps_others_out_until_it_leaves() -> None:
    """Of the plain one, also its own second asking; the other one it may take again."""
    for kind, again in ((Lock, False), (RLock, True)):
        lock = kind()
        with lock:
            assert lock.acquire(blocking=False) is again
            if again:
                lock.release()
            assert not is_free(lock)
        assert is_free(lock)
