"""The fake clock."""

import threading

import pytest

from agent_fuse.testing import Clock, FakeClock


def test_time_moves_only_when_told():
    """It stands where it was put, and moves by what it is told."""
    clock: Clock = FakeClock(100.0)
    assert (clock(), clock()) == (100.0, 100.0)
    assert clock.advance(0.5) == clock.now() == clock() == 100.5
    assert "100.5" in repr(clock)


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_time_does_not_run_backwards(seconds):
    """A negative or senseless step is refused."""
    clock = FakeClock()
    with pytest.raises(ValueError, match="only moves forward"):
        clock.advance(seconds)


def test_steps_from_many_threads_add_up():
    """No step is lost between threads."""
    clock = FakeClock(0.0)
    threads = [threading.Thread(target=lambda: [clock.advance(1) for _ in range(1000)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock() == 8000
