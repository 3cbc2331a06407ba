"""A tripped session: how many swallowed refusals blow it, what ends their row, and whom the next gate stops."""

import pytest

from agent_fuse import SentinelBudgetExceeded
from agent_fuse.accounting import tripped as module
from agent_fuse.accounting.call_request import Stage
from agent_fuse.accounting.tripped import SOFT_IN_A_ROW, TrippedSessions
from fuses import Desk


def trip(words: str = "no") -> SentinelBudgetExceeded:
    return SentinelBudgetExceeded(words)


def is_blown(fuse: TrippedSessions, session: str) -> bool:
    return session in fuse.sessions


def test_three_in_a_row_blow_it_and_no_fewer() -> None:
    """A refusal that was caught twice may be handled; a third one says that nobody listens."""
    assert SOFT_IN_A_ROW == 3
    fuse = TrippedSessions()
    for _ in range(2):
        fuse.softened("s", trip())
        assert not is_blown(fuse, "s")
        assert fuse.take("s") is None
    fuse.softened("s", trip("third"))
    assert is_blown(fuse, "s")
    assert not is_blown(fuse, "another")
    assert str(fuse.take("s")) == "third"


def test_a_call_that_was_let_go_ends_the_row() -> None:
    """Two refusals, a call that is admitted, two more refusals: nobody ran on against a wall."""
    fuse = TrippedSessions()
    for _ in range(3):
        fuse.softened("s", trip())
        fuse.softened("s", trip())
        fuse.admitted("s")
        assert not is_blown(fuse, "s")
    fuse.softened("s", trip())
    fuse.softened("another", trip())
    fuse.softened("another", trip())
    fuse.admitted("s")
    fuse.softened("another", trip())
    assert is_blown(fuse, "another"), "only the session whose call was let go starts anew"


def test_an_admitted_call_of_a_fuse_ends_the_row() -> None:
    """The same on the path of a call: it is the hold that counts, not a gate that leaves it to another."""
    desk = Desk(budget=1)
    for _ in range(2):
        desk.fuse.tripped.softened("s", trip())
    desk.open(stage=Stage.FOLLOWED)
    desk.fuse.tripped.softened("s", trip())
    assert is_blown(desk.fuse.tripped, "s")
    desk = Desk(budget=1)
    for _ in range(2):
        desk.fuse.tripped.softened("s", trip())
    desk.open()
    desk.fuse.tripped.softened("s", trip())
    assert not is_blown(desk.fuse.tripped, "s")


def test_it_is_raised_once_and_the_row_starts_anew() -> None:
    """After the trip that it blew with, the session begins again with no refusal behind it."""
    fuse = TrippedSessions()
    for _ in range(3):
        fuse.softened("s", trip())
    first = fuse.take("s")
    assert first is not None
    assert first.__dict__["tripped"], "whoever gives it its form must know"
    assert fuse.take("s") is None
    fuse.softened("s", trip())
    fuse.softened("s", trip())
    assert not is_blown(fuse, "s")


def test_the_newest_reason_counts() -> None:
    """A fuse blown twice raises what blew it last."""
    fuse = TrippedSessions()
    fuse.blow("s", trip("old"))
    fuse.blow("s", trip("new"))
    assert str(fuse.take("s")) == "new"


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions without end are not remembered without end; a session that is blown already can still be blown again."""
    monkeypatch.setattr(module, "_MAX_SESSIONS", 3)
    fuse = TrippedSessions()
    for number in range(20):
        fuse.softened(f"s{number}", trip())
        assert len(fuse.soft) <= 3
    for number in range(20):
        fuse.blow(f"s{number}", trip())
    assert len(fuse.sessions) == 3
    fuse.blow("s0", trip("again"))
    assert str(fuse.take("s0")) == "again"
    assert not is_blown(fuse, "s3")
