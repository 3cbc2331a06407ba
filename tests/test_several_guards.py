"""Several guards in one process: what `init` does beside another, what a replaced one leaves, who is told of a fuse."""

import gc
from pathlib import Path
from weakref import ref

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import agent_fuse
from agent_fuse import AgentFuseSpanProcessor, SentinelBudgetExceeded
from agent_fuse.calls import Usage
from agent_fuse.otel.opening import open_fuse
from agent_fuse.settings import settings
from agent_fuse.testing import LedgerReader
from alone import leave_nobody


@pytest.fixture(autouse=True)
def _alone():
    leave_nobody()
    yield
    leave_nobody()


FILES = Path("/proc/self/fd")


def by_hand():
    agent_fuse.pre_flight("gpt-4o", 10, 10)
    agent_fuse.post_flight("gpt-4o", 10, 10)


HIJACK = """
import logging, sys
logging.basicConfig(level="WARNING")
import agent_fuse
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
mine, other = TracerProvider(), TracerProvider()
mine.add_span_processor(agent_fuse.AgentFuseSpanProcessor(budget=5, db_path="a.db"))
trace.set_tracer_provider(other)
for _ in range(2):
    agent_fuse.init(budget=0, db_path="a.db")
CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
def refused(provider):
    try:
        with provider.get_tracer("some.genai.scope").start_as_current_span("chat", attributes=CALL):
            return False
    except agent_fuse.SentinelBudgetExceeded:
        return True
print(refused(other), refused(mine), len(other._active_span_processor._span_processors))
"""


def test_init_guards_the_global_provider_beside_a_processor_on_another(run_python, tmp_path, monkeypatch):
    """Each provider is judged by its own limits, one warning says that there are two, and a second init adds nothing."""
    monkeypatch.chdir(tmp_path)
    done = run_python(HIJACK)
    assert done.stdout.split() == ["True", "False", "1"]
    assert done.stderr.count("on another provider still guards") == 1


LATER = """
import agent_fuse
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
agent_fuse.init(budget=5, db_path="a.db")
late = TracerProvider()
trace.set_tracer_provider(late)
agent_fuse.init(budget=0, db_path="a.db")
try:
    with trace.get_tracer("some.genai.scope").start_as_current_span(
        "chat", attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}):
        print("let go")
except agent_fuse.SentinelBudgetExceeded:
    print("refused")
"""


def test_a_second_init_guards_a_provider_that_was_set_since(run_python, tmp_path, monkeypatch):
    """The first init had none but its own; the second finds the program's, and its processor goes there too."""
    monkeypatch.chdir(tmp_path)
    done = run_python(LATER)
    assert done.stdout.split() == ["refused"]
    assert "another provider" not in done.stderr


def open_files():
    return len(list(FILES.iterdir()))


@pytest.mark.skipif(not FILES.is_dir(), reason="open files are counted in /proc")
def test_a_fuse_that_is_replaced_goes_away(tmp_path):
    """Sixty settings later one fuse lives, and no more files are open than after the first."""
    processor = AgentFuseSpanProcessor(budget=1, db_path=str(tmp_path / "l.db"))
    by_hand()
    first, files = ref(processor.fuse), open_files()
    for number in range(60):
        processor.use(open_fuse(settings({}, budget=1 + number, db_path=str(tmp_path / "l.db"))))
        by_hand()
        assert open_files() <= files + 4
    gc.collect()
    assert first() is None
    processor.shutdown()
    assert open_files() < files


def test_a_call_that_is_open_when_its_fuse_is_replaced_is_booked(tmp_path):
    """It ends with the fuse that let it go; that one's files are closed right after."""
    processor = AgentFuseSpanProcessor(budget=1, db_path=str(tmp_path / "old.db"), session_id="s")
    call = agent_fuse.pre_flight("gpt-4o", 10, 10)
    old = processor.fuse
    processor.use(open_fuse(settings({}, budget=1, db_path=str(tmp_path / "new.db"), session_id="s")))
    call.finish(Usage(input_tokens=10, output_tokens=10), "")
    reader = LedgerReader(old.ledger)
    assert len(reader.entries()) == 1
    assert reader.open_holds() == []


def figures(reader):
    data = reader.get_metrics_data()
    found = [one for many in data.resource_metrics for scope in many.scope_metrics for one in scope.metrics]
    return {
        one.name: sum(getattr(point, "count", None) or getattr(point, "value", 0) for point in one.data.data_points)
        for one in found
    }


def test_two_processors_on_one_fuse_both_have_every_metric(tmp_path):
    """Each provider gets calls, durations, trips and warnings in full; two processors at one provider count once."""
    one, two = InMemoryMetricReader(), InMemoryMetricReader()
    first, second = MeterProvider([one]), MeterProvider([two])
    processor = AgentFuseSpanProcessor(budget="0.001", db_path=str(tmp_path / "l.db"), meter_provider=first)
    for _ in range(2):
        AgentFuseSpanProcessor(fuse=processor.fuse, meter_provider=second)
    figures(one), figures(two)
    for _ in range(3):
        by_hand()
    with pytest.raises(SentinelBudgetExceeded):
        agent_fuse.pre_flight("gpt-4o", 10_000, 10_000)
    for reader in (one, two):
        found = figures(reader)
        assert found["agent_fuse.calls"] == 3
        assert found["agent_fuse.trips"] == 1
        assert found["agent_fuse.gate.duration"] == 4
