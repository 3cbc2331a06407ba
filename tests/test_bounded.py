"""Nothing that we keep grows with the number of calls: every container that the fuse and our modules reach is bounded."""

import gc
import sys
from collections import deque
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any
from weakref import ProxyTypes

from opentelemetry.sdk.trace import TracerProvider

import mixture
from agent_fuse import AgentFuseSpanProcessor
from agent_fuse.quoting.learned import Learned
from alone import leave_nobody

BOUNDS = ("_REMEMBERED", "_MAX_SESSIONS", "_MAX_RUNS", "_MAX_TOLD", "MAX_DROPPED", "MAX_OPEN")
"""Our modules' names for how much they remember; made small here, so that a few hundred calls reach them."""

SMALL, N = 20, 120


def ours() -> list[ModuleType]:
    return [one for name, one in list(sys.modules.items()) if name.partition(".")[0] == "agent_fuse"]


def sizes(start: Any) -> dict[str, int]:
    """How many things each container holds that is reached from here, or from our modules, through what is ours."""
    found: dict[str, int] = {}
    roots = [("fuse", start), *((one.__name__, vars(one)) for one in ours())]
    seen, waiting = {id(found), id(roots)}, deque(roots)
    while waiting:
        path, one = waiting.popleft()
        if id(one) in seen or type(one) in ProxyTypes or isinstance(one, ModuleType | type | FunctionType):
            continue
        seen.add(id(one))
        if isinstance(one, dict | list | set | frozenset | tuple | deque):
            found[path] = len(one)
        elif not type(one).__module__.startswith(("agent_fuse", "weakref", "_weakrefset", "collections")):
            continue
        if isinstance(one, dict):
            waiting.extend((f"{path}.{key}" if isinstance(key, str) else f"{path}[]", it) for key, it in one.items())
        else:
            named = getattr(one, "__dict__", {})
            waiting.extend((f"{path}.{key}", it) for key, it in named.items())
            waiting.extend((f"{path}.{type(it).__name__}", it) for it in gc.get_referents(one))
    return found


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Containers that took in something with about every sixth call, or more."""
    return {path: (before.get(path, 0), size) for path, size in after.items() if size - before.get(path, 0) > 2 * N / 8}


def guarded(path: Path) -> tuple[TracerProvider, AgentFuseSpanProcessor]:
    """A tracer provider whose spans are judged."""
    tracing = TracerProvider()
    processor = AgentFuseSpanProcessor(budget=1000, db_path=str(path), warn_at="none", max_retries=0)
    tracing.add_span_processor(processor)
    return tracing, processor


def test_every_container_is_bounded(tmp_path, monkeypatch):
    leave_nobody()
    for n in range(6):  # what is loaded when it is first needed
        mixture.call(n, guarded(tmp_path / "warm.db")[0])
    leave_nobody()
    for module in ours():
        for name in BOUNDS:
            if name in vars(module):
                monkeypatch.setattr(module, name, SMALL)
    tracing, processor = guarded(tmp_path / "ledger.db")
    processor.fuse._sightings._remember = SMALL
    processor.fuse.accounting.quoter._learned = Learned(sessions=SMALL, models=SMALL)
    for n in range(N):
        mixture.call(n, tracing)
    before = sizes(processor.fuse)
    for n in range(N, 3 * N):
        mixture.call(n, tracing)
    gc.collect()
    after = sizes(processor.fuse)
    assert len(after) > 300, "hardly anything was looked at"
    assert grown(before, after) == {}


def test_a_container_that_grows_is_seen(tmp_path):
    class Keeper:
        kept: list[int]

    Keeper.__module__ = "agent_fuse.keeper"
    one = Keeper()
    one.kept = [1]
    before = sizes(one)
    one.kept.extend(range(N))
    assert grown(before, sizes(one)) == {"fuse.kept": (1, N + 1)}
