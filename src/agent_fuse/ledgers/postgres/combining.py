"""Combining: what threads ask for while another's step is under way goes to the server in one step after it."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from agent_fuse.ledgers.waiting import in_event_loop
from agent_fuse.locks import Lock

Q = TypeVar("Q")
A = TypeVar("A")

MOST = 64
"""Requests in one step."""


class _Asked(Generic[Q, A]):
    """A request that waits: for its answer, or to be the one that asks for all that wait."""

    __slots__ = ("answers", "request", "together", "turn")

    def __init__(self, request: Q) -> None:
        self.request = request
        self.together: list[_Asked[Q, A]] = []
        self.answers: list[A] = []
        self.turn = threading.Lock()
        self.turn.acquire()


class Combined(Generic[Q, A]):
    """Requests that may be asked for together. Nobody waits in an event loop.

    Args:
        alone: answers one request.
        several: answers several in one step, all or none: None where each must be asked for alone.
    """

    def __init__(self, alone: Callable[[Q], A], several: Callable[[Sequence[Q]], Sequence[A] | None]) -> None:
        self._alone = alone
        self._several = several
        self._lock = Lock()
        self._busy = False
        self._waiting: list[_Asked[Q, A]] = []

    def ask(self, request: Q) -> A:
        """The answer, whoever asked for it."""
        if in_event_loop():
            return self._alone(request)
        mine: _Asked[Q, A] = _Asked(request)
        try:
            with self._lock:
                if self._busy:
                    self._waiting.append(mine)
                else:
                    self._busy = True
                    mine.together = [mine]
            if not mine.together:
                mine.turn.acquire()
            if mine.together:
                self._lead(mine)
        except BaseException:
            self._leave(mine)
            raise
        return mine.answers[0] if mine.answers else self._alone(request)

    def _lead(self, mine: _Asked[Q, A]) -> None:
        """Ask for all who wait with this one, and hand over."""
        if len(mine.together) == 1:
            mine.answers = [self._alone(mine.request)]
        else:
            answers = self._several([one.request for one in mine.together])
            for one, answer in zip(mine.together, answers or (), strict=False):
                one.answers = [answer]
        self._hand_over(mine)

    def _leave(self, mine: _Asked[Q, A]) -> None:
        """Whoever asked for several fails, or is interrupted: the others go by themselves."""
        with self._lock:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return
        if mine.together:
            self._hand_over(mine)

    def _hand_over(self, mine: _Asked[Q, A]) -> None:
        others, mine.together = [one for one in mine.together if one is not mine], []
        with self._lock:
            following, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            self._busy = bool(following)
        for one in others:
            one.turn.release()
        if following:
            following[0].together = following
            following[0].turn.release()
