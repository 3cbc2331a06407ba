"""What is watched around forks may come and go in other threads while one forks."""

import itertools
import sys
import threading

from agent_fuse.ledgers.forks import _Forks


class Watched:
    """Counts how often it was put to rest, and woken."""

    def __init__(self) -> None:
        self.rested = self.woken = 0

    def before_fork(self) -> None:
        self.rested += 1

    def after_fork(self, *, child: bool) -> None:
        assert not child
        self.woken += 1


def test_others_begin_to_be_watched_while_a_process_forks() -> None:
    """No fork goes on with what was there already not at rest."""
    forks, first, over = _Forks(), Watched(), threading.Event()
    forks.watched[first] = None

    def begin() -> None:
        lately: list[Watched | None] = [None] * 50
        for number in itertools.count():
            lately[number % 50] = one = Watched()
            forks.watched[one] = None
            if over.is_set():
                return

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=begin)
    thread.start()
    try:
        for _ in range(2_000):
            forks.before()
            forks.after_in_parent()
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(before)
    assert first.rested == first.woken == 2_000
