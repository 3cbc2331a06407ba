"""Races: the cap is a cap with any number of threads and processes, and nobody is starved."""

import threading

import pytest

from agent_fuse.ledgers import folding, open_ledger
from agent_fuse.ledgers.base import Settling
from agent_fuse.testing import assert_books_balance
from ledgers.samples import NOW, amounts, line, reserve, usd
from ledgers.workers import ask_in_threads, hammer, race, together

ROOM = 100


def test_threads_get_exactly_what_there_is(ledger):
    """64 threads ask for 256 calls with room for 100: exactly 100 are granted."""
    assert ask_in_threads(ledger, "t", threads=64, each=4, usd_cap=ROOM) == ROOM
    assert usd(ledger) == (0, ROOM)
    assert len(ledger.holds()) == ROOM


def test_processes_get_exactly_what_there_is(file):
    """4 processes of 16 threads ask for 256 calls with room for 100: exactly 100 are granted."""
    granted = together(race, [(f"p{n}", 16, 4, ROOM) for n in range(4)], file)
    assert sum(granted) == ROOM
    assert usd(open_ledger(file)) == (0, ROOM)


def test_call_settled_by_many_at_once_is_booked_once(ledger):
    """64 threads settle the same call: one books it, the others change nothing."""
    reserve(ledger, "c", 10)
    answers, barrier = [], threading.Barrier(64)

    def settle():
        barrier.wait()
        answers.append(ledger.settle(line("c", 9), (), amounts(9), now=NOW))

    threads = [threading.Thread(target=settle) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [Settling.BOOKED] + [Settling.UNCHANGED] * 63
    assert usd(ledger) == (9, 0)


def test_note_counts_every_change(ledger):
    """32 threads count in one note: no count is lost."""

    def count():
        for _ in range(20):
            ledger.update_note("n", lambda note: (str(int(note or b"0") + 1).encode(), None), now=NOW)

    threads = [threading.Thread(target=count) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.update_note("n", lambda note: (note, note), now=NOW) == b"640"


def test_no_process_starves(file):
    """4 processes on one file, each as fast as it can: none gets less than half of its fair share."""
    done = together(hammer, [(f"p{n}", 2.0) for n in range(4)], file)
    assert min(done) > sum(done) / 4 / 2, done
    ledger = open_ledger(file)
    assert usd(ledger) == (9 * sum(done), 0)
    assert_books_balance(ledger)


@pytest.mark.parametrize("reading", [False, True])
def test_log_does_not_grow_without_bound(file, reading, monkeypatch):
    """Under steady load the write-ahead log is folded in again and again, with somebody half-way through a report too."""
    monkeypatch.setattr(folding, "LARGEST", 4 * 2**20)
    ledger, report = open_ledger(file), open_ledger(file)
    for n in range(300):
        ledger.settle(line(f"old{n}"), ("all",), amounts(), now=NOW)
    lines = report.journal()
    if reading:
        next(lines)
    for n in range(2500):
        reserve(ledger, f"c{n}", 10)
        ledger.settle(line(f"c{n}", 9), (), amounts(9), now=NOW)
        if reading and n % 100 == 0:
            next(lines, None)
            report.balances(["all"])
    size = file.with_name("ledger.db-wal").stat().st_size
    assert size <= 16 * 2**20, "of 70 MiB that were written"


def test_reads_do_not_wait_for_writers(file):
    """Balances, accounts, holds and journal are read while another holds the write lock."""
    ledger = open_ledger(file)
    reserve(ledger, "c", 10)
    ledger.settle(line("d", 5), ("all",), amounts(5), now=NOW)
    reader = open_ledger(file, lock_timeout=0.2)
    seen = []

    def look(_):
        seen.append(
            (usd(reader), [name for name, _ in reader.accounts()], len(reader.holds()), len([*reader.journal()]))
        )
        return None, None

    ledger.update_note("k", look, now=NOW)
    assert seen == [((5, 10), ["all"], 1, 1)]


def test_opening_to_read_does_not_wait_for_writers(file):
    """A ledger that is up to date is opened and read while another holds the write lock: a status command never hangs."""
    ledger = open_ledger(file)
    seen = []
    ledger.update_note("k", lambda _: (None, seen.append(usd(open_ledger(file, lock_timeout=0.2)))), now=NOW)
    assert seen == [(0, 0)]
