"""The host is safe: nothing at a span's end raises, blocks long or deadlocks, wherever that end comes from."""

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from agent_fuse import AgentFuseSpanProcessor, Limit, SentinelBudgetExceeded
from agent_fuse.calls import Status
from agent_fuse.otel import active
from agent_fuse.testing import LedgerReader, assert_books_balance

SCOPE = "opentelemetry.instrumentation.genai.openai"
CALL = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
TOLD = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}
COST = 100 * 2_500 + 10 * 10_000
"""Of a call that used what is told, at gpt-4o's price, in nano-dollars."""


class Rig:
    def __init__(self, db_path: str) -> None:
        self.tracing = TracerProvider(shutdown_on_exit=False)
        self.processor = AgentFuseSpanProcessor(
            limits=Limit(calls=10**6), session_id="s", db_path=db_path, request_gate=False, loop_threshold=10**6
        )
        self.tracing.add_span_processor(self.processor)
        self.tracer = self.tracing.get_tracer(SCOPE)
        self.books = LedgerReader(self.processor.fuse.ledger)

    def start(self) -> Any:
        return self.tracer.start_span("chat gpt-4o", attributes=CALL)

    def settled(self) -> int:
        return len(self.books.entries(Status.SETTLED))


@pytest.fixture(params=["memory", "sqlite"])
def rig(request: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(active, "request_gate_installed", lambda: False)
    one = Rig("memory://" if request.param == "memory" else str(tmp_path / "ledger.db"))
    yield one
    one.processor.shutdown()
    one.processor.fuse.ledger.close()


def test_threads_that_start_end_and_drop_spans_at_once(rig: Rig) -> None:
    """Spans started in one thread, ended in another or dropped to the garbage collector: every call is booked once."""
    started: list[Any] = []

    def work() -> None:
        for number in range(30):
            span = rig.start()
            if number % 3 == 0:
                started.append(span)
            elif number % 3 == 1:
                span.set_attributes(TOLD)
                span.end()
            del span  # the third kind is dropped

    threads = [threading.Thread(target=work) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
        assert not one.is_alive(), "deadlock"
    ender = threading.Thread(target=lambda: [span.end() for span in started])
    ender.start()
    ender.join(60)
    assert not ender.is_alive()
    started.clear()
    gc.collect()
    assert len(rig.books.entries(Status.SETTLED, Status.ESTIMATED)) == 8 * 30
    assert rig.settled() == 8 * 10
    assert rig.books.open_holds() == []
    assert_books_balance(rig.books.ledger)


def test_ends_run_by_the_garbage_collector_inside_the_ledger(rig: Rig) -> None:
    """A collection in the middle of our own transaction, on its thread, ends spans: they are booked right after it."""
    ledger = rig.processor.fuse.ledger
    real = ledger.reserve

    class Cycle:
        def __init__(self, span: Any) -> None:
            self.me, self.span = self, span

        def __del__(self) -> None:
            self.span.set_attributes(TOLD)
            self.span.end()

    def reserve(*args: Any, **kwargs: Any) -> Any:
        gc.collect()
        return real(*args, **kwargs)

    gc.disable()
    try:
        Cycle(rig.start())
        ledger.reserve = reserve  # type: ignore[method-assign]
        span = rig.start()
    finally:
        ledger.reserve = real  # type: ignore[method-assign]
        gc.enable()
    assert rig.settled() == 1
    span.set_attributes(TOLD)
    span.end()
    assert rig.settled() == 2
    assert rig.books.spent("all") == 2 * COST


def test_a_signal_handler_that_ends_spans(rig: Rig) -> None:
    """A handler that interrupts the fuse's own work anywhere ends spans, and starts some: no deadlock, none lost."""
    pending: list[Any] = []
    seen: list[int] = []

    def handler(number: int, frame: Any) -> None:
        seen.append(number)
        if pending:
            span = pending.pop()
            span.set_attributes(TOLD)
            span.end()

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        ended = 0
        for _ in range(150):
            pending.append(rig.start())
            span = rig.start()
            span.set_attributes(TOLD)
            span.end()
            ended += 1
        deadline = time.monotonic() + 60
        while pending and time.monotonic() < deadline:
            time.sleep(0.002)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen, "no signal came"
    assert not pending
    assert rig.settled() == 2 * ended
    assert rig.books.spent("all") == 2 * ended * COST
    assert rig.books.open_holds() == []


def test_a_failing_ledger_at_the_end_is_not_the_hosts_problem(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks while a call is booked, even a trip, `span.end()` returns."""
    for failure in (RuntimeError("broken"), SentinelBudgetExceeded("no"), MemoryError(), RecursionError()):
        span = rig.start()
        span.set_attributes(TOLD)

        def settle(*args: Any, failure: BaseException = failure, **kwargs: Any) -> Any:
            raise failure

        with monkeypatch.context() as patch:
            patch.setattr(rig.processor.fuse.ledger, "settle", settle)
            span.end()
    for failure in (RuntimeError("broken"), SentinelBudgetExceeded("no")):
        span = rig.start()

        def close(*args: Any, failure: BaseException = failure, **kwargs: Any) -> Any:
            raise failure

        with monkeypatch.context() as patch:
            patch.setattr(rig.processor.fuse, "close_call", close)
            span.end()


AT_EXIT = """
import atexit, gc, sys, threading
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from agent_fuse import AgentFuseSpanProcessor
tracing = TracerProvider()
processor = AgentFuseSpanProcessor(budget=1, session_id="s", db_path=sys.argv[1], request_gate=False)
tracing.add_span_processor(processor)
tracer = tracing.get_tracer("opentelemetry.instrumentation.genai.openai")
call = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.max_tokens": 10}
told = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}

class Owner:
    def __init__(self):
        self.span = tracer.start_span("chat gpt-4o", attributes=call)
    def __del__(self):
        self.span.set_attributes(told)
        self.span.end()

by_atexit = tracer.start_span("chat gpt-4o", attributes=call)
atexit.register(lambda: (by_atexit.set_attributes(told), by_atexit.end()))
in_module = Owner()
cycle = Owner(); cycle.me = cycle
never = tracer.start_span("chat gpt-4o", attributes=call)
daemon = threading.Thread(target=lambda: [Owner() for _ in range(10**9)], daemon=True)
if "thread" in sys.argv:
    daemon.start()
print("bye", flush=True)
"""


@pytest.mark.parametrize("extra", [(), ("thread",)], ids=["quiet", "daemon thread at work"])
def test_interpreter_exit(run_python: Callable[..., Any], tmp_path: Any, extra: tuple[str, ...]) -> None:
    """Spans ended by atexit, by `__del__` at exit, or never: the process ends by itself, with nothing on stderr."""
    done = run_python(AT_EXIT, str(tmp_path / "ledger.db"), *extra)
    assert done.stdout.strip() == "bye"
    assert "Traceback" not in done.stderr, done.stderr
    assert "Error" not in done.stderr, done.stderr


IN_A_FORK = """
import os, sys
from opentelemetry.sdk.trace import TracerProvider
from agent_fuse import AgentFuseSpanProcessor
tracing = TracerProvider(shutdown_on_exit=False)
processor = AgentFuseSpanProcessor(budget=1, session_id="s", db_path=sys.argv[1], request_gate=False)
tracing.add_span_processor(processor)
call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.request.max_tokens": 10}
span = tracing.get_tracer("opentelemetry.instrumentation.genai.openai").start_span("chat gpt-4o", attributes=call)
span.set_attributes({"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10})
child = os.fork()
span.end()
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(processor.fuse.ledger.balances(["all"])["all"].settled.calls)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_span_ended_in_parent_and_child_is_one_call(run_python: Callable[..., Any], tmp_path: Any) -> None:
    """A fork between a span's start and its end does not book the call twice."""
    assert run_python(IN_A_FORK, str(tmp_path / "ledger.db")).stdout.strip() == "1"
