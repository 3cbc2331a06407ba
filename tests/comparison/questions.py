"""What every peer is asked, from outside alone: how long a call takes, and how many are let go."""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from comparison.guard import Refused

LATENCY_SECONDS, LATENCY_CALLS = 4.0, 3_000
HISTORY_SECONDS, HISTORY_CALLS = 6.0, 5_000
ROOM, THREADS, PROCESSES, REQUEST_SECONDS = 100, 32, 4, 0.005
PLENTY = 10**6


def _nothing():
    """A request that takes no time."""


def _refuse():
    raise ConnectionRefusedError(111, "refused")


def _break_off():
    raise EOFError("the stream ended")


def _times(guard, calls, seconds):
    """Microseconds of each call, as many as fit into the time."""
    found, until = [], time.perf_counter() + seconds
    while len(found) < calls and time.perf_counter() < until:
        began = time.perf_counter()
        guard.call(_nothing)
        found.append((time.perf_counter() - began) * 1e6)
    return sorted(found)


def latency(open_guard):
    """Median and 99th percentile of a guarded call, µs."""
    guard = open_guard(tempfile.mkdtemp(), PLENTY)
    _times(guard, 50, 1.0)
    found = _times(guard, LATENCY_CALLS, LATENCY_SECONDS)
    return [statistics.median(found), found[int(len(found) * 0.99)], len(found)]


def growth(open_guard):
    """How many calls it had seen, and the median of the last hundred by that of the first."""
    guard = open_guard(tempfile.mkdtemp(), PLENTY)
    _times(guard, 50, 1.0)
    first = statistics.median(_times(guard, 200, 4.0))
    seen = len(_times(guard, HISTORY_CALLS, HISTORY_SECONDS))
    return [seen, statistics.median(_times(guard, 200, 4.0)) / first]


def let_go(guard, most):
    """How many calls are let go until one is refused."""
    served = 0

    def request():
        nonlocal served
        served += 1

    try:
        while served < most:
            guard.call(request)
    except Refused:
        pass
    return served


def fit(open_guard):
    """Of a budget that fits 40 calls exactly, how many are let go."""
    return let_go(open_guard(tempfile.mkdtemp(), 40), 60)


def threads(open_guard):
    """Of a budget for 100, how many calls of 32 racing threads are let go."""
    return _race(open_guard(tempfile.mkdtemp(), ROOM))


def _race(guard, workers=THREADS):
    served, start = [], threading.Barrier(workers)

    def request():
        served.append(1)
        time.sleep(REQUEST_SECONDS)

    def work():
        start.wait()
        try:
            while len(served) < 10 * ROOM:
                guard.call(request)
        except Refused:
            return

    running = [threading.Thread(target=work) for _ in range(workers)]
    for one in running:
        one.start()
    for one in running:
        one.join()
    return len(served)


def processes(open_guard):
    """Of a budget for 100, how many calls of 4 racing processes with 4 threads each are let go."""
    folder = tempfile.mkdtemp()
    open_guard(folder, ROOM)
    running = [_started("racer", folder) for _ in range(PROCESSES)]
    return sum(int(one.communicate(timeout=120)[0].split()[-1]) for one in running)


def racer(open_guard, folder):
    """One of them."""
    print(_race(open_guard(folder, ROOM), 4), flush=True)


def release(open_guard):
    """Of a budget for 10, how many calls are let go after 10 whose connection was refused."""
    guard = open_guard(tempfile.mkdtemp(), 10)
    for _ in range(10):
        try:
            guard.call(_refuse)
        except ConnectionError:
            continue
        except Refused:
            break
    return let_go(guard, 20)


def broken(open_guard):
    """Of a budget for 10, how many calls are let go after 5 whose stream was broken off."""
    guard = open_guard(tempfile.mkdtemp(), 10)
    for _ in range(5):
        try:
            guard.call(_break_off)
        except EOFError:
            continue
    return let_go(guard, 20)


def crash(open_guard):
    """Of a budget for 10, how many calls are let go after 5 processes were killed in the middle of one."""
    folder = tempfile.mkdtemp()
    open_guard(folder, 10)
    for _ in range(5):
        with _started("victim", folder) as victim:
            victim.stdout.readline()
            victim.kill()
    time.sleep(0.2)
    return let_go(open_guard(folder, 10), 20)


def victim(open_guard, folder):
    """One of them."""

    def request():
        print("sent", flush=True)
        signal.pause()

    open_guard(folder, 10).call(request)


def _started(what, folder):
    command = [sys.executable, "-m", "comparison.ask", *sys.argv[1:3], what, folder]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)


QUESTIONS = {one.__name__: one for one in (latency, growth, fit, threads, processes, release, broken, crash)}
PARTS = {one.__name__: one for one in (racer, victim)}
