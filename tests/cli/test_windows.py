"""Limits with windows as an operator meets them: by the names of accounts that a person gives, topped up and all."""

import json

import pytest

from agent_fuse import Limit, SentinelBudgetExceeded, call, control, session
from cli import filled

LIMITS = (
    Limit(usd="0.02", per="user.id", window="day"),
    Limit(calls=3, per="user.id", window="1m"),
    Limit(usd=10, per="all"),
    Limit(seconds=60),
)


@pytest.fixture
def books(box, tmp_path):
    """A real fuse's ledger: ann's day is topped up, her fourth call in a minute refused; a session has caps of its own."""
    path = str(tmp_path / "books.db")
    box(limits=LIMITS, db_path=path, clock=lambda: filled.NOW - 100)
    with session("late", limits=[Limit(calls=9), Limit(tokens=90_000)]), call("gpt-4o", 1000, 500):
        pass
    box(limits=LIMITS, db_path=path, clock=lambda: filled.NOW - 5)
    control.top_up("user.id=ann", "0.50", db_path=path)
    with session("req-1", user_id="ann"):
        for _ in range(3):
            with call("gpt-4o", 1000, 500):
                pass
        with pytest.raises(SentinelBudgetExceeded, match="in any 1m"), call("gpt-4o", 1000, 500):
            pass
    return path


def standing(run, books, *words):
    shown = json.loads(run("status", "--db", books, "--json", *words).out)["limits"]
    return {(one["account"], one["meter"], one["window"]): one for one in shown}


def test_an_account_is_named_without_its_window(run, books):
    """`--account user.id=ann` finds what counts ann by the day and by the minute, and nothing else."""
    found = standing(run, books, "--account", "user.id=ann")
    assert set(found) == {("user.id=ann", "usd", "day"), ("user.id=ann", "calls", "1m")}
    assert found["user.id=ann", "usd", "day"]["cap"] == "0.52"
    assert (
        found["user.id=ann", "calls", "1m"] | {"refused": 1, "left": 0, "spent": 3}
        == found["user.id=ann", "calls", "1m"]
    )
    for name in ("user.id=an", "user.id=ann*", "user.id=[a]nn", "user.id"):
        assert run("status", "--db", books, "--account", name).code == 2, name
    assert "did you mean 'user.id=ann'?" in run("status", "--db", books, "--account", "ann").err


def test_all_caps_of_one_session_are_shown(run, books):
    """Two caps that one session has of its own are two lines."""
    found = standing(run, books, "--account", "session=late")
    assert {meter for _, meter, _ in found} == {"calls", "tokens", "seconds"}


def test_time_that_is_up_is_no_limit_reached(run, books):
    """A run that began a hundred seconds ago under sixty of them is over; what refused a call is the tightest."""
    said = run("status", "--db", books, tty=True).plain
    tightest = "Tightest: 3 calls in any 1m of user.id ann, 100 % used, 0 left; 1 of the limits shown is reached."
    assert tightest in " ".join(said.split())
    assert "(+$0.50)" in said
