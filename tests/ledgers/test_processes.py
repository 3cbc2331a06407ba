"""Processes that fork, die and sweep: the books stay right, and the dead pay what they held."""

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from agent_fuse.calls import Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.owners import Owner, is_dead, this_process
from agent_fuse.testing import assert_books_balance
from ledgers.samples import NOW, hold, line, reserve, usd
from ledgers.workers import SPAWN, first_open, hold_and_wait, kill, running, sweep, together, work_until_killed

ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


def test_killed_owner_is_presumed_once(file):
    """SIGKILL between reserve and settle: the next sweep, and only that, books the call at its quote."""
    ledger, ready = open_ledger(file), SPAWN.Event()
    with running(hold_and_wait, file, ["c"], ready) as process:
        assert ready.wait(120)
        assert ledger.sweep(now=NOW) == []
        assert usd(ledger) == (0, 10)
        kill(process)
    assert ledger.sweep(now=NOW) == [line("c", 10, Status.PRESUMED, reason="owner died")]
    assert ledger.sweep(now=NOW) == []
    assert usd(ledger) == (10, 0)
    assert_books_balance(ledger)


def test_a_hold_that_outlives_its_process_is_not_swept(file):
    """What a provider goes on with after its caller was killed stays held until it expires, and is booked then."""
    ledger, ready = open_ledger(file), SPAWN.Event()
    with running(hold_and_wait, file, ["c"], ready, True) as process:
        assert ready.wait(120)
        kill(process)
    assert ledger.sweep(now=NOW) == []
    assert usd(ledger) == (0, 10)
    assert ledger.sweep(now=NOW + 600) == [line("c", 10, Status.PRESUMED, reason="expired")]
    assert usd(ledger) == (10, 0)


def test_sweepers_at_once_presume_each_call_once(file):
    """Four processes sweep at the same time what a killed one left: every call is presumed by exactly one of them."""
    names, ready = [f"c{n:03}" for n in range(500)], SPAWN.Event()
    with running(hold_and_wait, file, names, ready):
        assert ready.wait(120)
    found = together(sweep, [()] * 4, file)
    assert sorted(call for one in found for call in one) == names
    ledger = open_ledger(file)
    assert usd(ledger) == (5000, 0)
    assert_books_balance(ledger)


def test_killed_in_the_middle_of_everything(file):
    """Processes killed while they hammer leave books that balance, and a database that is whole."""
    watching = open_ledger(file)

    def lines():
        return len(list(watching.journal()))

    for turn in range(3):
        ready = [SPAWN.Event() for _ in range(2)]
        with (
            running(work_until_killed, file, f"a{turn}", ready[0]),
            running(work_until_killed, file, f"b{turn}", ready[1]),
        ):
            assert all(one.wait(120) for one in ready)
            written = 60 * (turn + 1) + turn
            deadline = time.monotonic() + 120
            while lines() < written and time.monotonic() < deadline:
                time.sleep(0.005)
    ledger = open_ledger(file)
    assert_books_balance(ledger)
    assert lines() >= 180
    ledger.sweep(now=NOW)
    assert ledger.holds() == []
    assert_books_balance(ledger)
    ledger.close()
    watching.close()
    assert apsw.Connection(str(file)).pragma("integrity_check") == "ok"


def test_many_open_a_new_file_at_once(file):
    """Six processes open a file that is not there yet: all get a ledger, the same one."""
    assert together(first_open, [()] * 6, file) == [True] * 6
    assert usd(open_ledger(file)) == (0, 6)


FORKING = """
import os, sys, threading
from agent_fuse.ledgers import open_ledger
from ledgers.samples import NOW, amounts, line, reserve

ledger = open_ledger(sys.argv[1])
stop = threading.Event()

def pairs(name, count):
    for n in range(count):
        reserve(ledger, f"{name}.{n}", 10)
        ledger.settle(line(f"{name}.{n}", 9), (), amounts(9), now=NOW)

def hammer(name):
    n = 0
    while not stop.is_set():
        pairs(f"{name}.{n}", 5)
        list(ledger.journal(limit=50))
        n += 1

threads = [threading.Thread(target=hammer, args=(f"t{n}",)) for n in range(3)]
for thread in threads:
    thread.start()
children = []
for n in range(8):
    child = os.fork()
    if child == 0:
        try:
            pairs(f"child{n}", 30)
            if n % 2:
                grandchild = os.fork()
                if grandchild == 0:
                    pairs(f"grandchild{n}", 30)
                    os._exit(0)
                assert os.waitpid(grandchild, 0)[1] == 0
            if n % 3 == 0:
                sys.exit(0)  # the long way out, through the interpreter's end
        except BaseException as error:
            if not isinstance(error, SystemExit):
                import traceback
                traceback.print_exc()
                os._exit(1)
            raise
        os._exit(0)
    children.append(child)
    pairs(f"parent{n}", 5)
failed = [child for child in children if os.waitpid(child, 0)[1]]
stop.set()
for thread in threads:
    thread.join()
print(len(failed))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_while_in_use(file, run_python, monkeypatch):
    """Children forked while threads use the ledger use it too; nobody hangs, fails, or loses a call."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([path for path in sys.path if path]))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore::DeprecationWarning")
    assert run_python(FORKING, str(file)).stdout.split() == ["0"]
    ledger = open_ledger(file)
    ids = [one.id for one in ledger.journal()]
    assert sum(one.startswith("child") for one in ids) == 8 * 30
    assert sum(one.startswith("grandchild") for one in ids) == 4 * 30
    assert sum(one.startswith("parent") for one in ids) == 8 * 5
    assert usd(ledger) == (9 * len(ids), 0)
    assert_books_balance(ledger)
    ledger.close()
    assert apsw.Connection(str(file)).pragma("integrity_check") == "ok"


PARENT_CLOSES = """
import os, sys
from agent_fuse.ledgers import open_ledger
from ledgers.samples import *

ledger = open_ledger(sys.argv[1])
reserve(ledger, "before", 1)
to_child, to_parent = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    reserve(ledger, "c1", 10)
    os.write(to_parent[1], b"x")
    os.read(to_child[0], 1)
    reserve(ledger, "c2", 100)
    os._exit(0)
os.read(to_parent[0], 1)
reserve(ledger, "p", 1000)
ledger.close()
os.write(to_child[1], b"x")
assert os.waitpid(child, 0)[1] == 0
print(usd(ledger))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_parent_closes_while_its_child_writes(file, run_python):
    """A parent that closes does not take itself for the last one: what a forked child writes afterwards is kept."""
    done = run_python(f"import sys; sys.path[:0] = {sys.path!r}\n{PARENT_CLOSES}", str(file))
    assert done.stdout == "(0, 1111)\n"


OUTLIVED = """
import os, sys, threading, time
from agent_fuse.ledgers import open_ledger

ledger = open_ledger(sys.argv[1], lock_timeout=0.3)
inside = threading.Event()

def stay(_):
    inside.set()
    time.sleep(600)

threading.Thread(target=lambda: ledger.update_note("k", stay, now=0), daemon=True).start()
inside.wait()
child = os.fork()
if child == 0:
    time.sleep(600)
print(child, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_child_does_not_keep_its_dead_parents_lock(file):
    """A parent is killed in the middle of a write, and a child forked meanwhile lives on: others can write."""
    parent = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", OUTLIVED, str(file)], stdout=subprocess.PIPE, text=True
    )
    try:
        child = int(parent.stdout.readline())
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    try:
        assert reserve(open_ledger(file, lock_timeout=20), "c", 1)
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_memory_ledger_is_two(run_python):
    """After a fork in the middle of a change, parent and child each have the whole books, and go on alone."""
    script = """
import os, sys, threading
from agent_fuse.ledgers import open_ledger
from ledgers.samples import reserve, usd
ledger = open_ledger("memory://")
reserve(ledger, "c", 1)
locked, done = threading.Event(), threading.Event()

def stay(_):
    locked.set()
    done.wait(0.5)
    return None, None

threading.Thread(target=lambda: ledger.update_note("k", stay, now=0)).start()
locked.wait()
child = os.fork()
thread = threading.Thread(target=lambda: reserve(ledger, "d", 10 if child else 100))
thread.start()
thread.join()
os.write(1, f"{usd(ledger)[1]}\\n".encode())
if child:
    os.waitpid(child, 0)
"""
    ignore = "import warnings; warnings.simplefilter('ignore')\n"
    done = run_python(f"import sys; sys.path[:0] = {sys.path!r}\n{ignore}{script}")
    assert sorted(done.stdout.split()) == ["101", "11"]


def test_the_living_are_not_dead():
    """This process lives, and so does one whose number says nothing here."""
    here = this_process()
    assert here.pid == os.getpid()
    assert not is_dead(here, here=here)
    assert not is_dead(replace(here, host="elsewhere", pid=2**22 + 1), here=here)


@ON_LINUX
def test_the_dead_are_dead():
    """A process that ended, one that waits to be buried, and one whose number another has now, are all dead."""
    here = this_process()
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner(host=here.host, pid=process.pid, started=_started(process.pid))
    assert not is_dead(owner, here=here)
    assert not is_dead(replace(owner, started=0), here=here)
    assert is_dead(replace(owner, started=owner.started - 1), here=here)
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(owner, here=here), "a zombie"
    process.wait()
    assert is_dead(owner, here=here)


@ON_LINUX
def test_before_the_machine_started_anew(file, monkeypatch):
    """What was open then is presumed spent by the first sweep after, for a file; another machine's or container's is not."""
    here, ledger = this_process(), open_ledger(file)
    name, boot, space = here.host.split(" ")
    others = {
        "before": f"{name} 0-{boot} {space}",
        "container": f"{name} {boot} {space}0",
        "far": f"x 0-{boot} {space}",
    }
    for call, host in others.items():
        monkeypatch.setattr(ledger, "_owner", replace(here, host=host))
        assert reserve(ledger, call, 10)
    monkeypatch.setattr(ledger, "_owner", here)
    assert ledger.sweep(now=NOW) == [line("before", 10, Status.PRESUMED, reason="owner died")]
    assert usd(ledger) == (10, 20)


@ON_LINUX
def test_number_used_again(file):
    """A hold of a process whose number is now another's is presumed, though a process of that number lives."""
    ledger = open_ledger(file)
    reserve(ledger, "old", 10)
    db = apsw.Connection(str(file))
    db.execute("UPDATE holds SET started = started - 1")
    db.close()
    reserve(ledger, "new", 5)
    assert [one.id for one in ledger.sweep(now=NOW)] == ["old"]
    assert usd(ledger) == (10, 5)


CONTAINER = """
import sys, time
from agent_fuse.ledgers import open_ledger
from ledgers.samples import NOW, reserve
ledger = open_ledger(sys.argv[1])
reserve(ledger, "inside", 10)
print([one.id for one in ledger.sweep(now=NOW)], flush=True)
sys.stdin.read()
"""


@ON_LINUX
def test_owner_in_another_container_is_not_judged(file):
    """Processes of two pid namespaces share a file: neither sweeps the other's holds before they expire."""
    unshare = shutil.which("unshare")
    command = [unshare or "unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if not unshare or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("pid namespaces are not allowed here")
    ledger, ready = open_ledger(file), SPAWN.Event()
    with running(hold_and_wait, file, ["outside"], ready):
        assert ready.wait(120)
        process = subprocess.Popen(
            [*command, sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{CONTAINER}", str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout.readline() == "[]\n"
            assert ledger.sweep(now=NOW) == []
            assert {one.entry.id for one in ledger.holds()} == {"inside", "outside"}
            process.stdin.close()
    assert [one.id for one in ledger.sweep(now=NOW)] == ["outside"]
    assert [one.id for one in ledger.sweep(now=NOW + 600)] == ["inside"]


def test_hold_says_who_took_it(file):
    """A hold carries host, process and start time, so that any process of the machine can judge its owner."""
    ledger = open_ledger(file)
    ledger.reserve(hold("c"), now=NOW)
    row = apsw.Connection(str(file)).execute("SELECT host, pid, started FROM holds").fetchone()
    here = this_process()
    assert row == (here.host, here.pid, here.started)
    assert row[0].startswith(platform.node())


def _started(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
