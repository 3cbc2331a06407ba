"""What AgentFuse adds to one instrumented call, beside the bare SDK's own span, in one run.

The real openai client and Traceloop's instrumentation, over a fake transport that answers in the process, so that the
network does not drown the figures. Calls of the three set-ups take turns, and medians are compared.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
import openai
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from agent_fuse import AgentFuseSpanProcessor
from agent_fuse.otel import active, instrumentor

ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500},
}
SMALL: Any = [{"role": "user", "content": "Say hello to the world, please."}]
ROUNDS = 2000


class FakeTransport(httpx2.BaseTransport):
    """Answers at once, in the process."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=ANSWER, request=request)


def percentile(figures: list[float], share: float) -> float:
    return sorted(figures)[int(len(figures) * share)]


def timed(work: Any, rounds: int) -> list[float]:
    figures = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        figures.append((time.perf_counter() - start) * 1e6)
    return figures


def show(name: str, figures: list[float]) -> None:
    print(f"{name:<48}{statistics.median(figures):>10.0f}{percentile(figures, 0.99):>10.0f}")


def main() -> None:
    client = openai.OpenAI(api_key="x", http_client=httpx2.Client(transport=FakeTransport()))
    folder = tempfile.TemporaryDirectory()
    bare, guarded = TracerProvider(), TracerProvider()
    processor = AgentFuseSpanProcessor(budget=1_000_000, db_path=str(Path(folder.name) / "ledger.db"))
    guarded.add_span_processor(processor)

    def call(messages: Any = SMALL) -> None:
        client.chat.completions.create(model="gpt-4o", messages=messages, max_tokens=500)

    OpenAIInstrumentor().instrument(tracer_provider=bare)
    call()

    def set_up(kind: str) -> None:
        if kind == "guarded":
            bare._active_span_processor._span_processors = guarded._active_span_processor._span_processors
            instrumentor.install()
            active.add(processor)
        else:
            bare._active_span_processor._span_processors = ()
            active.remove(processor)
            instrumentor.uninstall()

    for kind in ("guarded", "bare"):
        set_up(kind)
        timed(call, 200)
    figures: dict[str, list[float]] = {"bare": [], "guarded": []}
    for _ in range(20):
        for kind, found in figures.items():
            set_up(kind)
            found.extend(timed(call, ROUNDS // 20))
    tracer = bare.get_tracer("bench")
    set_up("bare")
    span = timed(lambda: tracer.start_span("x").end(), ROUNDS)
    set_up("guarded")
    large: Any = [{"role": "user", "content": f"{n} " + "word " * 1000} for n in range(100)]
    call(large)
    seen = timed(lambda: call(large), 50)
    set_up("bare")
    unseen = timed(lambda: call(large), 50)
    print(f"{'µs':<48}{'p50':>10}{'p99':>10}")
    show("a span of the bare SDK, no processor", span)
    show("an instrumented call (fake transport)", figures["bare"])
    show("the same, guarded by AgentFuse", figures["guarded"])
    added = statistics.median(figures["guarded"]) - statistics.median(figures["bare"])
    print(f"{'added by AgentFuse to one call':<48}{added:>10.0f}")
    show("a 100k-token call, its messages seen, bare", unseen)
    show("the same, guarded", seen)
    print(f"{'added to a 100k-token call':<48}{statistics.median(seen) - statistics.median(unseen):>10.0f}")
    processor.fuse.ledger.close()
    folder.cleanup()


if __name__ == "__main__":
    main()
