"""200,000 calls of every kind in one process: its memory, threads and files are flat after the first 20,000."""

import gc
import os
import threading
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider

import mixture
from agent_fuse import AgentFuseSpanProcessor
from alone import leave_nobody

pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("ignore")]

CALLS, EVERY = 200_000, 20_000
ROOM = 8.0
"""MiB by which the process may have grown: what an allocator keeps varies by a few."""

SELF = Path("/proc/self")


def resident() -> float:
    """MiB of memory that this process has."""
    gc.collect()
    return int((SELF / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not SELF.exists(), reason="memory is read from /proc, which this system has not")
def test_memory_threads_and_files_are_flat(tmp_path):
    leave_nobody()
    tracing = TracerProvider()
    processor = AgentFuseSpanProcessor(budget=1000, db_path=str(tmp_path / "ledger.db"), warn_at="none", max_retries=0)
    tracing.add_span_processor(processor)
    seen = []
    for n in range(CALLS):
        mixture.call(n, tracing)
        if (n + 1) % EVERY == 0:
            seen.append((resident(), threading.active_count(), len(list((SELF / "fd").iterdir()))))
            print(f"{n + 1:,} calls: {seen[-1][0]:.1f} MiB, {seen[-1][1]} threads, {seen[-1][2]} files", flush=True)
    first, threads, files = seen[0]
    assert seen[-1][0] - first < ROOM, seen
    assert max(one[1] for one in seen) <= threads + 1, seen  # a file or a thread may be there for a moment
    assert max(one[2] for one in seen) <= files + 1, seen
