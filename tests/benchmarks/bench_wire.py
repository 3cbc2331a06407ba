"""What the wire gate adds: to a request that is no model's, and to a model's, beside what the SDK's own gate adds.

The first is the time of our wrapper around a `send` that does nothing, so that no network and no library drowns it. The
second is a whole request over a transport that answers in the process; guarded and bare take turns, medians are compared.
"""

import asyncio
import http.client
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import openai
import urllib3

from agent_fuse import AgentFuseSpanProcessor
from agent_fuse.otel import active, instrumentor, sending, wire_aiohttp, wire_http_client, wire_urllib3

ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500},
}
ASKED: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": "Say hello to the world, please."}],
    "max_tokens": 500,
}
OTHER, MODEL = "http://shop.invalid/v1/orders", "http://models.invalid/v1/chat/completions"
TIMES = 100_000
ROUNDS = 2000


class FakeTransport(httpx2.BaseTransport):
    """Answers at once, in the process."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=ANSWER, request=request)


def each(work: Callable[[], object], times: int = TIMES) -> float:
    """Microseconds of the processor that one takes, by the best of five runs."""
    found = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(times):
            work()
        found.append((time.process_time() - start) / times * 1e6)
    return min(found)


def unrelated(times: int = TIMES) -> dict[str, float]:
    """Microseconds that our wrapper adds to a request that is no model's, by library and method."""
    client = httpx2.Client(transport=FakeTransport())
    pool = urllib3.HTTPConnectionPool("shop.invalid")

    def send(*_: Any, **__: Any) -> None:
        return None

    found: dict[str, float] = {}
    wrapped = sending.around(send)
    for method in ("GET", "POST"):
        request = httpx2.Request(method, OTHER, json={"a": 1})
        found[f"httpx {method}"] = each(lambda r=request: wrapped(client, r), times) - each(
            lambda r=request: send(client, r), times
        )
    urlopen = wire_urllib3.around(send)
    for method in ("GET", "POST"):
        found[f"urllib3 {method}"] = each(lambda m=method: urlopen(pool, m, "/v1/orders"), times) - each(
            lambda m=method: send(pool, m, "/v1/orders"), times
        )

    connection = http.client.HTTPConnection("shop.invalid")
    asked = wire_http_client.around(send)
    for method in ("GET", "POST"):
        found[f"http.client {method}"] = each(lambda m=method: asked(connection, m, "/v1/orders"), times) - each(
            lambda m=method: send(connection, m, "/v1/orders"), times
        )

    async def asend(*_: Any, **__: Any) -> None:
        return None

    async def awaited(call: Any, method: str) -> float:
        best = []
        for _ in range(5):
            start = time.process_time()
            for _ in range(times):
                await call(None, method, OTHER)
            best.append((time.process_time() - start) / times * 1e6)
        return min(best)

    request = wire_aiohttp.around(asend)
    for method in ("GET", "POST"):
        found[f"aiohttp {method}"] = asyncio.run(awaited(request, method)) - asyncio.run(awaited(asend, method))
    client.close()
    return found


def gated(folder: Path, rounds: int = ROUNDS) -> dict[str, float]:
    """Median microseconds that a guard adds to one call: by the SDK's own gate, and on the wire."""
    wire = httpx2.Client(transport=FakeTransport())
    sdk = openai.OpenAI(api_key="x", http_client=httpx2.Client(transport=FakeTransport()))
    processor = AgentFuseSpanProcessor(budget=1_000_000, db_path=str(folder / "ledger.db"))
    calls: dict[str, Callable[[], object]] = {
        "the openai SDK's gate": lambda: sdk.chat.completions.create(**ASKED),
        "the wire gate": lambda: wire.post(MODEL, json=ASKED).json(),
    }
    figures: dict[tuple[str, bool], list[float]] = {}
    for turn in range(20):
        for guarded in (True, False):
            if guarded and turn:
                instrumentor.install()
                active.add(processor)
            elif not guarded:
                active.remove(processor)
                instrumentor.uninstall()
            for name, call in calls.items():
                call()
                found = figures.setdefault((name, guarded), [])
                for _ in range(max(rounds // 20, 1)):
                    start = time.perf_counter()
                    call()
                    found.append((time.perf_counter() - start) * 1e6)
    booked = len(list(processor.fuse.ledger.journal()))
    assert booked >= 2 * rounds, f"{booked} calls were booked: not each was judged"
    processor.shutdown()
    processor.fuse.ledger.close()
    return {name: statistics.median(figures[name, True]) - statistics.median(figures[name, False]) for name in calls}


def main() -> None:
    assert aiohttp.ClientSession
    with tempfile.TemporaryDirectory() as folder:
        by_gate = gated(Path(folder))  # first: it turns the wire gate on
    print(f"{'µs added to a request that is of no model':<48}")
    processor = AgentFuseSpanProcessor(budget=1, db_path="memory://")
    for name, figure in unrelated().items():
        print(f"  {name:<46}{figure:>10.2f}")
    processor.shutdown()
    print(f"{'µs added to a model call':<48}")
    for name, figure in by_gate.items():
        print(f"  {name:<46}{figure:>10.0f}")


if __name__ == "__main__":
    main()
