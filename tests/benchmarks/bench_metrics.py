"""What metrics add to a call: nothing followed, no MeterProvider, and an SDK one; and what a collection costs.

A call is one gate (reserve) and its settling, through the fuse. Rounds of the three set-ups are interleaved; the figures
are CPU time of this thread, medians over rounds, so that a busy machine hurts little, and all three alike.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from agent_fuse.accounting.call_request import CallRequest
from agent_fuse.calls import Usage
from agent_fuse.fuse import Fuse
from agent_fuse.limits import Caller, Limit, Session
from agent_fuse.metrics import Meters
from agent_fuse.otel.opening import open_fuse
from agent_fuse.settings import settings
from agent_fuse.sightings import Layer

CALLS = 500
ROUNDS = 31
TOLD = Usage(input_tokens=100, output_tokens=10)


def fuse_at(path: str) -> Fuse:
    limits = (Limit(usd=100_000), Limit(calls=10**9, per="all"))
    return open_fuse(settings({}, limits=limits, db_path=path))


def round_of(fuse: Fuse) -> float:
    """Seconds of CPU time a call."""
    ask = CallRequest(
        layer=Layer.REQUEST, source="bench", caller=Caller(session=Session(id="s")), model="gpt-4o", estimate=(10, 10)
    )
    started = time.thread_time()
    for _ in range(CALLS):
        fuse.close_call(fuse.open_call(ask), usage=TOLD)
    return (time.thread_time() - started) / CALLS


def compare(make: Callable[[str], Fuse]) -> tuple[dict[str, float], Meters]:
    bare, idle, live = (make(name) for name in ("bare", "idle", "live"))
    Meters().follow(idle)
    meters = Meters(MeterProvider(metric_readers=[InMemoryMetricReader()]))
    meters.follow(live)
    fuses = {"no metrics": bare, "no MeterProvider": idle, "SDK MeterProvider": live}
    for fuse in fuses.values():
        round_of(fuse)
    rounds = [{name: round_of(fuse) for name, fuse in fuses.items()} for _ in range(ROUNDS)]
    return {name: statistics.median(one[name] for one in rounds) * 1e6 for name in fuses}, meters


def collection(sessions: int, path: str) -> float:
    """Milliseconds to collect with this many accounts met."""
    reader = InMemoryMetricReader()
    meters = Meters(MeterProvider(metric_readers=[reader]))
    fuse = fuse_at(path)
    meters.follow(fuse)
    for number in range(sessions):
        caller = Caller(session=Session(id=f"s{number}"), agent=f"a{number % 20}")
        fuse.close_call(
            fuse.open_call(
                CallRequest(layer=Layer.CLIENT, source="bench", caller=caller, model="gpt-4o", estimate=(1, 1))
            ),
            usage=TOLD,
        )
    reader.get_metrics_data()
    times = []
    for _ in range(20):
        started = time.thread_time()
        reader.get_metrics_data()
        times.append(time.thread_time() - started)
    return statistics.median(times) * 1e3


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for kind, make in (
            ("memory", lambda name: fuse_at("memory://")),
            ("sqlite", lambda name: fuse_at(str(Path(folder) / f"{name}.db"))),
        ):
            found, _ = compare(make)
            base = found["no metrics"]
            print(f"{kind}: one call")
            for name, micros in found.items():
                print(f"  {name:<18} {micros:8.2f} us   {micros - base:+6.2f} us")
        for sessions in (1, 500):
            millis = collection(sessions, str(Path(folder) / f"collect{sessions}.db"))
            print(f"sqlite: one collection, {sessions:>3} sessions met lately: {millis:.2f} ms")
