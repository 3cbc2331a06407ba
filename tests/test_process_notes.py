"""What a guarded process cannot see, or its ledger could not take, is told to who looks from another one."""

import json
from dataclasses import replace

import pytest

import agent_fuse
from agent_fuse.accounting import process_notes
from agent_fuse.accounting.process_notes import NOTE, ProcessNote
from agent_fuse.dashboard.filters import Filter
from agent_fuse.dashboard.state import Caps, state
from agent_fuse.errors import SentinelSystemError
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.ledgers.owners import this_process
from agent_fuse.ledgers.reading import open_reader
from agent_fuse.views.checkup import doctor
from agent_fuse.views.other_processes import told_by_processes

NOW = 1_800_000_000.0

WORKER = """
import sys
sys.argv[0] = "/srv/worker.py"
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
provider = TracerProvider(sampler=TraceIdRatioBased(1.0))
trace.set_tracer_provider(provider)
import agent_fuse
processor = agent_fuse.AgentFuseSpanProcessor(budget=1, db_path=sys.argv[1])
provider.add_span_processor(processor)
with provider.get_tracer("app").start_as_current_span("chat gpt-4o", attributes={"gen_ai.operation.name": "chat"}):
    pass
print("ready", flush=True)
sys.stdin.read()
provider.shutdown()
print("over", flush=True)
sys.stdin.close()
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Where a ledger is that another process can read, of each kind in turn."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.db")
    return request.getfixturevalue("postgres").database()


def shown(url, now=None):
    with open_reader(url) as reader:
        found = state(reader, Caps({}), now=now or NOW, among=Filter())["blind"]
    return [(one["what"], one["fix"]) for one in found]


@pytest.fixture
def status(begun, url):
    """What `agent-fuse status` prints."""
    program = "import runpy; runpy.run_module('agent_fuse', run_name='__main__')"
    return lambda *options: begun(program, "status", "--db", url, *options).stdout.read()


@pytest.fixture
def worker(begun, url):
    """A process that is partly blind, over each kind of ledger."""
    one = begun(WORKER, url)
    assert one.stdout.readline() == "ready\n"
    return one


def test_blind_spots_of_another_process_are_seen(worker, status, url):
    """The page and doctor tell whose they are and what to do; when it ends well they are gone."""
    (found,) = [one for one in shown(url) if "sampler" in one[0]]
    assert found[0].startswith(f"worker.py (process {worker.pid} on ")
    assert "the sampler TraceIdRatioBased{1.0} drops spans: calls in them pass the span gates" in found[0]
    assert "AgentFuseSampler(sampler)" in found[1]
    assert found in [(one.what, one.fix) for one in doctor(db_path=url)]
    assert {"what": found[0], "fix": found[1]} in json.loads(status("--json"))["blind"]
    assert f"Guarded processes that need a look:\n  {found[0]}; {found[1]}\n" in status()
    assert worker.wait() == 0
    assert shown(url) == []
    with open_reader(url) as reader:
        assert reader.notes(NOTE) == {}


def test_those_of_a_process_that_was_killed_are_gone_too(worker, url):
    """It could not say so; this machine knows."""
    assert shown(url)
    worker.kill()
    assert shown(url) == []


def test_a_ledger_that_failed_a_process_is_told_when_it_is_back(box, monkeypatch, tmp_path):
    """With the next call that it takes, for an hour."""
    rig = box(budget=1, db_path=str(tmp_path / "ledger.db"), max_retries=0)
    ledger = rig.fuse.ledger

    def broken(*args, **more):
        raise LedgerError("reserve", "here", "the disk is full")

    def told():
        note = ledger.update_note(NOTE, lambda note: (note, note), now=NOW)
        return process_notes.read(note, rig.fuse.clock(), this_process())

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "reserve", broken)
        with pytest.raises(SentinelSystemError):
            agent_fuse.pre_flight("gpt-4o", prompt="hi")
    assert [one.failed for one in told() if one.failed] == []  # what other tests found blind here is told besides
    with agent_fuse.call("gpt-4o", 10, 10) as one:
        one.usage(10, 10)
    assert [one.failed for one in told()] == ["reserve"]
    note = ledger.update_note(NOTE, lambda note: (note, note), now=NOW)
    elsewhere = [one | {"host": "elsewhere"} for one in json.loads(note)]
    ledger.update_note(NOTE, lambda _: (json.dumps(elsewhere).encode(), None), now=NOW)
    with open_reader(tmp_path / "ledger.db") as reader:
        (found,) = [one.what for one in told_by_processes(reader, now=rig.fuse.clock()) if "failed" in one.what]
        assert "on elsewhere): the ledger failed it last at " in found
        assert not [one for one in told_by_processes(reader, now=rig.fuse.clock() + 3_601) if "failed" in one.what]


def of(number, **more):
    one = ProcessNote(host=f"host-{number}", pid=number, started=1, program="w.py", at=NOW, spots=(("blind", "mend"),))
    return replace(one, **more)


def test_the_note_is_bounded_and_ages(tmp_path):
    """The last hundred processes, of those elsewhere the last day, each spot once; odd notes are no fault."""
    ledger = open_ledger(tmp_path / "ledger.db")
    for number in range(130):
        told = of(number, at=NOW + number, spots=tuple((f"spot {n}", "x" * 9_999) for n in range(50)))
        process_notes.tell(ledger, told, now=NOW + number)
    with open_reader(tmp_path / "ledger.db") as reader:
        note = reader.notes(NOTE)[NOTE]
        found = process_notes.read(note, NOW + 130, this_process())
        assert [one.pid for one in found] == list(range(129, 29, -1))
        assert len(note) < 1_000_000
        assert {len(one.spots) for one in found} == {20}
        (first, *_) = told_by_processes(reader, now=NOW + 130)
        assert first.what == "w.py (process 129 on host-129) and 99 more processes: spot 0"
        assert len(told_by_processes(reader, now=NOW + 130)) == 20
        assert told_by_processes(reader, now=NOW + 90_000) == []
    process_notes.forget(ledger, of(129).owner, now=NOW + 130)
    process_notes.tell(ledger, of(7, spots=(), failed="", failed_at=0.0), now=NOW + 130)
    with open_reader(tmp_path / "ledger.db") as reader:
        found = process_notes.read(reader.notes(NOTE)[NOTE], NOW + 130, this_process())
    assert {129, 7}.isdisjoint(one.pid for one in found)
    for odd in (b"", b"{", b"3", b"[3]", b'[{"spots": []}]', b'[{"spots": 3, "x": 1}]'):
        assert process_notes.read(odd, NOW, this_process()) == []
    ledger.close()
