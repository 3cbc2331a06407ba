"""Several processors and several readers of metrics at one fuse: each is told in full, none twice, and none for ever."""

import gc
from weakref import ref

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import agent_fuse
from agent_fuse import AgentFuseSpanProcessor, SentinelBudgetExceeded
from agent_fuse.otel import active
from agent_fuse.otel.opening import open_fuse
from agent_fuse.settings import settings
from alone import leave_nobody


@pytest.fixture(autouse=True)
def _alone():
    leave_nobody()
    yield
    leave_nobody()


def by_hand():
    agent_fuse.pre_flight("gpt-4o", 10, 10)
    agent_fuse.post_flight("gpt-4o", 10, 10)


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


def test_a_replaced_fuse_goes_away_though_metrics_followed_it(tmp_path):
    """Also where nobody collects; what its open call costs is counted before it goes."""
    reader = InMemoryMetricReader()
    path = str(tmp_path / "l.db")
    processor = AgentFuseSpanProcessor(budget=1, db_path=path, meter_provider=MeterProvider([reader]))
    by_hand()
    agent_fuse.pre_flight("gpt-4o", 10, 10)
    first = ref(processor.fuse)
    processor.use(open_fuse(settings({}, budget=1, db_path=path)))
    agent_fuse.post_flight("gpt-4o", 10, 10)
    assert figures(reader)["agent_fuse.calls"] == 2
    by_hand()
    gc.collect()
    assert first() is None


def told(fuse):
    """How many are told of what its fuse does beside its calls."""
    accounting = fuse.accounting
    return [len(one.those) for one in (fuse.alerts.on_alert, accounting.retry.on_error, accounting.on_gate)]


def test_metrics_of_a_processor_that_shuts_down_end(tmp_path):
    """Its reader counts the call that was open, and none that began later; the fuse, still at work, keeps nothing of it."""
    processor = AgentFuseSpanProcessor(budget=1, db_path=str(tmp_path / "l.db"))
    own, alone = len(processor.fuse.accounting.tell.those), told(processor.fuse)
    reader = InMemoryMetricReader()
    second = AgentFuseSpanProcessor(fuse=processor.fuse, meter_provider=MeterProvider([reader]))
    assert told(processor.fuse) == [one + 1 for one in alone]
    agent_fuse.pre_flight("gpt-4o", 10, 10)
    second.shutdown()
    assert told(processor.fuse) == alone
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


def test_a_fuse_that_is_followed_again_while_a_call_is_open_is_counted_on(tmp_path):
    """A processor leaves with a call open, and another comes at the same fuse and provider: nothing new is left out."""
    provider = MeterProvider([reader := InMemoryMetricReader()])
    fuse = open_fuse(settings({}, budget=1, db_path=str(tmp_path / "l.db")))
    AgentFuseSpanProcessor(fuse=fuse, request_gate=False)
    first = AgentFuseSpanProcessor(fuse=fuse, meter_provider=provider)
    agent_fuse.pre_flight("gpt-4o-mini", 10, 10)
    first.shutdown()
    AgentFuseSpanProcessor(fuse=fuse, meter_provider=provider)
    by_hand()
    agent_fuse.post_flight("gpt-4o-mini", 10, 10)
    assert figures(reader)["agent_fuse.calls"] == 2
