"""1,500 real KeyboardInterrupts at random instants of every road into a gate, as a notebook's stop button makes them."""

import gc
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import openai
import pytest
from opentelemetry.sdk.trace import TracerProvider

import agent_fuse
from agent_fuse import Limit
from agent_fuse.api import current
from agent_fuse.otel.span_processor import AgentFuseSpanProcessor
from agent_fuse.testing import LoopbackProvider
from alone import leave_nobody

from .books import assert_served_once

pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("ignore")]

TIMES = 1500
MESSAGES: Any = [{"role": "user", "content": "hi"}]


class StopButton:
    """Sends this process SIGINT some random time after it is armed, from a thread of its own; never once disarmed."""

    def __init__(self) -> None:
        self._go, self._lock, self._after, self._armed = threading.Event(), threading.Lock(), 0.0, False
        self.pressed = 0
        threading.Thread(target=self._press, daemon=True).start()

    def arm(self, after: float) -> None:
        self._after, self._armed = after, True
        self._go.set()

    def disarm(self) -> None:
        with self._lock:
            self._armed = False

    def _press(self) -> None:
        while True:
            self._go.wait()
            self._go.clear()
            time.sleep(self._after)
            with self._lock:
                if self._armed:
                    self._armed = False
                    self.pressed += 1
                    os.kill(os.getpid(), signal.SIGINT)


def test_no_interrupt_leaves_a_hold_or_loses_a_call(ledger):
    leave_nobody()
    agent_fuse.init(
        limits=[Limit(usd=1000), Limit(tool_calls=10**9)],
        db_path=ledger,
        session_id="s",
        warn_at="none",
        loop_detection_enabled=False,
    )
    fuse = current()
    assert fuse is not None
    chance, button, interrupted = random.Random(8), StopButton(), Counter[str]()
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def by_hand() -> None:
        with agent_fuse.call("gpt-4o", 10, 10) as made:
            made.usage(10, 10)

    provider_of_spans = TracerProvider()
    provider_of_spans.add_span_processor(AgentFuseSpanProcessor(fuse=fuse))
    tracer = provider_of_spans.get_tracer("opentelemetry.instrumentation.openai.v1")

    def span() -> None:
        with tracer.start_as_current_span(
            "openai.chat", attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
        ) as one:
            one.set_attribute("gen_ai.usage.input_tokens", 10)
            one.set_attribute("gen_ai.usage.output_tokens", 10)

    def tool() -> None:
        agent_fuse.check_loop("search", {"query": "x"})

    with LoopbackProvider() as provider, openai.OpenAI(base_url=provider.openai_base_url, api_key="x") as client:

        def ask() -> None:
            client.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=50)

        def stream() -> None:
            for _ in client.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=50, stream=True):
                pass

        roads: list[Callable[[], None]] = [by_hand, span, tool, ask, stream]
        lasts = {}
        for road in roads:
            for _ in range(3):
                began = time.perf_counter()
                road()
                lasts[road] = time.perf_counter() - began
        while button.pressed < TIMES:
            road = chance.choice(roads)
            try:
                button.arm(chance.uniform(0, lasts[road]))
                road()
                button.disarm()
            except KeyboardInterrupt:
                interrupted[road.__name__] += 1
            try:
                button.disarm()
                time.sleep(0)  # what is still to be raised is raised here
            except KeyboardInterrupt:
                button.disarm()
            road()  # the next call works
        gc.collect()
        deadline = time.monotonic() + 10
        while (fuse.open_calls() or list(fuse.ledger.holds())) and time.monotonic() < deadline:
            time.sleep(0.1)
            by_hand()
        assert (fuse.open_calls(), [one.entry.id for one in fuse.ledger.holds()]) == (0, [])
        booked = assert_served_once(provider, fuse.ledger, broken_off=interrupted["ask"] + interrupted["stream"])
        print(f"{dict(interrupted)} interrupted, {len(provider.served)} served, {len(booked)} booked")
