"""600 async calls cancelled at random instants, streams too, eight under way at a time."""

import asyncio
import gc
import random
import time
from typing import Any

import openai
import pytest

import agent_fuse
from agent_fuse.api import current
from agent_fuse.testing import LoopbackProvider
from alone import leave_nobody

from .books import assert_served_once

pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("ignore")]

TIMES, AT_ONCE = 600, 8
MESSAGES: Any = [{"role": "user", "content": "hi"}]


def test_no_cancellation_leaves_a_hold_or_loses_a_call(ledger):
    leave_nobody()
    agent_fuse.init(budget=1000, db_path=ledger, session_id="s", warn_at="none")
    fuse = current()
    assert fuse is not None
    chance, cancelled = random.Random(8), 0

    async def storm(client: openai.AsyncOpenAI) -> None:
        nonlocal cancelled

        async def ask() -> None:
            stream = chance.random() < 0.5
            answer: Any = await client.chat.completions.create(
                model="gpt-4o", messages=MESSAGES, max_tokens=50, stream=stream
            )
            if stream:
                async for _ in answer:
                    pass

        await ask()
        began = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
        lasts = time.perf_counter() - began

        async def broken_off() -> None:
            nonlocal cancelled, lasts
            while cancelled < TIMES:
                asking = asyncio.create_task(ask())
                await asyncio.sleep(chance.uniform(0, lasts))
                if asking.cancel():
                    cancelled += 1
                    lasts *= 1.02
                else:  # too late: as busy as the machine is now, a call takes less
                    lasts *= 0.95
                await asyncio.gather(asking, return_exceptions=True)

        await asyncio.gather(*(broken_off() for _ in range(AT_ONCE)))
        await asyncio.gather(*(ask() for _ in range(AT_ONCE)))

    async def run(provider: LoopbackProvider) -> None:
        async with openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="x") as client:
            await storm(client)

    with LoopbackProvider() as provider:
        asyncio.run(run(provider))
        gc.collect()
        until = time.monotonic() + 10
        while fuse.open_calls() and time.monotonic() < until:  # a server's answer goes on to its thread
            time.sleep(0.1)
        assert fuse.open_calls() == 0
        booked = assert_served_once(provider, fuse.ledger, broken_off=cancelled)
        print(f"{cancelled} cancelled, {len(provider.served)} served, {len(booked)} booked")
