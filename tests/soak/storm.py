"""A storm: real guarded processes that call a model while something goes wrong around them, and what must be true after."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter

from agent_fuse.calls import Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.testing import assert_books_balance
from alone import leave_nobody

WORKER = """
import os, random, sys, threading, time
{prelude}
import openai
import agent_fuse
url, ledger, budget, synchronous = sys.argv[1:5]
agent_fuse.init(budget=budget, db_path=ledger, session_id="s", warn_at="none", hold_seconds=600, busy_wait=0,
    synchronous=synchronous)
client = openai.OpenAI(base_url=url, api_key="x", max_retries=0)
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()

def call(stream, client=client):
    answer = client.chat.completions.create(
        model="gpt-4o", messages=[{{"role": "user", "content": "hi"}}], max_tokens=50, stream=stream)
    if stream:
        list(answer)

def work():
    while not over.is_set():
        try:
            call(random.random() < 0.3)
        except agent_fuse.SentinelBudgetExceeded:
            time.sleep(0.02)
        except agent_fuse.SentinelSystemError:
            time.sleep(0.05)
        {meanwhile}

print("ready", flush=True)
threads = [threading.Thread(target=work) for _ in range(2)]
for one in threads: one.start()
for one in threads: one.join()
"""
"""Two threads that call until its input ends; all that is caught are trips, so that anything else ends it with an error."""


class Storm:
    """Workers on one ledger with one cap."""

    def __init__(self, provider, ledger, *, budget, workers=4, synchronous="normal", prelude="", meanwhile="pass"):
        self.provider, self.ledger, self.budget = provider, ledger, budget
        self._synchronous = synchronous
        self._script = WORKER.format(prelude=prelude, meanwhile=meanwhile)
        self.chance = random.Random(8)
        self.killed = self.stopped = 0
        self.workers = [self._begun() for _ in range(workers)]
        for one in self.workers:
            self._wait_for(one)

    def _start(self):
        worker = self._begun()
        self._wait_for(worker)
        return worker

    def _begun(self):
        given = self.provider.openai_base_url, self.ledger, self.budget, self._synchronous
        command = [sys.executable, "-c", self._script, *given]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def _wait_for(self, worker):
        assert worker.stdout.readline() == "ready\n", worker.stderr.read()

    def rage(self, seconds, disturb):
        """Disturb, again and again, for as long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(self.chance.uniform(0.05, 0.4))
            disturb(self)

    def kill_one(self):
        """One worker is killed, and another takes its place."""
        at = self.chance.randrange(len(self.workers))
        self.workers[at].kill()
        self.workers[at].communicate()
        self.killed += 1
        self.workers[at] = self._start()

    def stop_one(self):
        """One worker stands still for a moment, wherever it is."""
        one = self.chance.choice(self.workers)
        os.kill(one.pid, signal.SIGSTOP)
        time.sleep(self.chance.uniform(0.05, 0.5))
        os.kill(one.pid, signal.SIGCONT)
        self.stopped += 1

    def over(self):
        """Workers end by themselves; nothing but a trip was raised in any. What they said."""
        told = ""
        for one in self.workers:
            one.stdin.close()
        for one in self.workers:
            one.stdin = None
            _, errors = one.communicate(timeout=60)
            assert (one.returncode, [line for line in errors.splitlines() if "Traceback" in line]) == (0, []), errors
            told += errors
        return told


def assert_nothing_is_lost(provider, ledger_url, *, cap, unknown):
    """Every request that was served is in the journal once; no cap was passed; nothing is held; the sums are equal.

    `unknown`: calls whose answer nobody may have read: they are booked without its id.
    """
    leave_nobody()
    ledger = open_ledger(ledger_url)
    now = time.time()
    ledger.sweep(now=now)
    assert [one for one in ledger.holds() if one.expires_at < now] == []
    ledger.sweep(now=now + 3_600)
    assert ledger.holds() == []
    booked = [one for one in ledger.journal() if one.status is not Status.REFUSED]
    known = Counter(one.response_id for one in booked if one.response_id)
    served = {one.response_id for one in provider.served}
    nameless = sum(not one.response_id for one in booked)
    assert [one for one, times in known.items() if times > 1] == []
    assert set(known) <= served
    assert len(served - set(known)) <= nameless <= unknown, (len(served), len(known), nameless, unknown)
    assert ledger.balances(["session=s"])["session=s"].settled.usd <= cap
    assert_books_balance(ledger)
    ledger.close()
    return len(served), len(booked), nameless


class Proxy:
    """Stands between workers and a server's socket, and does what networks do: drops, delays, closes one half."""

    def __init__(self, path):
        self._path = path
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._pairs, self._lock, self.delay = [], threading.Lock(), 0.0
        self.refuses = self.deaf = False
        """Takes no connection; loses what the server says next, and the connection with it."""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            if self.refuses:
                near.close()
                continue
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._path)
            with self._lock:
                self._pairs.append((near, far))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one, other):
        try:
            while data := one.recv(65536):
                if self.delay:
                    time.sleep(self.delay)
                if self.deaf and one.family == socket.AF_UNIX:
                    return
                other.sendall(data)
        except OSError:
            return
        finally:
            for end in (one, other):
                self._shut(end, socket.SHUT_RDWR)

    def _shut(self, end, how):
        try:
            end.shutdown(how)
        except OSError:
            return  # it is gone already

    def cut(self, chance):
        """Drop some connections, close one half of some, or delay all for a while."""
        with self._lock:
            pairs = list(self._pairs)
        what = chance.choice(("drop", "half", "delay", "refuse"))
        if what == "delay":
            self.delay = chance.uniform(0.02, 0.3)
            time.sleep(0.5)
            self.delay = 0.0
        elif what == "refuse":
            self.refuses = True
            self._drop(pairs)
            time.sleep(0.3)
            self.refuses = False
        else:
            self._drop(chance.sample(pairs, len(pairs) // 2), half=what == "half")

    def _drop(self, pairs, *, half=False):
        for near, far in pairs:
            self._shut(near if half else far, socket.SHUT_WR if half else socket.SHUT_RDWR)

    def close(self):
        """No more."""
        self._listening.close()
