"""The time, as commands read it: one place, so that tests can stop it."""

import time


def now() -> float:
    """Seconds, UTC epoch."""
    return time.time()
