"""Work done beside an event loop: in a thread that is kept, while the loop's thread waits no longer than it may."""

import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from agent_fuse.ledgers.waiting import timed_queue

T = TypeVar("T")

KEPT = 4
"""Idle threads that are kept."""

_IDLE_SECONDS = 30.0


class Unanswered(TimeoutError):
    """The work is not done yet."""

    def __init__(self, goes_on: Callable[[], bool]) -> None:
        super().__init__()
        self.goes_on = goes_on
        """Whether it is still under way."""


class _Job:
    """Work, and who ended it: the thread that did it, or whoever had waited for long enough."""

    def __init__(self, work: Callable[[], Any], late: Callable[[Any], None] | None) -> None:
        self.answer: SimpleQueue[tuple[Any, BaseException | None]] = timed_queue()
        self._work = work
        self._late = late
        self._ended: dict[str, str] = {}
        self._goes_on = True

    def goes_on(self) -> bool:
        """Whether a thread is still at it."""
        return self._goes_on

    def do(self) -> None:
        try:
            self._do()
        finally:
            self._goes_on = False

    def _do(self) -> None:
        answer, raised = None, None
        try:
            answer = self._work()
        except BaseException as error:  # noqa: BLE001  it is raised where the answer is waited for
            raised = error
        if not self.end_by("thread"):
            if raised is None and self._late is not None:
                self._late(answer)
            return
        self.answer.put((answer, raised))

    def end_by(self, who: str) -> bool:
        """Whether `who` is the one that ends it. One step that needs no lock."""
        return self._ended.setdefault("by", who) == who


class Beside:
    """Threads for the work of event loops."""

    def __init__(self) -> None:
        self._idle: deque[SimpleQueue[_Job]] = deque()

    def do(self, work: Callable[[], T], seconds: float, late: Callable[[T], None] | None) -> T:
        """Have a thread do it: its answer, or what it raises.

        Raises:
            Unanswered: it is not done yet. It goes on, and `late` is told its answer, in the thread.
        """
        job = _Job(work, late)
        try:
            self._idle.pop().put(job)
        except IndexError:
            threading.Thread(target=self._serve, args=(job,), name="agent_fuse ledger", daemon=True).start()
        try:
            answer, raised = job.answer.get(timeout=seconds)
        except BaseException as stopped:
            if job.end_by("loop"):
                raise Unanswered(job.goes_on) if isinstance(stopped, Empty) else stopped from None
            if not isinstance(stopped, Empty):
                raise
            answer, raised = job.answer.get()
        if raised is not None:
            raise raised
        return cast("T", answer)

    def _serve(self, job: _Job) -> None:
        jobs: SimpleQueue[_Job] = SimpleQueue()
        while True:
            job.do()
            if len(self._idle) >= KEPT:
                return
            self._idle.append(jobs)
            try:
                job = jobs.get(timeout=_IDLE_SECONDS)
            except Empty:
                try:
                    self._idle.remove(jobs)
                except ValueError:
                    job = jobs.get()  # it was taken out just now
                else:
                    return
