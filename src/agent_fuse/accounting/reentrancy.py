"""One thread, one piece of fuse work at a time: what comes in between (GC, signals) is done right after."""

import threading
from collections import deque
from collections.abc import Callable

from agent_fuse.seams import HELD_AT_QUOTE, quietly


class Reentrancy:
    """Keeps a finaliser or signal handler out of a transaction that its own thread is in the middle of.

    A span's end can be run by the garbage collector anywhere, so also inside the ledger, holding its locks. Such
    accounting waits in a queue until the work it interrupted is over.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew, in a forked child: what waited belongs to the parent."""
        self._local = threading.local()
        self._later: deque[Callable[[], None]] = deque()

    @property
    def busy(self) -> bool:
        """Whether this thread is inside."""
        return getattr(self._local, "depth", 0) > 0

    def enter(self) -> None:
        """This thread starts its work, perhaps inside other work of its own; it must `leave`."""
        self._local.depth = getattr(self._local, "depth", 0) + 1

    def leave(self) -> None:
        """This thread is done; what had to wait is done now."""
        self._local.depth -= 1
        if self._local.depth:
            return
        while self._later:
            try:
                work = self._later.popleft()
            except IndexError:
                break
            self.account(work)
        for work in self._local.__dict__.pop("after", ()):
            work()

    def inside(self, work: Callable[[], None]) -> None:
        """Do `work` of the fuse's own, perhaps inside other work of this thread. What it raises passes."""
        self.enter()
        try:
            work()
        finally:
            self.leave()

    def afterwards(self, work: Callable[[], None]) -> None:
        """Do `work`, which is not ours and must not raise, once this thread has left; now, where it is not inside."""
        if self.busy:
            self._local.__dict__.setdefault("after", []).append(work)
        else:
            work()

    def account(self, work: Callable[[], None]) -> None:
        """Do `work` now, or right after what this thread is at. Never raises."""
        if self.busy:
            self._later.append(work)
            return
        self.enter()
        try:
            quietly("booking a call", HELD_AT_QUOTE, work)
        finally:
            self.leave()
