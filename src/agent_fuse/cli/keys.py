"""Waiting for a key: a pause that `q` ends, on terminals that can."""

import select
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def single_keys() -> Generator[bool]:
    """Keys come one by one, without Enter and unseen. Tells whether that can be had here."""
    try:
        import termios  # noqa: PLC0415 - not on Windows
        import tty  # noqa: PLC0415
    except ImportError:
        yield False
        return
    if not sys.stdin.isatty():
        yield False
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield True
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def quit_within(seconds: float, *, keys: bool) -> bool:
    """Wait; True when `q` was pressed meanwhile."""
    if not keys:
        time.sleep(seconds)
        return False
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        ready, _, _ = select.select([sys.stdin], [], [], left)
        if ready and sys.stdin.read(1) in ("q", "Q", ""):
            return True
    return False
