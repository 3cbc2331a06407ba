"""Wiring: through the user's MeterProvider, whenever it is set; nothing without one; pages that are current."""

import gc
import importlib.util
import re
from pathlib import Path

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from agent_fuse.metrics import Meters, meters
from agent_fuse.otel.opening import open_fuse
from agent_fuse.otel.span_attributes import TABLE as MARKS
from agent_fuse.otel.span_processor import AgentFuseSpanProcessor
from agent_fuse.settings import settings
from agent_fuse.telemetry import instruments as table

from .desk import Desk, read

ROOT = Path(__file__).parents[2]


def test_pages_are_current():
    """docs/metrics.md and docs/spans.md are what their tables make of them: `scripts/telemetry_pages.py --write`."""
    spec = importlib.util.spec_from_file_location("telemetry_pages", ROOT / "scripts" / "telemetry_pages.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert {name: (ROOT / "docs" / name).read_text() for name in script.pages()} == script.pages()


@pytest.mark.parametrize("one", table.TABLE, ids=lambda one: one.name)
def test_every_instrument_is_described(one):
    """Names are AgentFuse's own, units stand in the unit and not in the name, attributes are in the table."""
    assert re.fullmatch(r"agent_fuse(\.[a-z]+)+", one.name)
    assert one.unit
    assert one.meaning.endswith(".")
    assert set(one.attributes) <= set(table.ATTRIBUTES)


def test_every_attribute_is_used():
    """The table of attributes has no leftover."""
    assert set(table.ATTRIBUTES) == {name for one in table.TABLE for name in one.attributes}
    assert len({one.name for one in (*table.TABLE, *MARKS)}) == len(table.TABLE) + len(MARKS)


LATE = """
import sys
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from agent_fuse.otel.span_processor import AgentFuseSpanProcessor
from agent_fuse.accounting.call_request import CallRequest
from agent_fuse.calls import Usage
from agent_fuse.limits import Session, Caller
from agent_fuse.sightings import Layer

def call(fuse):
    caller = Caller(session=Session(id="s"))
    seen = fuse.open_call(CallRequest(layer=Layer.CLIENT, source="t", caller=caller, model="gpt-4o", estimate=(1, 1)))
    fuse.close_call(seen, usage=Usage(input_tokens=400, output_tokens=0))

processor = AgentFuseSpanProcessor(budget=1, db_path="memory://", request_gate=False)
fuse = processor.fuse
if sys.argv[1] == "late":
    call(fuse)
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
if sys.argv[1] == "silent":
    pass
else:
    call(fuse)
    call(fuse)
for scope in (one for r in reader.get_metrics_data().resource_metrics for one in r.scope_metrics):
    for metric in scope.metrics:
        for point in metric.data.data_points:
            print(metric.name, getattr(point, "value", None))
"""


@pytest.mark.parametrize(("when", "cost"), [("before", "agent_fuse.cost 0.002"), ("late", "agent_fuse.cost 0.002")])
def test_a_global_provider_that_is_set_after_init(elsewhere, when, cost):
    """Set after `init()`, the global MeterProvider gets every call from then on, as any instrument does."""
    assert cost in elsewhere(LATE, when).splitlines()


def test_gauges_show_before_the_first_call(elsewhere):
    """Blind spots and the ledger show although no call was ever seen: a blind set-up may never see one."""
    lines = elsewhere(LATE, "silent").splitlines()
    assert "agent_fuse.blind 0" in lines
    assert "agent_fuse.ledger.spent 0.0" in lines


@pytest.mark.parametrize("provider", [None, NoOpMeterProvider()], ids=["none", "no-op"])
def test_nothing_is_kept_without_a_provider(provider):
    """Without a MeterProvider no event is kept, nothing is timed, and no ledger is read."""
    fuse = open_fuse(settings({}, budget=10, db_path="memory://"))
    own = Meters(provider)
    own.follow(fuse)
    one = Desk(fuse, own, InMemoryMetricReader())
    for _ in range(20):
        one.call()
    assert not own._events
    assert not own._timings
    assert not fuse.accounting.on_gate.those


def test_one_set_of_instruments_for_each_provider(caplog):
    """Two processors, or two `init()`s, at one provider share the instruments: nothing is registered twice."""
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    assert meters(provider) is meters(provider)
    processors = [
        AgentFuseSpanProcessor(budget=budget, db_path="memory://", meter_provider=provider, request_gate=False)
        for budget in (1, 2)
    ]
    processors[0].use(open_fuse(settings({}, budget=3, db_path="memory://")))
    seen = read(reader)
    assert len(seen["agent_fuse.ledger.spent"]) == 1
    for processor in processors:
        processor.shutdown()
    assert "duplicate" not in caplog.text.lower()


def test_a_provider_that_is_gone_takes_its_instruments_with_it():
    """Instruments do not keep a MeterProvider alive."""
    from weakref import ref

    provider = MeterProvider(metric_readers=[InMemoryMetricReader()])
    gone = ref(meters(provider))
    provider.shutdown()
    del provider
    gc.collect()
    assert gone() is None


def test_a_reader_that_fails_hurts_no_call():
    """What a listener of metrics raises never reaches the call."""
    fuse = open_fuse(settings({}, budget=10, db_path="memory://"))
    own = Meters(MeterProvider(metric_readers=[InMemoryMetricReader()]))
    own.follow(fuse)
    own._events = None
    Desk(fuse, own, InMemoryMetricReader()).call()
    assert fuse.ledger.balances(["all"])["all"].settled.calls == 1
