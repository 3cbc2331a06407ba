"""A short wait ends, on a busy machine too: CPython's own queue may wait without end where its time is over at once."""

import os
import subprocess
import sys

WAITS = """
import faulthandler, queue, time
from agent_fuse.ledgers.waiting import timed_queue
faulthandler.dump_traceback_later(20, exit=True)
until = time.monotonic() + 2
while time.monotonic() < until:
    try:
        timed_queue().get(timeout=1e-7)
    except queue.Empty:
        pass
print("it ended")
"""


def test_a_wait_shorter_than_its_own_beginning_ends(run_python) -> None:
    """While others want the processor, so that the time is over before the wait has begun, again and again."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        assert run_python(WAITS).stdout == "it ended\n"
    finally:
        for one in busy:
            one.kill()
            one.wait()
