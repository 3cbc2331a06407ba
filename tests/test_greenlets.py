"""Under gevent: a session reaches the greenlets and threads that its work is handed to, and a call waits as in a thread."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
from gevent import monkey

monkey.patch_all()

import asyncio, json, sys, threading
from concurrent.futures import ThreadPoolExecutor

import gevent
from gevent.pool import Pool
from gevent.threadpool import ThreadPool

import agent_fuse

agent_fuse.init(limits=[agent_fuse.Limit(calls=100)], db_path=sys.argv[1], busy_wait=30)
SENT = 3


def ask(_=None):
    try:
        with agent_fuse.call("gpt-4o", estimated_input_tokens=10, estimated_output_tokens=5) as call:
            call.usage(10, 5)
    except agent_fuse.SentinelBudgetExceeded:
        return 0
    return 1


def spawned():
    return sum(one.value for one in gevent.joinall([gevent.spawn(ask) for _ in range(2 * SENT)]))


def spawned_later():
    return sum(one.value for one in gevent.joinall([gevent.spawn_later(0.001, ask) for _ in range(2 * SENT)]))


def grandchildren():
    return gevent.spawn(spawned).get()


def pool():
    return sum(Pool(2).map(ask, range(2 * SENT)))


def native_threads():
    return sum(ThreadPool(2).map(ask, range(2 * SENT)))


def patched_threads():
    sent = []
    threads = [threading.Thread(target=lambda: sent.append(ask())) for _ in range(2 * SENT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(sent)


def patched_executor():
    with ThreadPoolExecutor(2) as executor:
        return sum(executor.map(ask, range(2 * SENT)))


def outside():
    '''Its session is over: what is spawned now is not its work any more.'''
    return spawned()


def in_its_session(work):
    with agent_fuse.session(work.__name__, limits=[agent_fuse.Limit(calls=SENT)]):
        return work()


def beside_a_loop():
    '''Another greenlet of this thread runs an event loop: calls that wait stand nobody still.'''
    over = threading.Event()

    async def wait():
        while not over.is_set():
            await asyncio.sleep(0.001)

    loop = gevent.spawn(asyncio.run, wait())
    gevent.sleep(0.01)

    def hold(amount):
        with agent_fuse.call("gpt-4o", estimated_input_tokens=0, estimated_output_tokens=100_000) as call:
            gevent.sleep(0.01)
            call.usage(0, 1)
        return 1

    with agent_fuse.session("beside a loop", budget=1.5):  # of which one holds $1
        sent = [one.value for one in gevent.joinall([gevent.spawn(hold, 1) for _ in range(4)])]
    over.set()
    loop.join()
    return sent


works = (spawned, spawned_later, grandchildren, pool, native_threads, patched_threads, patched_executor)
told = {work.__name__: in_its_session(work) for work in works}
print(json.dumps({"of a session": told, "outside": outside(), "beside a loop": beside_a_loop()}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict[str, object]:
    """What happened in a program that was patched before anything else."""
    ledger = tmp_path_factory.mktemp("greenlets") / "ledger.db"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(ledger)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_session_reaches_what_it_spawns(told) -> None:
    """Gevent begins a greenlet with an empty context: every one of them counted on the process's own session."""
    assert len(told["of a session"]) == 7
    assert {name: sent for name, sent in told["of a session"].items() if sent != 3} == {}
    assert told["outside"] == 6


def test_a_call_waits_beside_another_greenlets_event_loop(told) -> None:
    """Asyncio knows a running loop by its thread, which all greenlets share: calls were refused that could wait."""
    assert told["beside a loop"] == [1, 1, 1, 1]
