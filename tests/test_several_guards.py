"""Several guards in one process: what `init` does beside another, what a replaced one leaves, who is told of a fuse."""

import gc
import os
from pathlib import Path
from weakref import ref

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

import agent_fuse
from agent_fuse import AgentFuseSpanProcessor, SentinelBudgetExceeded, read_ledger
from agent_fuse.accounting import backlog as backlogs
from agent_fuse.calls import Usage
from agent_fuse.otel import active
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


def replace_fuse(processor, folder, budget=1):
    processor.use(open_fuse(settings({}, budget=budget, db_path=str(folder / "l.db"))))


def test_a_replaced_fuse_goes_away_though_metrics_followed_it(tmp_path):
    """Also where nobody collects; what its open call costs is counted before it goes."""
    reader = InMemoryMetricReader()
    path = str(tmp_path / "l.db")
    processor = AgentFuseSpanProcessor(budget=1, db_path=path, meter_provider=MeterProvider([reader]))
    by_hand()
    agent_fuse.pre_flight("gpt-4o", 10, 10)
    first = ref(processor.fuse)
    replace_fuse(processor, tmp_path)
    agent_fuse.post_flight("gpt-4o", 10, 10)
    assert figures(reader)["agent_fuse.calls"] == 2
    by_hand()
    gc.collect()
    assert first() is None


def ended(fuse):
    """Whether nobody but the fuse itself is told of anything."""
    accounting = fuse.accounting
    return not (fuse.alerts.on_alert.those or accounting.retry.on_error.those or accounting.on_gate.those)


def test_metrics_of_a_processor_that_shuts_down_end(tmp_path):
    """Its reader counts the call that was open, and none that began later; the fuse, still at work, keeps nothing of it."""
    processor = AgentFuseSpanProcessor(budget=1, db_path=str(tmp_path / "l.db"))
    own = len(processor.fuse.accounting.tell.those)
    reader = InMemoryMetricReader()
    second = AgentFuseSpanProcessor(fuse=processor.fuse, meter_provider=MeterProvider([reader]))
    assert not ended(processor.fuse)
    agent_fuse.pre_flight("gpt-4o", 10, 10)
    second.shutdown()
    assert ended(processor.fuse)
    with agent_fuse.call("gpt-4o-mini", 10, 10):
        assert len(processor.fuse.accounting.tell.those) == own + 1
    agent_fuse.post_flight("gpt-4o", 10, 10)
    by_hand()
    assert figures(reader)["agent_fuse.calls"] == 1
    assert len(processor.fuse.accounting.tell.those) == own


def test_a_fuse_that_is_followed_again_is_counted_once(tmp_path):
    """A processor comes after another has left, at the same fuse and provider: nothing is heard twice."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    fuse = open_fuse(settings({}, budget=1, db_path=str(tmp_path / "l.db")))
    for _ in range(3):
        processor = AgentFuseSpanProcessor(fuse=fuse, meter_provider=provider)
        by_hand()
        processor.shutdown()
    found = figures(reader)
    assert (found["agent_fuse.calls"], found["agent_fuse.gate.duration"]) == (3, 3)


def test_a_fuse_that_comes_back_is_counted_once(tmp_path):
    """Replaced, and taken again: each call counts once, also one by the replaced fuse."""
    reader = InMemoryMetricReader()
    fuses = [open_fuse(settings({}, budget=1, db_path=str(tmp_path / "l.db"))) for _ in range(2)]
    processor = AgentFuseSpanProcessor(fuse=fuses[0], meter_provider=MeterProvider([reader]))
    for fuse in (fuses[1], fuses[0], fuses[1], fuses[0]):
        processor.use(fuse)
        by_hand()
    found = figures(reader)
    assert (found["agent_fuse.calls"], found["agent_fuse.gate.duration"]) == (4, 4)


def test_a_processor_that_goes_to_another_fuse_counts_the_shared_one_no_more(tmp_path):
    """Two processors on one fuse, each with a reader; one of them is given another fuse."""
    readers = [InMemoryMetricReader(), InMemoryMetricReader()]
    first = AgentFuseSpanProcessor(budget=1, db_path="memory://", meter_provider=MeterProvider([readers[0]]))
    other = AgentFuseSpanProcessor(fuse=first.fuse, meter_provider=MeterProvider([readers[1]]))
    by_hand()
    other.use(open_fuse(settings({}, budget=1, db_path="memory://")))
    active.add(first)  # it is the newest
    by_hand()
    assert [figures(one)["agent_fuse.calls"] for one in readers] == [2, 1]


def test_a_processor_that_was_shut_down_keeps_nothing(tmp_path):
    """Its provider keeps it for ever, but neither its fuse nor a file; a span open then is still booked at its end."""
    tracing = TracerProvider(shutdown_on_exit=False)
    by = tracing.get_tracer("some.genai.scope")
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.request.max_tokens": 10}
    files, books, gone = len(list(FILES.iterdir())) if FILES.is_dir() else 0, [], []
    for number in range(20):
        path = str(tmp_path / f"{number}.db")
        processor = AgentFuseSpanProcessor(budget=1, db_path=path, request_gate=False)
        tracing.add_span_processor(processor)
        gone.append(ref(processor.fuse))
        with by.start_as_current_span("chat", attributes=attributes):
            processor.shutdown()
        processor.shutdown()
        books.append(path)
    gc.collect()
    assert [one() for one in gone] == [None] * 20
    if FILES.is_dir():
        assert open_files() == files
    for path in books:
        with read_ledger(path) as reader:
            (entry,) = reader.entries()
            assert entry.status == "estimated"


@pytest.mark.skipif(not FILES.is_dir(), reason="open files are counted in /proc")
def test_a_fuse_that_serves_again_keeps_its_files(tmp_path):
    """After a processor that shut down another one takes its fuse: no call closes the ledger."""
    first = AgentFuseSpanProcessor(budget=1, db_path=str(tmp_path / "l.db"))
    fuse = first.fuse
    by_hand()
    files = open_files()
    first.shutdown()
    assert open_files() < files
    AgentFuseSpanProcessor(fuse=fuse)
    by_hand()
    assert open_files() == files


def test_what_a_replaced_fuse_owes_is_written_when_its_ledger_is_back(tmp_path, caplog, monkeypatch):
    """`fail_safe=False`: calls counted while the ledger was away are booked though the fuse is replaced before it is back."""
    monkeypatch.setattr(backlogs, "TRY_AGAIN_SECONDS", 0.05)
    away = tmp_path / "away"
    away.write_text("in the way of the folder")
    processor = AgentFuseSpanProcessor(budget=1, db_path=str(away / "l.db"), fail_safe=False)
    ledger = processor.fuse.ledger
    by_hand()
    processor.use(open_fuse(settings({}, budget=1, db_path="memory://")))
    assert ledger.owes()
    (writer,) = (one._thread for one in backlogs._all if one)
    away.unlink()
    writer.join()
    with read_ledger(str(away / "l.db")) as books:
        assert len(list(books.entries())) == 1
    assert "could not be booked" not in caplog.text


@pytest.mark.parametrize("replacing", [True, False], ids=["a second init", "a shutdown"])
def test_a_child_of_a_fork_and_its_files(tmp_path, replacing):
    """Forking keeps no fuse alive that was replaced."""
    processor = AgentFuseSpanProcessor(budget=1, db_path=str(tmp_path / "l.db"))
    first = ref(processor.fuse)
    if replacing:
        replace_fuse(processor, tmp_path)
    else:
        processor.shutdown()
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    gc.collect()
    assert first() is None
