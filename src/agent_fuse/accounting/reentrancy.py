"""One thread, one piece of fuse work at a time: what comes in between (GC, signals) is done right after."""

import sys
import threading
from collections import deque
from collections.abc import Callable
from types import FrameType

from agent_fuse.errors import SentinelError
from agent_fuse.seams import HELD_AT_QUOTE, fault, quietly


class _Work(threading.local):
    """The work of one thread."""

    depth = 0
    frame: FrameType | None = None
    """Where it began."""
    unmended = False
    """It was interrupted, and so was the mending of what it left half done."""


class Reentrancy:
    """Keeps a finaliser or signal handler out of a transaction that its own thread is in the middle of.

    A span's end can be run by the garbage collector anywhere, so also inside the ledger, holding its locks. Such
    accounting waits in a queue until the work it interrupted is over.

    A KeyboardInterrupt may take a thread out of its work between any two steps, so also before it could `leave`. Whose
    work it was is known by its frame: where that runs no more, the work was broken off.
    """

    def __init__(self) -> None:
        self.on_broken_off: Callable[[], None] | None = None
        """Told that this thread's last work was broken off, before it starts another."""
        self.renew()

    def renew(self) -> None:
        """Begin anew, in a forked child: what waited belongs to the parent."""
        self._local = _Work()
        self._later: deque[Callable[[], None]] = deque()

    @property
    def busy(self) -> bool:
        """Whether this thread is inside."""
        return self._local.depth > 0 and not self._is_broken_off()

    def begin(self) -> bool:
        """This thread starts its work, unless it is inside other work of its own; whether it did, and must `leave`."""
        local = self._local
        if local.depth and not self._is_broken_off():
            return False
        if local.unmended or local.depth:
            self.break_off()
        local.frame = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        local.depth = 1
        return True

    def enter(self) -> None:
        """This thread starts its work, perhaps inside other work of its own; it must `leave`."""
        local = self._local
        if local.unmended or (local.depth and self._is_broken_off()):
            self.break_off()
        if not local.depth:
            local.frame = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        local.depth += 1

    def leave(self) -> None:
        """This thread is done; what had to wait is done now."""
        local = self._local
        local.depth -= 1
        if local.depth:
            return
        local.frame = None
        while self._later:
            try:
                work = self._later.popleft()
            except IndexError:
                break
            self.account(work)
        for work in self._local.__dict__.pop("after", ()):
            work()

    def break_off(self) -> None:
        """This thread's work was interrupted: what it left half done is mended."""
        local = self._local
        local.depth, local.frame, local.unmended = 0, None, False
        if self.on_broken_off is not None:
            try:
                quietly("mending what was interrupted", HELD_AT_QUOTE, self.on_broken_off)
            except BaseException:  # interrupted again: the next work of this thread begins with it
                local.unmended = True
                raise

    def _is_broken_off(self) -> bool:
        """Whether the work that this thread is said to be inside runs no more."""
        began = self._local.frame
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        while frame is not None and frame is not began:
            frame = frame.f_back
        return frame is None

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
        if not self.begin():
            self._later.append(work)
            return
        try:
            work()
        except (SentinelError, Exception) as error:  # noqa: BLE001  the call was made: there is nothing left to refuse
            fault("booking a call", error, HELD_AT_QUOTE)
        finally:
            self.leave()
