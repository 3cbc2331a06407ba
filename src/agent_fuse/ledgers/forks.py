"""Forks: what must be put down before a process forks, and taken up again on both sides."""

import os
import threading
from typing import Protocol
from weakref import WeakKeyDictionary


class Forkable(Protocol):
    """Something with locks, files or connections that a child must not share."""

    def before_fork(self) -> None:
        """Come to rest: called in the parent, by the forking thread. Must not wait for ever."""
        ...

    def after_fork(self, *, child: bool) -> None:
        """Go on: called in the parent, and in the child, where only the forking thread is left."""
        ...


class _Forks:
    """Everything that is watched, in the order of its making: who holds another is at rest before the one held."""

    def __init__(self) -> None:
        self.watched: WeakKeyDictionary[Forkable, None] = WeakKeyDictionary()
        self.resting: list[Forkable] = []
        self.turn = threading.Lock()

    def before(self) -> None:
        self.turn.acquire()
        # `keyrefs` copies in one step: another thread may begin to be watched meanwhile.
        self.resting = [one for known in self.watched.keyrefs() if (one := known()) is not None]
        for one in self.resting:
            one.before_fork()

    def after_in_parent(self) -> None:
        for one in reversed(self.resting):
            one.after_fork(child=False)
        self.resting = []
        self.turn.release()

    def after_in_child(self) -> None:
        for one in reversed(self.resting):
            one.after_fork(child=True)
        self.resting = []
        self.turn = threading.Lock()


_forks = _Forks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_forks.before, after_in_parent=_forks.after_in_parent, after_in_child=_forks.after_in_child
    )


def watch(one: Forkable) -> None:
    """Call `one` around every fork, for as long as it lives. It is held weakly."""
    _forks.watched[one] = None
