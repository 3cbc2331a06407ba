"""What pricing, counting and quoting cost: medians of repeated runs, in microseconds. Run: python tests/benchmarks/bench_quotes.py."""

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from agent_fuse.calls import Usage
from agent_fuse.prices import PriceBook, load
from agent_fuse.quotes import Quoter
from agent_fuse.tokens import TokenCounter

SMALL = {
    "model": "gpt-4o",
    "max_tokens": 500,
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "What is the capital of France?"},
    ],
}


def micros(work: Callable[[], object], number: int, repeats: int = 7) -> float:
    """Median over the repeats of the mean time of one call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(number):
            work()
        times.append((time.perf_counter() - start) / number * 1e6)
    return statistics.median(times)


def once(work: Callable[[], object]) -> float:
    """Time of the first call."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e6


def long_context(counter: TokenCounter) -> list[dict[str, str]]:
    """A context of 100,000 tokens in messages of an agent's sizes."""
    dice = random.Random(7)
    words = ("the agent", "reads a file,", "calls tool_x({'path': 'src/main.py'})", "and writes", "down 42 results")
    messages: list[dict[str, str]] = []
    total = 0
    while total < 100_000:
        text = " ".join(dice.choice(words) for _ in range(dice.choice((20, 80, 600))))
        messages.append({"role": dice.choice(("user", "assistant")), "content": text})
        total += counter.count_text(text, "gpt-4o")
    return messages


def main() -> None:
    """Measure and print."""
    rows: list[tuple[str, float]] = []
    script = "import time; s = time.perf_counter(); from agent_fuse.prices import load; load(); print(time.perf_counter() - s)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    rows.append(("price data, first time (fresh process)", float(done.stdout) * 1e6))
    load()
    counter = TokenCounter()
    rows.append(("o200k vocabulary, first time", once(lambda: counter.preload(["gpt-4o"]))))
    rows.append(("cl100k vocabulary, first time", once(lambda: counter.preload(["gpt-4"]))))

    book = PriceBook()
    rates = book.rates("gpt-4o", "openai")
    usage = Usage(input_tokens=1_000, output_tokens=500, cache_read_tokens=200)
    rows.append(("PriceBook.rates, model seen before", micros(lambda: book.rates("gpt-4o", "openai"), 20_000)))
    rows.append(("Rates.cost", micros(lambda: rates.cost(usage), 20_000)))
    tiered = book.rates("gemini-2.5-pro", "google")
    rows.append(("Rates.cost, two tiers", micros(lambda: tiered.cost(usage), 20_000)))

    messages = long_context(counter)
    cold = TokenCounter()
    cold.preload(["gpt-4o"])
    body = {"model": "gpt-4o", "messages": messages}
    rows.append((f"count 100k tokens in {len(messages)} messages, first time", once(lambda: cold.count("chat", body))))
    renewed = [{"model": "gpt-4o", "messages": [dict(one) for one in messages]} for _ in range(20)]
    again = iter(renewed)
    rows.append(("  again, new dicts, same strings", micros(lambda: cold.count("chat", next(again)), 1, 20)))
    text = json.dumps(body)
    parsed = iter([json.loads(text) for _ in range(20)])
    rows.append(("  again, new dicts, new strings", micros(lambda: cold.count("chat", next(parsed)), 1, 20)))

    for name, strict in (("Quoter.for_body, small chat", False), ("  strict", True)):
        quoter = Quoter(book, strict=strict, counter=counter)
        rows.append((name, micros(lambda q=quoter: q.for_body("openai", "gpt-4o", "chat", SMALL, 180, "s"), 5_000)))
    quoter = Quoter(book, counter=counter)
    quoted = quoter.for_body("openai", "gpt-4o", "chat", SMALL, 180, "s")
    rows.append(("Quoter.for_span", micros(lambda: quoter.for_span("openai", "gpt-4o", "chat", session="s"), 5_000)))
    learn = lambda: quoter.learn("s", "gpt-4o", quoted=quoted, body_bytes=180, usage=usage)  # noqa: E731
    rows.append(("Quoter.learn", micros(learn, 5_000)))
    for name, figure in rows:
        print(f"{name:<58} {figure:>12,.1f} µs")


if __name__ == "__main__":
    main()
