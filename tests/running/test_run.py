"""`agent-fuse run`: a program that knows nothing of it is guarded, and notices nothing else."""

import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest

from running.conftest import BIN

BY_HAND = """
import sys
import agent_fuse
def spend(times=1):
    for _ in range(times):
        with agent_fuse.call("gpt-4o", 1000, 500) as made:
            made.usage(1000, 500)
"""
"""Spends $0.0075 a time without loading an SDK."""


def test_an_unmodified_agent_is_stopped(place):
    """What it may spend is said first, the trip ends it as any exception would, what it spent is said last."""
    ran = place.run("--budget", "0.03", "agent.py")
    assert (ran.status, ran.requests) == (1, 4), ran.err
    assert "the agent goes on" not in ran.out
    first, last = ran.lines
    assert first.startswith(f"guarding $0.03 per session; ledger {place.ledger}; requests of openai 3."), first
    assert last == "spent $0.03 in 4 calls; 1 refused"
    lines = ran.err.splitlines()
    assert lines[0].endswith(first)
    assert lines[-1].endswith(last)
    assert lines[-2].startswith("agent_fuse.errors.SentinelBudgetExceeded: call to gpt-4o refused")


def test_what_comes_back_is_the_programs_own(place):
    """Output, arguments, standard input and exit status are the program's; `--quiet` adds nothing to them."""
    place.write("echo.py", "import sys\nprint(sys.argv, sys.stdin.read(), sys.flags.dev_mode)\nsys.exit(7)\n")
    read, write = os.pipe()
    os.write(write, b"typed")
    os.close(write)
    ran = place.run("--quiet", "echo.py", "--budget", "x", "-m", "--", "é", stdin=read)
    os.close(read)
    assert (ran.status, ran.err) == (7, "")
    assert ran.out == "['echo.py', '--budget', 'x', '-m', '--', 'é'] typed False\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_death_by_signal(place, number):
    """A program that a signal ends is told of as a shell would, 128 and its number, and what it spent is still said."""
    place.write("dies.py", f"{BY_HAND}\nspend(2)\nimport os\nos.kill(os.getpid(), {int(number)})")
    ran = place.run("dies.py")
    assert ran.status == 128 + number
    assert ran.lines[-1] == "spent $0.015 in 2 calls; 0 refused"


SIGNALLED = """
import os, signal, sys, time
got = []
for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGTTIN"):
    signal.signal(getattr(signal, name), lambda number, _: got.append(signal.Signals(number).name))
print("ready", os.isatty(0), flush=True)
until = time.monotonic() + 20
while len(set(got)) < int(sys.argv[1]) and time.monotonic() < until:
    time.sleep(0.02)
time.sleep(0.2)
print("got", sorted(got), flush=True)
sys.exit(3)
"""


def test_signals_go_through(place):
    """Each signal that is sent to agent-fuse arrives at the program, once."""
    place.write("signalled.py", SIGNALLED)
    with place.start("signalled.py", "5") as started:
        assert started.stdout.readline().startswith("ready")
        for one in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN, signal.SIGTERM):
            started.send_signal(one)
        out, err = started.communicate(timeout=60)
    assert out == "got ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGTTIN', 'SIGUSR1']\n"
    assert started.returncode == 3
    assert err.endswith("agent-fuse: spent $0.00 in 0 calls; 0 refused\n")


def test_a_terminal_goes_through(place):
    """The program has the terminal; Ctrl-C there reaches it once, and agent-fuse has the last word all the same."""
    place.write("signalled.py", SIGNALLED)
    child, terminal = pty.fork()
    if not child:
        try:
            os.chdir(place.folder)
            command = [str(BIN / "agent-fuse"), "run", "signalled.py", "2"]
            os.execvpe(command[0], command, place.environ())
        finally:
            os._exit(99)
    seen = b""
    while not (found := re.search(rb"ready (\w+)\r\n", seen)):
        seen += os.read(terminal, 1024)
    assert found[1] == b"True"
    os.write(terminal, b"\x03")
    time.sleep(0.2)
    os.kill(child, signal.SIGTERM)
    while True:
        try:
            more = os.read(terminal, 1024)
        except OSError:  # the other end is closed
            break
        if not more:
            break
        seen += more
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert b"got ['SIGINT', 'SIGTERM']" in seen
    assert seen.splitlines()[-1] == b"agent-fuse: spent $0.00 in 0 calls; 0 refused"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a program's life to another's")
def test_the_program_does_not_outlive_a_killed_agent_fuse(place):
    """Who kills agent-fuse by force means what it runs."""
    place.write("signalled.py", SIGNALLED)
    with place.start("signalled.py", "1", stderr=subprocess.DEVNULL) as started:
        assert started.stdout.readline().startswith("ready")
        started.kill()
        started.wait()
        assert started.stdout.read() == ""  # the pipe closes when the last that holds it is gone


WORKERS = f"""
{BY_HAND}
import multiprocessing, os, subprocess
def work(kind):
    from agent_fuse.otel.process_guard import process_guard
    try:
        spend(2)
    except agent_fuse.SentinelBudgetExceeded:
        print(kind, "refused", flush=True)
    else:
        print(kind, "ran", process_guard() is not None, flush=True)
if __name__ == "__main__":
    for kind in ("spawn", "fork"):
        one = multiprocessing.get_context(kind).Process(target=work, args=(kind,))
        one.start()
        one.join()
    subprocess.run([sys.executable, "-c", "import workers; workers.work('subprocess')"], check=True)
    if not os.fork():
        work("os.fork")
        os._exit(0)
    os.wait()
"""


def test_workers_are_guarded_and_share_what_the_run_may_spend(place):
    """Processes spawned, forked or started as programs of their own are guarded, on one budget, and counted."""
    place.write("workers.py", WORKERS)
    ran = place.run("--budget", "0.05", "workers.py")
    assert ran.out.split("\n") == ["spawn ran True", "fork ran True", "subprocess ran True", "os.fork refused", ""]
    assert [line.partition(" ")[0] for line in ran.lines] == ["guarding", "spent"]
    assert ran.lines[-1] == "spent $0.045 in 6 calls; 1 refused"


def test_the_programs_own_limits_hold(place):
    """A program that calls `init()`, or has a processor of its own, is judged once, by its own limits; it is said."""
    place.write("init.py", f"{BY_HAND}\nagent_fuse.init(budget=0.02)\nspend(3)")
    ran = place.run("--budget", "0.05", "init.py")
    assert ran.status == 1
    assert ran.lines[1:] == [
        "the program sets limits of its own, which hold from here on: $0.02 per session",
        "spent $0.015 in 2 calls; 1 refused",
    ]
    place.write(
        "processor.py",
        f"""{BY_HAND}
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(agent_fuse.AgentFuseSpanProcessor(budget=0.02))
tracer = trace.get_tracer("t")
for _ in range(3):
    with tracer.start_as_current_span("chat", attributes={{"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}}) as span:
        span.set_attribute("gen_ai.usage.input_tokens", 1000)
        span.set_attribute("gen_ai.usage.output_tokens", 500)
""",
    )
    ran = place.run("--budget", "0.05", "processor.py")
    assert ran.status == 1
    assert ran.lines[-1] == "spent $0.015 in 2 calls; 1 refused"


def test_spans_are_seen_whatever_becomes_of_the_provider(place):
    """Spans are judged while no provider is set, at one that is set later, and at one that is never set."""
    place.write(
        "providers.py",
        """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
import agent_fuse
early = trace.get_tracer("early")
def tried(tracer):
    try:
        span = tracer.start_span("chat", attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"})
    except agent_fuse.SentinelBudgetExceeded:
        return "refused"
    return "passed"
print(tried(early), tried(TracerProvider().get_tracer("aside")))
mine = TracerProvider()
trace.set_tracer_provider(mine)
print(tried(early), tried(trace.get_tracer("late")), trace.get_tracer_provider() is mine)
mine.shutdown()
print(tried(early))
""",
    )
    ran = place.run("--budget", "0", "providers.py")
    assert ran.out == "refused refused\nrefused refused True\nrefused\n", ran.err


def test_the_next_sitecustomize_has_its_turn(place):
    """A sitecustomize that the environment brings is loaded as ever, and ours is not in the way of anything."""
    theirs = place.write("path/sitecustomize.py", "import sys\nprint('theirs in', sys.orig_argv[-1], flush=True)")
    place.write(
        "seen.py", "import sys, sitecustomize\nprint(sitecustomize.__file__, [p for p in sys.path if 'boot' in p])"
    )
    ran = place.run("seen.py", environ={"PYTHONPATH": str(theirs.parent)})
    # agent-fuse is a Python itself.
    assert ran.out == f"theirs in seen.py\ntheirs in seen.py\n{theirs} []\n", ran.err


def test_beside_opentelemetry_instrument(place):
    """A telemetry set-up that fails takes neither the guard nor its last words away."""
    words = ("--budget", "0.03", "--", "opentelemetry-instrument", sys.executable, "agent.py")
    environ = {"OTEL_TRACES_EXPORTER": "nonesuch"}  # so its configurator fails
    ran = place.run(*words, environ=environ)
    assert (ran.status, ran.requests) == (1, 4), ran.err
    assert "Requested component 'nonesuch' not found" in ran.err
    assert [line.partition(" ")[0] for line in ran.lines] == ["guarding", "spent"]
    assert ran.lines[-1] == "spent $0.03 in 4 calls; 1 refused"
