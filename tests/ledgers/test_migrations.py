"""A ledger that an older version wrote: what is in it keeps its meaning, and the steps it lacks are taken at once.

`tests/data/ledgers/v1.db` was written by AgentFuse as it was before version 2 of the tables: sessions with ordinary and
with odd names, settled, estimated and refused calls, one call open (its owner on another host), posted caps.
"""

import shutil
from pathlib import Path

import apsw
import pytest

from agent_fuse.calls import Entry, RefusedBy, Status
from agent_fuse.ledgers import migrations, open_ledger
from agent_fuse.ledgers.base import Amounts, Hold, LedgerError, Settling
from agent_fuse.ledgers.reading import Saved, Selection, open_reader
from agent_fuse.limits import Caller, Limit, Session, demand
from ledgers.samples import NOW

OLD = Path(__file__).parents[1] / "data" / "ledgers" / "v1.db"
COST = 7_500_000
ONE = Amounts(usd=COST, tokens=1500, output_tokens=500, calls=1)
BY = RefusedBy(
    limit="$0.02 per user.id",
    per="user.id",
    value="ann",
    meter="usd",
    cap=20_000_000,
    spent=15_000_000,
    held=COST,
    requested=COST,
    advice="raise the limit",
)


def copied(number):
    """A fixture: a copy of the ledger of that version."""

    @pytest.fixture
    def copy(tmp_path):
        path = tmp_path / f"v{number}.db"
        shutil.copyfile(OLD.with_name(path.name), path)
        return path

    return copy


old, second, fifth, sixth = (copied(number) for number in (1, 2, 5, 6))


def version(path):
    return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY).pragma("user_version")


def settled(ledger, name):
    return ledger.balances([name])[name].settled.usd


def test_old_books_are_as_they_were(old):
    """Opening an old ledger takes it to the newest version, and no figure, line, hold or note changes."""
    assert version(old) == 1
    ledger = open_ledger(old)
    assert version(old) == len(migrations.MIGRATIONS)
    assert [entry.id for entry in ledger.journal()] == ["c6", "c5", "c4", "c3", "c2", "c1"]
    assert {entry.refused_by for entry in ledger.journal()} == {None}
    assert [entry.reason for entry in ledger.journal() if entry.status is Status.REFUSED] == ["loop", "budget"]
    assert [(hold.entry.id, hold.amounts) for hold in ledger.holds()] == [("c7", ONE)]
    assert {name: balance.settled.usd for name, balance in ledger.accounts()} == {
        "agent=(none)": COST,
        "agent=writer": 3 * COST,
        "all": 4 * COST,
        "session=a=b%3Dc é": COST,
        "session=run-1": 2 * COST,
        "session=run-2": COST,
        "user.id=(none)": COST,
        "user.id=ann": 2 * COST,
        "user.id=x=y": COST,
    }
    assert ledger.balances(["all"])["all"].refused == 2
    assert ledger.update_note("loops/key", lambda note: (note, note), now=NOW) == b"k" * 16


@pytest.mark.parametrize("session", ["run-1", "run-2", "a=b%3Dc é"])
@pytest.mark.parametrize("user", ["ann", "x=y", ""])
def test_old_accounts_are_met_again(old, session, user):
    """A call of today meets the accounts that the older version booked on, whatever is in a session's or user's name."""
    limits = (Limit(usd=1, per="user.id"), Limit(usd=1, per="all"))
    keys = {"user.id": user} if user else {}
    due = demand(limits, Caller(session=Session(id=session), keys=keys), now=1.0)
    known = {name for name, _ in open_ledger(old).accounts()}
    assert len(due.accounts) == 3
    assert set(due.accounts) <= known


def test_old_calls_go_on(old):
    """What was open is settled, what was estimated is corrected, what was refused is booked after all: once each."""
    ledger = open_ledger(old)

    def book(call, cost):
        entry = Entry(id=call, at=NOW, status=Status.SETTLED, session="run-1", cost=cost)
        return ledger.settle(entry, ("all",), Amounts(usd=cost, calls=1), now=NOW)

    assert book("c7", 5) is Settling.BOOKED
    assert book("c2", 7) is Settling.CORRECTED
    assert book("c3", 9) is Settling.BOOKED
    assert book("c1", 11) is Settling.UNCHANGED
    assert ledger.holds() == []
    assert settled(ledger, "all") == 3 * COST + 5 + 7 + 9
    assert settled(ledger, "user.id=ann") == COST + 5 + 7
    assert ledger.balances(["user.id=ann"])["user.id=ann"].held == Amounts()


def test_old_ledger_says_what_refused_from_now_on(old):
    """A refusal in a ledger that was old keeps its limit; a call booked after all keeps nothing of it."""
    ledger = open_ledger(old)
    entry = Entry(id="new", at=NOW, status=Status.REFUSED, session="run-1", reason="budget", refused_by=BY)
    ledger.refuse(entry, ("all",), now=NOW)
    assert next(ledger.journal()) == entry
    assert next(open_reader(old).entries(Selection())) == entry
    booked = Entry(id="new", at=NOW, status=Status.SETTLED, session="run-1")
    ledger.settle(booked, ("all",), Amounts(calls=1), now=NOW)
    assert next(ledger.journal()).refused_by is None


def test_old_ledger_is_read_before_any_fuse_opens_it(old):
    """The command line reads an old ledger as it is, and changes nothing: `user_version` is left for a fuse."""
    reader = open_reader(old)
    found = list(reader.entries(Selection(statuses=frozenset([Status.REFUSED]))))
    assert [(entry.id, entry.reason, entry.refused_by) for entry in found] == [
        ("c4", "loop", None),
        ("c3", "budget", None),
    ]
    assert reader.balances(["all"])["all"].settled.usd == 4 * COST
    reader.close()
    assert version(old) == 1
    assert old.read_bytes() == OLD.read_bytes()


def test_older_version_keeps_off(old, monkeypatch):
    """A version that knows fewer steps refuses the ledger in one line, and alters nothing."""
    open_ledger(old).close()
    before = old.read_bytes()
    monkeypatch.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:1])
    with pytest.raises(LedgerError, match="made by a newer AgentFuse than this one, which knows 1; upgrade agent-fuse"):
        open_ledger(old)
    assert old.read_bytes() == before


# Version 2 -----------------------------------------------------------------------------------------------------------
# `v2.db` was written by AgentFuse as it was before version 3: a settled, an estimated and a refused call, one open.


def told(entry):
    return entry.id, entry.cost, entry.fee, entry.source, entry.computed, entry.refused_by


LINES = [("c3", COST, 0, "", None, BY), ("c2", COST, 0, "", None, None), ("c1", COST, 0, "", None, None)]


def test_second_version_is_read_before_any_fuse_opens_it(second):
    """Calls of before fees were told apart cost what they cost, with no fee, by our own prices; the file stays."""
    before = second.read_bytes()
    reader = open_reader(second)
    assert [told(entry) for entry in reader.entries(Selection())] == LINES
    assert [fact[-1] for fact in reader.facts()] == [0, 0, 0]
    reader.close()
    assert version(second) == 2
    assert second.read_bytes() == before


def test_second_version_goes_on(second):
    """Taken to the newest version no line changes, and what is booked from then on tells its fee and its source."""
    ledger = open_ledger(second)
    assert version(second) == len(migrations.MIGRATIONS)
    assert [told(entry) for entry in ledger.journal()] == LINES
    assert [(hold.entry.id, hold.amounts, hold.entry.fee) for hold in ledger.holds()] == [("c4", ONE, 0)]
    for call in ("c2", "c4"):
        entry = Entry(id=call, at=NOW, status=Status.SETTLED, cost=9, fee=4, source="provider", computed=8)
        ledger.settle(entry, (), Amounts(usd=9, calls=1), now=NOW)
    assert [told(entry) for entry in ledger.journal() if entry.id in {"c2", "c4"}] == [
        ("c4", 9, 4, "provider", 8, None),
        ("c2", 9, 4, "provider", 8, None),
    ]
    assert settled(ledger, "all") == COST + 9 + 9


def test_fee_of_an_open_call_is_presumed_with_it(tmp_path):
    """A call whose hold expires is booked at its quote, the fee in it told apart."""
    ledger = open_ledger(tmp_path / "new.db")
    entry = Entry(id="a", at=NOW, status=Status.PRESUMED, cost=9, fee=4)
    ledger.reserve(Hold(entry=entry, accounts=("all",), amounts=Amounts(usd=9), expires_at=NOW + 1), now=NOW)
    assert [(one.cost, one.fee) for one in ledger.sweep(now=NOW + 2)] == [(9, 4)]
    assert [(one.cost, one.fee) for one in ledger.journal()] == [(9, 4)]


# Version 5 -----------------------------------------------------------------------------------------------------------
# `v5.db` was written by AgentFuse as it was before version 6: a settled, an estimated and a refused call, one open.


def test_fifth_version_is_read_before_any_fuse_opens_it(fifth):
    """Of calls of before savings were told nothing is known, and the file stays."""
    before = fifth.read_bytes()
    with open_reader(fifth) as reader:
        assert [(one.id, one.saved, one.saved_by) for one in reader.entries(Selection())] == [
            ("c3", None, ""),
            ("c2", None, ""),
            ("c1", None, ""),
        ]
        assert [one.entry.saved for one in reader.holds(9)] == [None]
        assert reader.saved(Selection()) == []
    assert version(fifth) == 5
    assert fifth.read_bytes() == before


def test_fifth_version_goes_on(fifth):
    """Taken to the newest version no line changes, and what is booked from then on tells what it saved."""
    ledger = open_ledger(fifth)
    assert version(fifth) == len(migrations.MIGRATIONS)
    assert [(one.id, one.cost, one.fee, one.saved, one.saved_by) for one in ledger.journal()] == [
        ("c3", COST, 0, None, ""),
        ("c2", COST, 0, None, ""),
        ("c1", COST, 1000, None, ""),
    ]
    for call, saved in (("c2", 3), ("c4", 4)):
        entry = Entry(id=call, at=NOW, status=Status.SETTLED, cost=9, saved=saved, saved_by="downgrade")
        ledger.settle(entry, (), Amounts(usd=9, calls=1), now=NOW)
    with open_reader(fifth) as reader:
        assert reader.saved(Selection()) == [Saved(by="downgrade", count=2, saved=7)]
    assert settled(ledger, "all") == COST + 9 + 9


# Version 6 -----------------------------------------------------------------------------------------------------------
# `v6.db` was written by AgentFuse as it was before version 7: a settled, an estimated and a refused call, one open.


def test_sixth_version_is_read_before_any_fuse_opens_it(sixth):
    """Of calls of before users were told nobody is the user, and the file stays."""
    before = sixth.read_bytes()
    with open_reader(sixth) as reader:
        lines = [(one.id, one.user_id, one.saved) for one in reader.entries()]
        assert lines == [("c3", "", None), ("c2", "", None), ("c1", "", 700)]
        assert [one.entry.user_id for one in reader.holds(9)] == [""]
        assert [list(reader.entries(Selection(user=one))) for one in ("ann", "a*")] == [[], []]
        assert [sums.calls for _, sums in reader.sums(Selection(user="*"), "session")] == [2]
    assert version(sixth) == 6
    assert sixth.read_bytes() == before


def test_sixth_version_goes_on(sixth):
    """Taken to the newest version no line changes, and what is booked from then on tells whose it was."""
    ledger = open_ledger(sixth)
    assert version(sixth) == len(migrations.MIGRATIONS)
    assert [(one.id, one.cost, one.user_id) for one in ledger.journal()] == [
        ("c3", COST, ""),
        ("c2", COST, ""),
        ("c1", COST, ""),
    ]
    for call in ("c2", "c4", "c5"):
        entry = Entry(id=call, at=NOW + 9, status=Status.SETTLED, cost=9, user_id="ann")
        ledger.settle(entry, (), Amounts(usd=9, calls=1), now=NOW)
    with open_reader(sixth) as reader:
        assert [one.id for one in reader.entries(Selection(user="ann"))] == ["c5", "c4", "c2"]
        assert [sums.calls for _, sums in reader.sums(Selection(user="*"), "session")] == [3, 1]
    assert settled(ledger, "user.id=ann") == COST + 9 + 9


def test_user_of_an_open_call_is_presumed_with_it(tmp_path):
    """A call whose hold expires is still its user's."""
    ledger = open_ledger(tmp_path / "new.db")
    entry = Entry(id="a", at=NOW, status=Status.PRESUMED, cost=9, user_id="ann")
    ledger.reserve(Hold(entry=entry, accounts=("all",), amounts=Amounts(usd=9), expires_at=NOW + 1), now=NOW)
    assert [one.user_id for one in ledger.sweep(now=NOW + 2)] == ["ann"]
    assert [one.user_id for one in ledger.journal()] == ["ann"]
