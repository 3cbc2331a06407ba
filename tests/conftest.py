"""What every test gets: a clean environment, a home of its own, and no network but loopback."""

import functools
import gc
import ipaddress
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import certifi
import pytest
from hypothesis import HealthCheck, settings
from opentelemetry import context, trace

import at_rest
from boxes import box  # noqa: F401  a fixture for every test
from browsers import browser  # noqa: F401  another
from elsewhere import _forks, begun, elsewhere  # noqa: F401  others
from postgres_server import own_server, postgres  # noqa: F401  others
from unpatch import restored

FOREIGN = ("OTEL_", "AGENTFUSE_", "OPENAI_", "ANTHROPIC_", "LANGSMITH_", "LANGCHAIN_", "LANGGRAPH_", "TRACELOOP_")
"""Environment variables that would change what the libraries under test do."""

for name in [name for name in os.environ if name.startswith(FOREIGN)]:
    del os.environ[name]
os.environ["AGENTFUSE_BUSY_WAIT"] = "0"
"""A refusal is waited for in tests of waiting alone (test_waiting.py)."""

_trusting = ssl.create_default_context
_WORLD = certifi.where()
_trusting_the_world = functools.cache(lambda: _trusting(cafile=_WORLD))


def _trust(*args: Any, **options: Any) -> ssl.SSLContext:
    """What every HTTP client makes anew, of two hundred certificates: for all of these one is enough."""
    return _trusting_the_world() if not args and options == {"cafile": _WORLD} else _trusting(*args, **options)


ssl.create_default_context = _trust

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("house"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "house")


PROGRAMS = tuple(
    f"tests/{name}.py"
    for name in (
        "cli/test_behaviour",
        "cli/test_both_ledgers",
        "cli/test_doctor",
        "cli/test_ledger",
        "cli/test_report",
        "collector/test_collector",
        "dashboard/test_accessible",
        "dashboard/test_answers",
        "dashboard/test_connection",
        "dashboard/test_door",
        "dashboard/test_odd_texts",
        "dashboard/test_page",
        "dashboard/test_waiting",
        "ledgers/test_fleets",
        "ledgers/test_pooler",
        "ledgers/test_processes",
        "running/test_refusing",
        "running/test_run",
        "running/test_servers",
        "test_compared_processes",
        "test_control",
        "test_docs",
        "test_enforcement",
        "test_examples",
        "test_frameworks_page",
        "test_howtos",
        "test_instrumented_when_used",
        "test_interrupted_roads",
        "test_limits_file",
        "test_original_readme",
        "test_pausing",
        "test_recipes",
        "test_refused_spans",
        "test_server_restarts",
        "test_start",
        "test_survey",
        "test_tools_unseen",
        "test_web",
        "test_webhook",
        "test_zero_code",
        "testing_provider/test_load",
    )
)
"""Files whose tests start whole programs, servers and browsers, or interrupt a call at each of its instants: they take
longer than all the others together."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test` leaves to `make test-programs`."""
    for item in items:
        if item.nodeid.startswith(PROGRAMS):
            item.add_marker(pytest.mark.programs)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each worker runs the same tests in the same order every time."""
    from shares import Shares  # whose base is not there where xdist is turned off

    return Shares(config, log) if config.option.dist == "loadfile" else None


def pytest_collection_finish() -> None:
    """What is imported is here to stay: the collector, which many tests run, need not look at it each time."""
    gc.collect()
    gc.freeze()


def is_local(host: object) -> bool:
    """Whether a host name or address is this machine's loopback."""
    if host in (None, "", "localhost", b"localhost"):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for the network fails, past every `except Exception` on the way."""
    real_connect, real_connect_ex, real_lookup = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(host: object) -> None:
        if not is_local(host):
            pytest.fail(f"the test reached for {host!r}; tests may use loopback only")

    def connect(self: socket.socket, address: object) -> None:
        if self.family != socket.AF_UNIX:
            check(address[0])
        real_connect(self, address)

    def connect_ex(self: socket.socket, address: object) -> int:
        if self.family != socket.AF_UNIX:
            check(address[0])
        return real_connect_ex(self, address)

    def lookup(host: object, *args: object, **options: object) -> list:
        check(host)
        return real_lookup(host, *args, **options)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", lookup)


def _left_on_the_process() -> list[Any]:
    """Guards that stand on the global provider, or on the private one of `init`."""
    api = sys.modules.get("agent_fuse.api")
    providers = (trace.get_tracer_provider(), api._private) if api is not None else ()
    found = (getattr(one, "_active_span_processor", None) for one in providers)
    those = (one for many in found for one in getattr(many, "_span_processors", ()))
    return [one for one in those if type(one).__name__ == "AgentFuseSpanProcessor"]


@pytest.fixture(autouse=True, scope="module")
def _nothing_left_behind() -> Iterator[None]:
    """What a module instruments is taken out after it, and its processors guard nothing any more."""
    with restored():
        yield
    for one in _left_on_the_process():
        one.shutdown()
    active = sys.modules.get("agent_fuse.otel.active")
    if active is not None:
        active._guards = ()


@pytest.fixture(autouse=True)
def _nothing_under_way() -> None:
    """No call of an earlier test is under way, nothing was said before, and OpenTelemetry's context holds nothing.

    Traceloop's langchain attaches "no other instrumentation" to it and, where a call is refused, never takes it out.
    """
    context.attach(context.Context())
    at_rest.forget()


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home folder of the test's own, so that no test sees or touches the real ~/.agent_fuse."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    return folder


@pytest.fixture
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script in a fresh interpreter, in the test's clean environment; its output comes back as text."""

    def run(script: str, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", script, *args], capture_output=True, text=True, timeout=120, check=False
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done

    return run
