"""AgentFuse's own work makes no spans of others: a ledger that talks through an instrumented library stays unseen."""

import inspect
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent_fuse.fuse import Fuse
from agent_fuse.ledgers.base import Ledger
from agent_fuse.ledgers.memory import MemoryLedger
from agent_fuse.otel.quiet import QuietLedger, quiet
from agent_fuse.settings import settings
from agent_fuse.sightings import Outcome

from .desk import Desk

METHODS = [name for name, member in vars(Ledger).items() if inspect.isfunction(member) and not name.startswith("_")]


@pytest.fixture
def talking():
    """Makes a ledger that asks a server at each method, through an instrumented client; and what spans that made."""

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    exporter, tracing = InMemorySpanExporter(), TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(exporter))
    client = httpx.Client(trust_env=False)
    HTTPXClientInstrumentor.instrument_client(client, tracer_provider=tracing)
    address = f"http://127.0.0.1:{server.server_port}/"

    class Talking(MemoryLedger):
        """A ledger on another machine."""

        def accounts(self):
            for one in super().accounts():
                client.get(address)
                yield one

        def journal(self, *, since=0, limit=None):
            for one in super().journal(since=since, limit=limit):
                client.get(address)
                yield one

    def talk(name):
        def method(self, *args, **kwargs):
            client.get(address)
            return getattr(MemoryLedger, name)(self, *args, **kwargs)

        return method

    for name in METHODS:
        if name not in ("accounts", "journal"):
            setattr(Talking, name, talk(name))
    yield Talking, exporter, lambda: client.get(address)
    client.close()
    server.shutdown()
    thread.join()
    server.server_close()


def work(ledger: Ledger) -> None:
    """Every method of a ledger, most of them through a fuse."""
    desk = Desk(Fuse(settings({}, limits=()), ledger), None, None)
    desk.call()
    desk.fuse.close_call(desk.open(), outcome=Outcome.FAILED)
    ledger.refuse(next(ledger.journal()), ["x"], now=0)
    ledger.sweep(now=0)
    ledger.prune(before=0)
    ledger.balances(["all"])
    ledger.holds()
    ledger.update_note("n", lambda note: (b"x", None), now=0)
    list(ledger.accounts())
    list(ledger.journal())
    ledger.close()


def test_the_quiet_ledger_is_unseen_and_says_the_same(talking):
    """The same work makes spans without the wrapper, and none with it; spans of the caller's own go on."""
    make, exporter, get = talking
    work(make())
    assert len(exporter.get_finished_spans()) > 12
    exporter.clear()
    ledger = QuietLedger(make())
    work(ledger)
    assert exporter.get_finished_spans() == ()
    for _ in ledger.accounts():
        get()
    assert len(exporter.get_finished_spans()) == 2, "the caller's own request inside a loop over accounts is seen"


def test_it_has_every_method_of_a_ledger():
    """Whatever the contract gains, the wrapper must gain."""
    assert set(METHODS) <= set(vars(QuietLedger))


def test_only_ledgers_that_can_be_seen_are_wrapped():
    """SQLite through apsw and memory need no wrapper, so they have none on the path of every call."""
    memory = MemoryLedger()
    assert quiet(lambda: memory, "memory://") is memory
    assert isinstance(quiet(lambda: memory, "postgresql://host/db"), QuietLedger)
