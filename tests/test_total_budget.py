"""The sum of all sessions: capped by `total_budget`, and where it is not, told of once a day when it is much."""

import logging
from dataclasses import replace
from decimal import Decimal

import pytest

from agent_fuse import AlertKind, ConfigurationError, Limit, SentinelBudgetExceeded, call, session
from agent_fuse.account_names import ALL
from agent_fuse.accounting.day_sum import NOTE, DayNote, DaySum, spent_today
from agent_fuse.ledgers.base import Amounts, Balance, LedgerError
from agent_fuse.ledgers.memory import MemoryLedger
from agent_fuse.settings import settings

DAY = 1_800_000_000.0 // 86_400 * 86_400


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self):
        self.now = DAY + 3_600

    def __call__(self):
        return self.now


def requests(count, *, prefix="req", each=1):
    """A session for each request, with so many calls of $0.0075. Returns how many went."""
    went = 0
    for number in range(count):
        with session(f"{prefix}-{number}"):
            for _ in range(each):
                with call("gpt-4o", 1000, 500):
                    went += 1
    return went


def test_the_sum_is_capped(box):
    """total_budget caps all sessions together: the call that does not fit is refused, whatever session it is in."""
    box(budget="0.05", total_budget="0.03")
    with pytest.raises(SentinelBudgetExceeded) as caught:
        requests(9)
    assert caught.value.limit == "$0.03 in all"
    assert caught.value.refused_by.advice.startswith("raise the limit; a new session does not help")
    assert caught.value.spent == Decimal("0.03")


@pytest.mark.parametrize("given", [{"total_budget": 5}, {}])
def test_from_code_or_the_environment(given):
    """AGENTFUSE_TOTAL_BUDGET gives it too, by default there is none, and the budget per session stays what it is."""
    environ = {} if given else {"AGENTFUSE_TOTAL_BUDGET": "5"}
    assert set(settings(environ, **given).all_limits()) == {Limit(usd=1), Limit(usd=5, per="all")}
    assert settings({}).all_limits() == (Limit(usd=1),)


@pytest.mark.parametrize("bad", ["-1", "lots", "nan"])
def test_bad_amounts(bad):
    """An amount that is none is refused by the name it was given under."""
    with pytest.raises(ConfigurationError, match="AGENTFUSE_TOTAL_BUDGET is"):
        settings({"AGENTFUSE_TOTAL_BUDGET": bad})


def told(caplog):
    return [record.getMessage() for record in caplog.records if "all sessions together" in record.getMessage()]


def test_one_warning_a_day(box, caplog, tmp_path):
    """20 budgets in a day are told of once, by whichever process passes them; the next day begins anew."""
    caplog.set_level(logging.WARNING)
    clock, seen = Clock(), []
    options = {"budget": "0.0075", "db_path": str(tmp_path / "l.db"), "clock": clock}
    box(on_warning=seen.append, warn_at="none", **options)
    requests(20)
    assert told(caplog) == []
    box(warn_at="none", **options)  # another process, as far as the ledger can tell
    requests(3, prefix="more")
    (words,) = told(caplog)
    assert words == (
        "all sessions together have spent $0.1575 today (UTC), more than 20 times the budget of $0.0075 per session, "
        "which caps each session alone; cap their sum with total_budget=… (AGENTFUSE_TOTAL_BUDGET)"
    )
    box(warn_at="none", **options)
    requests(30, prefix="again")
    assert len(told(caplog)) == 1
    clock.now += 86_400
    requests(20, prefix="tomorrow")
    assert len(told(caplog)) == 1
    requests(3, prefix="late")
    assert len(told(caplog)) == 2


def test_the_callback_hears_it(box):
    """on_warning gets an Alert of its own kind, with the day's sum and the budget."""
    seen = []
    box(budget="0.0075", on_warning=seen.append, warn_at="none")
    requests(23)
    assert [(one.kind, one.spent, one.budget_limit, one.rule) for one in seen] == [
        (AlertKind.TOTAL, Decimal("0.1575"), Decimal("0.0075"), "$0.0075 per session")
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"budget": "0.0075", "total_budget": 9},
        {"budget": "0.0075", "limits": Limit(usd=9, per="all")},
        {"limits": Limit(calls=1)},
        {"limits": Limit(usd=9, per="user.id")},
    ],
)
def test_no_warning_where_it_would_mislead(box, caplog, options):
    """With a cap on everything, or without a budget per session, there is nothing to warn of, and no note."""
    caplog.set_level(logging.WARNING)
    rig = box(warn_at="none", **options)
    requests(25)
    assert told(caplog) == []
    assert rig.fuse.ledger.update_note(NOTE, lambda note: (note, note), now=0) is None


def test_yesterday_is_not_counted(box, caplog, tmp_path):
    """What a ledger had spent before the day's first call is not of today; an idle process reads what others noted."""
    caplog.set_level(logging.WARNING)
    clock = Clock()
    options = {"budget": "0.0075", "db_path": str(tmp_path / "l.db"), "clock": clock, "warn_at": "none"}
    box(**options)
    requests(20)
    clock.now += 86_400
    requests(20, prefix="next")
    assert told(caplog) == []


class Counting:
    """A ledger that counts how often its note is asked for, and can be broken."""

    def __init__(self):
        self.ledger, self.asked, self.broken = MemoryLedger(), 0, False

    def update_note(self, key, change, *, now):
        self.asked += 1
        if self.broken:
            raise LedgerError("update_note", "here", "broken")
        return self.ledger.update_note(key, change, now=now)


def everything(nanos):
    return {ALL: Balance(settled=Amounts(usd=nanos))}


def test_the_hot_path_compares_and_no_more():
    """Between the day's first call and the sum's passing the ledger is not asked, however many calls there are."""
    ledger, clock = Counting(), Clock()
    day = DaySum((Limit(usd="0.000000010"),), ledger, clock)
    for spent in range(200):
        assert day.passed(everything(1_000 + spent)) is None
    assert ledger.asked == 1
    assert day.passed(everything(1_201)) == 201
    for spent in range(1_202, 9_000, 100):
        assert day.passed(everything(spent)) is None
    assert ledger.asked <= 3


def test_a_broken_ledger_raises_nothing():
    """Where the note cannot be read nothing is told, and it is asked again."""
    ledger, clock = Counting(), Clock()
    day = DaySum((Limit(usd=1),), ledger, clock)
    ledger.broken = True
    assert day.passed(everything(5)) is None
    ledger.broken = False
    assert day.passed(everything(5)) is None
    assert ledger.asked == 2


def test_a_sum_that_cannot_be_read_raises_nothing():
    """Found by cutting connections: a ledger that sums everything when it is asked may be gone by then."""

    class Gone(dict):
        def get(self, name, default=None):
            raise LedgerError("balances", "x", "the server cannot be reached")

    assert DaySum((Limit(usd=1),), Counting(), Clock()).passed(Gone()) is None


def test_a_note_of_a_later_version_is_written_anew():
    """A note that cannot be read is no reason to say nothing for ever."""
    assert DayNote.read(b"[1]") is DayNote.read(b"{}") is DayNote.read(b"\xff") is None
    note = DayNote(day="2027-01-15", begin=7)
    assert DayNote.read(replace(note, told=True).written()) == replace(note, told=True)
    assert spent_today(note.written(), 10, DAY) == 3
    assert spent_today(note.written(), 10, DAY + 86_400) == 0
    assert spent_today(None, 10, DAY) is None
