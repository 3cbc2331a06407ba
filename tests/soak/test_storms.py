"""Processes that are killed, stopped and forked, servers that restart, connections that break, clocks that jump."""

import subprocess
import sys
import time

import pytest

from agent_fuse.calls import to_nanos
from agent_fuse.ledgers import open_ledger
from agent_fuse.testing import LoopbackProvider, assert_books_balance
from soak.storm import Proxy, Storm, assert_nothing_is_lost

pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("ignore")]

SECONDS = 12
THREADS = 2
"""Of each worker."""
PLENTY, TIGHT = "1000", "0.50"


@pytest.mark.parametrize("budget", [PLENTY, TIGHT])
def test_workers_are_killed_and_stopped(ledger, budget):
    """At random instants, far from the cap and against it."""
    with LoopbackProvider() as provider:
        storm = Storm(provider, ledger, budget=budget)
        storm.rage(SECONDS, lambda one: one.chance.choice((one.kill_one, one.stop_one))())
        storm.over()
        found = assert_nothing_is_lost(provider, ledger, cap=to_nanos(budget, "cap"), unknown=THREADS * storm.killed)
    assert storm.killed
    assert storm.stopped
    print(f"{storm.killed} killed, {storm.stopped} stopped; served, booked, without an answer: {found}")


def test_the_server_restarts(own_server):
    """As by a crash, in the middle of everything: calls are blocked meanwhile, and what was answered is booked after.

    With `synchronous="full"`, which survives that: else the last moments of a server are gone with it.
    """
    url = own_server.database()
    restarts = 0

    def restart(storm):
        nonlocal restarts
        own_server.stop()
        time.sleep(storm.chance.uniform(0, 1))
        own_server.start()
        restarts += 1
        time.sleep(1)

    with LoopbackProvider() as provider:
        storm = Storm(provider, url, budget=PLENTY, synchronous="full")
        storm.rage(SECONDS, restart)
        storm.over()
        found = assert_nothing_is_lost(provider, url, cap=to_nanos(PLENTY, "cap"), unknown=0)
    assert restarts > 2
    assert found[0] > 50
    print(f"{restarts} restarts; served, booked, without an answer: {found}")


@pytest.mark.parametrize("budget", [PLENTY, TIGHT])
def test_connections_are_cut(postgres, budget):
    """Dropped, closed by half, delayed, refused; nothing is counted twice, for a call's id is known to the server."""
    direct = postgres.database()
    proxy = Proxy(f"{postgres.folder}/.s.PGSQL.5432")
    name = direct.partition("@/")[2].partition("?")[0]
    url = f"postgresql://agent@127.0.0.1:{proxy.port}/{name}"
    with LoopbackProvider() as provider:
        storm = Storm(provider, url, budget=budget)
        storm.rage(SECONDS, lambda one: proxy.cut(one.chance))
        storm.over()
        found = assert_nothing_is_lost(provider, direct, cap=to_nanos(budget, "cap"), unknown=0)
    proxy.close()
    assert found[0] > 50
    print(f"served, booked, without an answer: {found}")


FORKING = """
        if random.random() < 0.2:
            child = os.fork()
            if not child:
                try:
                    call(False, openai.OpenAI(base_url=url, api_key="x", max_retries=0))  # a socket of its own
                except BaseException as error:
                    os._exit(0 if isinstance(error, agent_fuse.SentinelError) else 7)
                import atexit
                atexit._run_exitfuncs()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
"""


def test_workers_fork_while_they_call(ledger):
    """One thread forks in the middle of what the other does; the child makes a call of its own, and ends."""
    with LoopbackProvider() as provider:
        storm = Storm(provider, ledger, budget=PLENTY, meanwhile=FORKING.strip())
        storm.rage(SECONDS, lambda _: None)
        storm.over()
        found = assert_nothing_is_lost(provider, ledger, cap=to_nanos(PLENTY, "cap"), unknown=0)
    assert found[0] > 50
    print(f"served, booked, without an answer: {found}")


JUMPING = """
_real, _start = time.time, random.Random(8)
def _jumping():
    return _real() + _start.choice((-7200, -60, 0, 0, 0, 60, 7200))
time.time = _jumping
"""


def test_clocks_jump(ledger):
    """Each look at the clock may be two hours off, either way: a journal line may be too, the sums are not."""
    with LoopbackProvider() as provider:
        storm = Storm(provider, ledger, budget=TIGHT, prelude=JUMPING)
        storm.rage(SECONDS, lambda one: one.stop_one())
        storm.over()
        # A hold that a clock two hours ahead calls expired is presumed spent; its answer corrects it.
        found = assert_nothing_is_lost(provider, ledger, cap=to_nanos(TIGHT, "cap"), unknown=0)
    print(f"served, booked, without an answer: {found}")


HOST = """
import socket, sys, threading
socket.sethostname(sys.argv[1])
import agent_fuse
agent_fuse.init(budget=sys.argv[3], db_path=sys.argv[2], session_id="s", warn_at="none", lease=sys.argv[4] == "lease")
print("ready", flush=True)
sys.stdin.readline()
made = [0] * 4

def work(n):
    try:
        while True:
            with agent_fuse.call("gpt-4o", 1_000, 500) as one:
                one.usage(1_000, 500)
            made[n] += 1
    except agent_fuse.SentinelBudgetExceeded:
        return

threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for one in threads: one.start()
for one in threads: one.join()
print(sum(made), flush=True)
"""


@pytest.mark.parametrize("lease", ["plain", "lease"])
def test_two_hosts(server_url, lease):
    """Processes of two hosts, each with a network and a name of its own, race for a cap of 400 calls: 400 are made."""
    alone = ["unshare", "-n", "-u"]
    try:
        allowed = subprocess.run([*alone, "true"], check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if allowed.returncode:
        pytest.skip(f"namespaces are not allowed here: {allowed.stderr.decode().strip()}")
    command = [*alone, sys.executable, "-c", HOST]
    racing = [
        subprocess.Popen(
            [*command, host, server_url, "3.00", lease], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for host in ("one", "one", "two", "two")
    ]
    for one in racing:
        assert one.stdout.readline() == "ready\n"
    for one in racing:
        one.stdin.write("\n")
        one.stdin.flush()
    made = [int(one.communicate(timeout=50)[0]) for one in racing]
    ledger = open_ledger(server_url)
    assert ledger.balances(["session=s"])["session=s"].settled.usd == sum(made) * 7_500_000
    assert sum(made) == 400, made
    assert_books_balance(ledger)
    ledger.close()
