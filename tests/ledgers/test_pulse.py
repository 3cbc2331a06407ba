"""Processes of other machines: told alive by their pulse, whatever their clocks say; the dead give back what they held."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from agent_fuse.calls import Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Refusal
from agent_fuse.ledgers.postgres import queries
from agent_fuse.testing import assert_books_balance
from ledgers.samples import amounts, cap, hold, line, usd

pytest.importorskip("psycopg")

DAY = 86_400.0
ELSEWHERE = """
import socket, sys, time
socket.sethostname("elsewhere")
from agent_fuse.ledgers import open_ledger
from ledgers.samples import amounts, cap, hold, line
url, ahead, lasts = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
ledger = open_ledger(url)
now = time.time() + ahead
ledger.reserve(hold("far", 60, expires_at=now + lasts), now=now)
print("holds", flush=True)
for asked in sys.stdin:
    print(ledger.settle(line("far", 40), ("all",), amounts(40), now=time.time() + ahead).name, flush=True)
"""
"""A process of another host, whose clock is so far ahead, holds 60 for so long, and books 40 when it is asked."""


class Elsewhere:
    """It, once its pulse has been heard of."""

    def __init__(self, postgres, url, *, ahead=0.0, lasts=3600.0):
        alone = ["unshare", "-u"]
        try:
            allowed = subprocess.run([*alone, "true"], check=False, capture_output=True)
        except FileNotFoundError:
            pytest.skip("there is no unshare")
        if allowed.returncode:
            pytest.skip(f"namespaces are not allowed here: {allowed.stderr.decode().strip()}")
        self._say = lambda *said: postgres.say(url.partition("@/")[2].partition("?")[0], *said)
        command = [*alone, sys.executable, "-c", ELSEWHERE, url, str(ahead), str(lasts)]
        place = str(Path(__file__).parents[1])
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": place}
        )
        assert self.process.stdout.readline() == "holds\n"
        until = time.monotonic() + 60
        while not self.pulses():
            assert time.monotonic() < until
            time.sleep(0.1)

    def pulses(self):
        """The pulses that the ledger knows of."""
        return self._say(f"SELECT key FROM agent_fuse.notes WHERE starts_with(key, '{queries.PULSE}')")

    def was_silent(self, seconds):
        """As if nothing had been heard of it, nor of the server's start, for so long."""
        self._say(f"UPDATE agent_fuse.notes SET at = at - {seconds} WHERE starts_with(key, '{queries.PULSE}')")

    def books(self):
        """What its ledger says to that."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self):
        """No more of it."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def elsewhere(postgres, database):
    """One that begins when it is called."""
    begun = []

    def begin(**how):
        begun.append(Elsewhere(postgres, database, **how))
        return begun[-1]

    yield begin
    for one in begun:
        one.end()


@pytest.fixture
def _started_long_ago(monkeypatch):
    """The tests' server has just been started; nobody was silent because it was away."""
    started = queries.SILENT_OWNERS.replace("pg_postmaster_start_time()", "'2000-01-01'::timestamptz")
    monkeypatch.setattr(queries, "SILENT_OWNERS", started)


@pytest.mark.usefixtures("_started_long_ago")
def test_a_process_that_died_elsewhere(elsewhere, database):
    """Nobody can look after it: its pulse is not heard of any more, long before its hold expires."""
    far, ledger, now = elsewhere(), open_ledger(database), time.time()
    far.end()
    far.was_silent(queries.SILENT - 30)
    assert ledger.sweep(now=now) == []
    assert usd(ledger) == (0, 60)
    far.was_silent(31)
    found = ledger.sweep(now=now)
    assert found == [replace(line("far", 60, Status.PRESUMED, reason="owner silent"), at=found[0].at)]
    assert ledger.sweep(now=now) == []
    assert usd(ledger) == (60, 0)
    assert_books_balance(ledger)
    far.was_silent(DAY)
    ledger.sweep(now=now)
    assert far.pulses() == []
    ledger.close()


@pytest.mark.usefixtures("_started_long_ago")
def test_one_that_stood_still(elsewhere, database):
    """A machine that was paused for an hour comes back after its hold was presumed spent: what it spent is booked, once."""
    far, ledger = elsewhere(), open_ledger(database)
    far.was_silent(DAY / 2)
    assert [one.id for one in ledger.sweep(now=time.time())] == ["far"]
    assert usd(ledger) == (60, 0)
    assert far.books() == "CORRECTED"
    assert usd(ledger) == (40, 0)
    assert [(one.id, one.status) for one in ledger.journal()] == [("far", Status.SETTLED)]
    assert_books_balance(ledger)
    ledger.close()


def test_a_server_that_was_away_heard_nobody(elsewhere, database):
    """After it was restarted all have been silent, and are given the time to be heard of again."""
    far, ledger = elsewhere(), open_ledger(database)
    far.was_silent(DAY / 2)
    started = queries.SILENT_OWNERS.replace("pg_postmaster_start_time()", "clock_timestamp()")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queries, "SILENT_OWNERS", started)
        assert ledger.sweep(now=time.time()) == []
    assert usd(ledger) == (0, 60)
    ledger.close()


@pytest.mark.parametrize("ahead", [-7_200.0, 7_200.0])
def test_a_clock_that_is_hours_off(elsewhere, database, ahead):
    """A hold expires by its owner's clock while that is alive: no call that goes on is presumed spent by another's."""
    far, ledger = elsewhere(ahead=ahead), open_ledger(database)
    assert ledger.sweep(now=time.time()) == []
    assert ledger.sweep(now=time.time() + 5_400) == []
    assert usd(ledger) == (0, 60)
    assert far.books() == "BOOKED"
    assert usd(ledger) == (40, 0)
    ledger.close()


@pytest.mark.parametrize("ahead", [-7_200.0, 7_200.0])
def test_a_call_that_lasts_longer_than_its_hold(elsewhere, database, ahead):
    """By its owner's clock: it counts on, as presumed spent, until it is booked. No other call gets its room."""
    far, ledger, now = elsewhere(ahead=ahead, lasts=0.5), open_ledger(database), time.time()
    assert [one.reason for one in ledger.sweep(now=now + 7_300)] == ["expired"]
    assert isinstance(ledger.reserve(hold("mine", 41, caps=(cap(100),)), now=now), Refusal)
    assert usd(ledger) == (60, 0)
    assert far.books() == "CORRECTED"
    assert usd(ledger) == (40, 0)
    ledger.close()


def test_who_holds_nothing_is_silent(database, monkeypatch):
    """Its pulse stops, and leaves no note behind."""
    from agent_fuse.ledgers.postgres import pulse

    monkeypatch.setattr(pulse, "IDLE", 1.0)
    monkeypatch.setattr(pulse, "EVERY", 0.5)
    ledger, now = open_ledger(database), time.time()
    ledger.reserve(hold("c", 5, expires_at=now + 600), now=now)
    until = time.monotonic() + 60
    while not ledger._server.ask("read", f"SELECT 1 FROM agent_fuse.notes WHERE starts_with(key, '{queries.PULSE}')"):
        assert time.monotonic() < until
        time.sleep(0.1)
    ledger.settle(line("c", 5), ("all",), amounts(5), now=now)
    while ledger._pulse._rounds._thread is not None:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert not ledger._server.ask("read", "SELECT 1 FROM agent_fuse.notes")
    assert not isinstance(ledger.reserve(hold("d", 5, expires_at=now + 600), now=now), Refusal)
    assert ledger._pulse._rounds._thread is not None
    ledger.close()
