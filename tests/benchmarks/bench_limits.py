"""What limits cost: pre_flight and post_flight under one limit, the same over windows, and under five limits at once.

    python tests/benchmarks/bench_limits.py

Interleaved in one run, so that a busy machine slows all alike; medians, and each as a ratio to the one limit.
"""

import statistics
import tempfile
import time
from pathlib import Path

from agent_fuse import Limit
from agent_fuse.accounting.call_request import CallRequest
from agent_fuse.calls import Usage
from agent_fuse.fuse import Fuse
from agent_fuse.limits import Caller, Session
from agent_fuse.otel.opening import open_fuse
from agent_fuse.settings import settings
from agent_fuse.sightings import Layer

ROUNDS = 4_000
KINDS = {
    "one limit": [Limit(usd=1000, per="user.id")],
    "rolling window": [Limit(usd=1000, per="user.id", window="1h")],
    "calendar's window": [Limit(usd=1000, per="user.id", window="day", timezone="Europe/Berlin")],
    "five limits": [
        Limit(usd=1000, per="user.id"),
        Limit(usd=1000),
        Limit(tokens=10**9, per="all"),
        Limit(calls=10**6, per="agent"),
        Limit(output_tokens=10**9, per="model"),
    ],
    "five windows": [
        Limit(usd=1000, per="user.id", window="1h"),
        Limit(usd=1000, window="day"),
        Limit(tokens=10**9, per="all", window="30d"),
        Limit(calls=10**6, per="agent", window="1m"),
        Limit(output_tokens=10**9, per="model", window="month"),
    ],
}


def once(fuse: Fuse) -> float:
    """Microseconds of one call."""
    caller = Caller(session=Session(id="s", attributes={"user.id": "ann"}), agent="writer")
    request = CallRequest(layer=Layer.CLIENT, source="by hand", caller=caller, model="gpt-4o", estimate=(1000, 500))
    started = time.perf_counter()
    seen = fuse.open_call(request)
    fuse.close_call(seen, usage=Usage(input_tokens=1000, output_tokens=500), model="gpt-4o")
    return (time.perf_counter() - started) * 1e6


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        fuses = {
            name: open_fuse(settings({}, limits=limits, db_path=str(Path(folder) / f"{number}.db")))
            for number, (name, limits) in enumerate(KINDS.items())
        }
        times: dict[str, list[float]] = {name: [] for name in fuses}
        for turn in range(ROUNDS):
            for name, fuse in fuses.items():
                took = once(fuse)
                if turn > 100:
                    times[name].append(took)
        first = statistics.median(times["one limit"])
        for name, took in times.items():
            middle = statistics.median(took)
            print(f"{name:<20} p50 {middle:7.1f} µs   = {middle / first:.2f} of one limit")
        for fuse in fuses.values():
            fuse.ledger.close()


if __name__ == "__main__":
    main()
