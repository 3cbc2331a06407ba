"""The log is folded in beside the calls: none of them waits for it, it stays small, and a fork or a close waits for it."""

import os
import shutil
import threading

import apsw
import pytest

from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers import folding, open_ledger
from agent_fuse.ledgers.base import Amounts, Hold

PAIRS = 2 * folding.EVERY


def pairs(ledger, count=PAIRS, name="c"):
    for number in range(count):
        line = Entry(id=f"{name}{number}", at=1.0, status=Status.SETTLED, session="s", cost=1)
        ledger.reserve(Hold(entry=line, accounts=("all",), amounts=Amounts(usd=1, calls=1), expires_at=9e9), now=1.0)
        ledger.settle(line, ("all",), Amounts(usd=1, calls=1), now=1.0)


def rested(ledger):
    """Wait until nothing is folded in."""
    work = ledger._database._folding
    assert work.rest(60)
    work.go_on()


def in_the_file(path):
    """How many calls stand in the database's file, without its log."""
    alone = path.with_name("alone.db")
    shutil.copyfile(path, alone)
    db = apsw.Connection(str(alone))
    try:
        return db.execute("SELECT count(*) FROM journal").fetchone()[0]
    finally:
        db.close()


@pytest.fixture
def folds(monkeypatch):
    """The threads that folded a log in."""
    found, real = [], folding._fold

    def fold(db, path):
        found.append(threading.get_ident())
        return real(db, path)

    monkeypatch.setattr(folding, "_fold", fold)
    return found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "l.db"


def test_no_call_folds_the_log_in(path, folds):
    """It is folded in by a thread of its own, again and again, and the books are whole."""
    ledger = open_ledger(path)
    pairs(ledger)
    rested(ledger)
    assert folds
    assert threading.get_ident() not in folds
    assert ledger.balances(["all"])["all"].settled == Amounts(usd=PAIRS, calls=PAIRS)
    assert in_the_file(path) >= folding.EVERY // 2
    ledger.close()


def test_the_log_stays_within_its_bound(path, monkeypatch):
    """Calls without a pause never let all of it be folded in beside them: at its bound one of them does the rest."""
    monkeypatch.setattr(folding, "LARGEST", 2 * 2**20)
    ledger, log = open_ledger(path), path.with_name("l.db-wal")
    for number in range(8):
        pairs(ledger, name=f"n{number}-")
        assert log.stat().st_size <= 2 * folding.LARGEST + 2**20 * 4
    rested(ledger)
    ledger.close()


def test_a_log_that_outgrows_its_bound_is_folded_in_by_the_call_that_finds_it(path, folds, monkeypatch):
    """However busy everyone is, the disk is not filled."""
    monkeypatch.setattr(folding, "LARGEST", 0)
    ledger = open_ledger(path)
    pairs(ledger)
    assert set(folds) == {threading.get_ident()}
    ledger.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_waits_until_nothing_is_folded_in(path, monkeypatch):
    """SQLite's own locks must be free in the child; it folds its log in by itself, and books."""
    going, seen = threading.Event(), []
    real = folding._fold

    def fold(db, path):
        going.set()
        for _ in range(50):
            answer = real(db, path)
        seen.append("folded")
        return answer

    monkeypatch.setattr(folding, "_fold", fold)
    ledger = open_ledger(path)
    pairs(ledger)
    assert going.wait(60)
    child = os.fork()
    if child == 0:
        try:
            pairs(ledger, name="child")
            rested(ledger)
        finally:
            os._exit(0 if seen else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    pairs(ledger, count=1, name="after")
    assert ledger.balances(["all"])["all"].settled.calls == 2 * PAIRS + 1
    ledger.close()
