"""What processes of their own do in the ledger tests; started with `spawn`, so that they share nothing but the file."""

import multiprocessing
import os
import random
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Reservation
from ledgers.samples import NOW, amounts, cap, hold, line, reserve

SPAWN = multiprocessing.get_context("spawn")


def ask_in_threads(ledger, name, threads, each, usd_cap):
    """Threads that ask for calls of 1 nano-dollar all at once; how many were granted."""
    granted, barrier = [], threading.Barrier(threads)

    def ask(thread):
        barrier.wait()
        granted.append(sum(reserve(ledger, f"{name}.{thread}.{n}", 1, caps=(cap(usd_cap),)) for n in range(each)))

    workers = [threading.Thread(target=ask, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(granted)


def race(file, name, threads, each, usd_cap, barrier, found):
    """`ask_in_threads` in a process of its own."""
    ledger = open_ledger(file)
    barrier.wait()
    found.put(ask_in_threads(ledger, name, threads, each, usd_cap))


def hammer(file, name, seconds, barrier, found):
    """Pairs as fast as they go; how many there were."""
    ledger = open_ledger(file)
    barrier.wait()
    end, n = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        reserve(ledger, f"{name}.{n}", 10)
        ledger.settle(line(f"{name}.{n}", 9), (), amounts(9), now=NOW)
        n += 1
    found.put(n)


def work_until_killed(file, name, ready):
    """Every kind of write, in any order, for ever."""
    ledger, chance = open_ledger(file), random.Random(name)
    ready.set()
    for n in range(10**9):
        call = f"{name}.{n}"
        reserve(ledger, call, chance.randrange(100), accounts=("all", f"user={n % 7}"), caps=(cap(10**12),))
        match chance.randrange(6):
            case 0:
                ledger.release(call, now=NOW)
            case 1:
                ledger.settle(replace_status(call, "estimated"), (), amounts(7), now=NOW)
            case 2:
                reserve(ledger, call, 3, accounts=("all", "user=x"))
            case 3:
                ledger.refuse(line(f"{call}r"), ("all",), now=NOW)
            case _:
                ledger.settle(line(call, 5), (), amounts(5), now=NOW)


def pairs_until(file, name, done, found):
    """Ten pairs, then more until told otherwise, then close; how many there were."""
    ledger, n = open_ledger(file), 0
    while n < 10 or not done.is_set():
        reserve(ledger, f"{name}.{n}", 10)
        ledger.settle(line(f"{name}.{n}", 9), ("all",), amounts(9), now=NOW)
        n += 1
    ledger.close()
    found.put(n)


def replace_status(call, status):
    """A line of 7 nano-dollars with another status."""
    from agent_fuse.calls import Status

    return line(call, 7, Status(status))


def hold_and_wait(file, names, ready, outlives=False):
    """Reserve, and live on without settling."""
    ledger = open_ledger(file)
    for name in names:
        ledger.reserve(replace(hold(name, 10), outlives=outlives), now=NOW)
    ready.set()
    time.sleep(600)


def sweep(file, barrier, found):
    """One sweep; the calls it presumed."""
    ledger = open_ledger(file)
    barrier.wait()
    found.put([one.id for one in ledger.sweep(now=NOW)])


def keep_lock(file, ready, done):
    """Be in the middle of a write until told otherwise."""
    ledger = open_ledger(file)

    def slow(_):
        ready.set()
        done.wait(120)
        return None, None

    ledger.update_note("slow", slow, now=NOW)


def first_open(file, barrier, found):
    """Open a file that others open for the first time too."""
    barrier.wait()
    ledger = open_ledger(file)
    found.put(reserve(ledger, f"c{os.getpid()}", 1))


@contextmanager
def running(target, *args):
    """A process that is killed at the end, if it has not ended."""
    process = SPAWN.Process(target=target, args=args)
    process.start()
    try:
        yield process
    finally:
        kill(process)


def kill(process):
    """End a process of ours as the kernel's out-of-memory killer would."""
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join(120)
    assert process.exitcode is not None


def together(target, many, *args):
    """Run the same function in several processes at once: `target(*args of each, barrier, queue)`; their answers."""
    barrier, found = SPAWN.Barrier(len(many)), SPAWN.Queue()
    processes = [SPAWN.Process(target=target, args=(*args, *own, barrier, found)) for own in many]
    for process in processes:
        process.start()
    answers = [found.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    return answers


def spend_of_a_slice(file, name, accounts, most, turns, barrier, found):
    """Calls of 1 nano-dollar under a cap on the first account, settled at once; how many went."""
    ledger, went = open_ledger(file), 0
    barrier.wait()
    for n in range(turns):
        asked = hold(f"{name}.{n}", 1, accounts=("all", *accounts), caps=(cap(most, accounts[0]),))
        if isinstance(ledger.reserve(asked, now=NOW), Reservation):
            ledger.settle(line(f"{name}.{n}", 1), (), amounts(1), now=NOW)
            went += 1
    found.put((name, went))
