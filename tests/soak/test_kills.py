"""200 SIGKILLs of real guarded processes at random instants, as the kernel's out-of-memory killer does."""

import os
import random
import signal
import subprocess
import sys
import time

import openai
import pytest

import agent_fuse
from agent_fuse.api import current
from agent_fuse.testing import LoopbackProvider
from alone import leave_nobody

from .books import assert_served_once

pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("ignore")]

TIMES = 200
STARTING, CALLING = 0.5, 0.1
"""Seconds within which a process is killed: every fourth as it starts, the others from their first request on."""

NURSERY = """
import os, sys
import openai
import agent_fuse
url, path = sys.argv[1:]
for line in sys.stdin:
    child = os.fork()
    if not child:
        agent_fuse.init(budget=1000, db_path=path, session_id="s", warn_at="none")
        client = openai.OpenAI(base_url=url, api_key="x")
        while True:
            for stream in (False, True):
                answer = client.chat.completions.create(
                    model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=50, stream=stream)
                if stream:
                    list(answer)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""
"""Forks a process for each line that it reads, which guards itself and calls a model until it is killed."""


def test_no_kill_leaves_a_hold_or_loses_a_call(ledger):
    leave_nobody()
    chance, path = random.Random(8), ledger
    with LoopbackProvider() as provider:
        nursery = subprocess.Popen(
            [sys.executable, "-c", NURSERY, provider.openai_base_url, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        for n in range(TIMES):
            before = provider.count
            nursery.stdin.write("\n")
            nursery.stdin.flush()
            child = int(nursery.stdout.readline())
            starting = n % 4 == 0
            assert starting or provider.wait_for(before + 1, 60)
            time.sleep(chance.uniform(0, STARTING if starting else CALLING))
            os.kill(child, signal.SIGKILL)
            assert nursery.stdout.readline() == "gone\n"
        nursery.stdin.close()
        assert nursery.wait(60) == 0
        nursery.stdout.close()
        agent_fuse.init(budget=1000, db_path=path, session_id="s", warn_at="none")
        fuse = current()
        assert fuse is not None
        with openai.OpenAI(base_url=provider.openai_base_url, api_key="x") as client:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=50)
        booked = assert_served_once(provider, fuse.ledger, broken_off=TIMES)
        print(f"{TIMES} killed, {len(provider.served)} served, {len(booked)} booked")
