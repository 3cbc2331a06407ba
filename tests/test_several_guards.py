"""Several guards in one process: what `init` does beside another, and what a replaced one leaves behind."""

import gc
import os
from pathlib import Path
from weakref import ref

import openai
import pytest
from opentelemetry.sdk.trace import TracerProvider

import agent_fuse
from agent_fuse import AgentFuseSpanProcessor, read_ledger
from agent_fuse.accounting import backlog as backlogs
from agent_fuse.calls import Usage
from agent_fuse.otel.opening import open_fuse
from agent_fuse.settings import settings
from agent_fuse.testing import LedgerReader, LoopbackProvider
from alone import leave_nobody


@pytest.fixture(autouse=True)
def _alone():
    leave_nobody()
    yield
    leave_nobody()


MODEL_SPAN = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.request.max_tokens": 10}
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
    gc.collect()
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


def replace_fuse(processor, folder, budget=1):
    processor.use(open_fuse(settings({}, budget=budget, db_path=str(folder / "l.db"))))


def test_a_processor_that_was_shut_down_keeps_nothing(tmp_path):
    """Its provider keeps it for ever, but neither its fuse nor a file; a span open then is still booked at its end."""
    tracing = TracerProvider(shutdown_on_exit=False)
    by = tracing.get_tracer("some.genai.scope")
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.request.max_tokens": 10}
    gc.collect()
    files, books, gone = open_files() if FILES.is_dir() else 0, [], []
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
        assert open_files() <= files
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
    gc.collect()
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


def test_what_happens_in_an_open_call_stays_with_its_fuse(tmp_path):
    """The request of a call that is open when its fuse is replaced is that call: one hold, one line, in one ledger."""
    processor = AgentFuseSpanProcessor(budget=1, db_path=str(tmp_path / "old.db"), session_id="s")
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(processor)
    tracer = tracing.get_tracer("some.genai.scope")
    with LoopbackProvider() as provider, openai.OpenAI(base_url=provider.openai_base_url, api_key="x") as client:
        with tracer.start_as_current_span("chat", attributes=MODEL_SPAN), agent_fuse.call("gpt-4o", 10, 10):
            processor.use(open_fuse(settings({}, budget=1, db_path=str(tmp_path / "new.db"), session_id="s")))
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    for name in ("old.db", "new.db"):
        with read_ledger(str(tmp_path / name)) as books:
            assert [one.status for one in books.entries()] == ["settled"]
            assert books.balances(["all"])["all"].held.usd == 0


@pytest.mark.parametrize("way", ["by hand", "span", "tool"])
def test_a_call_is_closed_by_the_fuse_that_let_it_go(tmp_path, monkeypatch, way):
    """Whenever the settings are replaced, a call is held, settled and counted in the books of one fuse."""
    processor = AgentFuseSpanProcessor(budget=1, db_path=str(tmp_path / "old.db"), session_id="s")
    real, swap = processor.gates.caller, []

    def caller(*args, **kwargs):
        found = real(*args, **kwargs)
        if swap:
            processor.use(swap.pop())  # as another thread may at this very moment
        return found

    monkeypatch.setattr(processor, "caller", caller)  # asked by requests and by hand
    monkeypatch.setattr(processor.gates, "caller", caller)  # asked when a span starts
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(processor)
    old = processor.fuse
    swap.append(open_fuse(settings({}, budget=1, db_path=str(tmp_path / "new.db"), session_id="s")))
    if way == "by hand":
        with agent_fuse.call("gpt-4o", 10, 10) as call:
            call.usage(10, 10)
    elif way == "tool":
        agent_fuse.check_loop("search", {"for": "it"})
    else:
        with tracing.get_tracer("some.genai.scope").start_as_current_span("chat", attributes=MODEL_SPAN):
            pass
    assert processor.fuse is not old
    assert (old.open_calls(), processor.fuse.open_calls()) == (0, 0)
    with read_ledger(str(tmp_path / "old.db")) as books:
        assert len(list(books.entries())) == 1
        assert books.balances(["all"])["all"].held.usd == 0


def lost_span(tracer):
    tracer.start_span("chat", attributes=MODEL_SPAN)


def whole_span(tracer):
    with tracer.start_as_current_span("chat", attributes=MODEL_SPAN):
        pass


def tool(_):
    agent_fuse.check_loop("search", {"for": os.urandom(4)})


def in_a_session(_):
    with agent_fuse.session("s", budget=1):
        by_hand()
        agent_fuse.monitor()


def hand(_):
    by_hand()


@pytest.mark.parametrize("way", [lost_span, whole_span, tool, in_a_session, hand], ids=lambda way: way.__name__)
def test_calls_of_any_kind_keep_no_replaced_fuse(tmp_path, way):
    """Whatever was called, also a span that is dropped without an end: one fuse lives in the end."""
    processor = AgentFuseSpanProcessor(budget=1, db_path=str(tmp_path / "l.db"))
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(processor)
    tracer = tracing.get_tracer("some.genai.scope")
    gone = []
    for _ in range(10):
        way(tracer)
        gone.append(ref(processor.fuse))
        replace_fuse(processor, tmp_path)
    way(tracer)
    gc.collect()
    assert [one() for one in gone] == [None] * 10
