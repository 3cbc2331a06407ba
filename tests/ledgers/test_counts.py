"""How many statements and transactions the books take: counted, so that none creeps in unseen."""

import pytest

from agent_fuse.ledgers import database
from agent_fuse.ledgers.base import NoteChange, Refusal
from agent_fuse.ledgers.sqlite import SqliteLedger
from ledgers.samples import amounts, cap, hold, line

ACCOUNTS = ("all", "session=s")
LIMITED = (cap(10**12, "session=s"),)


@pytest.fixture
def run(monkeypatch):
    """The first words of the statements that ledgers have run."""
    words: list[str] = []
    connect = database.connect

    def traced(path):
        db = connect(path)
        db.set_exec_trace(lambda _, sql, __: words.append(sql.split()[0]) or True)
        return db

    monkeypatch.setattr(database, "connect", traced)
    return words


@pytest.fixture
def ledger(run, tmp_path):
    made = SqliteLedger(tmp_path / "ledger.db")
    yield made
    made.close()


def test_a_call_is_two_transactions_of_few_statements(ledger, run):
    ledger.reserve(hold("first", accounts=ACCOUNTS, caps=LIMITED), now=1.0)
    ledger.settle(line("first"), ACCOUNTS, amounts(), now=1.0)
    run.clear()
    ledger.reserve(hold("second", accounts=ACCOUNTS, caps=LIMITED), now=1.0)
    assert run == ["BEGIN", *["SELECT"] * 2, "INSERT", *["UPDATE"] * 2, "COMMIT"]
    run.clear()
    ledger.settle(line("second"), ACCOUNTS, amounts(), now=1.0)
    assert run == ["BEGIN", "SELECT", "INSERT", "DELETE", *["UPDATE"] * 2, "COMMIT"]


def test_a_refusal_writes_nothing(ledger, run):
    run.clear()
    answer = ledger.reserve(hold("call", accounts=ACCOUNTS, caps=(cap(1, "session=s"),)), now=1.0)
    assert isinstance(answer, Refusal)
    assert set(run) == {"BEGIN", "SELECT", "COMMIT"}


def test_a_tool_action_is_one_transaction(ledger, run):
    """With the loop rule's note in it."""
    note = NoteChange("loops/s", lambda _: (b"x", True))
    run.clear()
    ledger.count(hold("call", accounts=ACCOUNTS, caps=LIMITED), note, now=1.0)
    assert run.count("BEGIN") == 1
