"""Fences in every kind of ledger: what is kept for one account is no other's, and no cap is passed, whoever races."""

import threading
from dataclasses import replace

import pytest

from agent_fuse.account_names import plain
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Cap, Meter, Refusal, Reservation
from agent_fuse.ledgers.controls import Control, Fence
from ledgers.samples import NOW, amounts, cap, hold, line, usd
from ledgers.workers import spend_of_a_slice, together

TEAM, HELPER, OTHER = "session=team", "session=helper", "session=other"
CAP = 100


def keep(ledger, amount, *, child=HELPER, on=(TEAM,), until=NOW + 60):
    for name in on:
        fence = Fence(id="f", child=child, amount=amount, until=until)
        before = ledger.controls([name]).get(name)
        assert ledger.control(name, before, Control(account=name, fences=(fence,)).written(), now=NOW)


def ask(ledger, call, usd, *accounts, on=TEAM, most=CAP, now=NOW):
    asked = hold(call, usd, accounts=("all", *accounts), caps=(cap(most, on),))  # as every call is
    return ledger.reserve(asked, now=now)


def goes(*given, **named):
    return isinstance(ask(*given, **named), Reservation)


def test_a_slice_is_no_others(ledger):
    """Whoever is not the child finds it used; the refusal says that it is held, not spent."""
    keep(ledger, 40)
    assert goes(ledger, "a", 60, TEAM, OTHER)
    answer = ask(ledger, "b", 1, TEAM, OTHER)
    assert isinstance(answer, Refusal)
    assert (answer.settled, answer.held, answer.requested, answer.busy) == (0, 100, 1, True)
    assert goes(ledger, "c", 40, TEAM, HELPER), "the child's own"
    assert not goes(ledger, "d", 1, TEAM, HELPER), "and no more than that, where nothing else is left"


def test_what_the_child_spends_is_counted_once(ledger):
    """Held, settled for less, given back: what is left of the slice is kept, and the account's own figure stays true."""
    keep(ledger, 40)
    assert goes(ledger, "a", 30, TEAM, HELPER)
    assert not goes(ledger, "b", 61, TEAM), "10 are kept, 30 held"
    ledger.settle(line("a", 5), (TEAM, HELPER), amounts(5), now=NOW)
    assert usd(ledger, TEAM) == (5, 0)
    assert not goes(ledger, "c", 61, TEAM), "35 are kept, 5 spent"
    assert goes(ledger, "d", 60, TEAM)
    assert goes(ledger, "e", 35, TEAM, HELPER)
    ledger.release("e", now=NOW)
    assert not goes(ledger, "f", 1, TEAM), "it came back to the child alone"


def test_what_is_beyond_the_slice_is_the_childs_as_anybodys(ledger):
    """A fence keeps; whether the child may have more is for its own caps."""
    keep(ledger, 40)
    assert goes(ledger, "a", 90, TEAM, HELPER)
    assert goes(ledger, "b", 10, TEAM), "nothing of the slice is left to keep"


def test_a_requote_takes_the_difference(ledger):
    """Larger or smaller, of the child's call and of another's."""
    keep(ledger, 40)
    assert goes(ledger, "a", 10, TEAM, HELPER)
    assert goes(ledger, "b", 50, TEAM)
    assert goes(ledger, "a", 40, TEAM, HELPER)
    assert not goes(ledger, "b", 61, TEAM)
    assert goes(ledger, "b", 60, TEAM)
    assert goes(ledger, "a", 1, TEAM, HELPER)
    assert not goes(ledger, "b", 61, TEAM)


def test_it_falls_with_time_and_when_it_is_taken_down(ledger):
    keep(ledger, 40, until=NOW + 10)
    assert not goes(ledger, "a", 61, TEAM, now=NOW + 9)
    assert goes(ledger, "a", 61, TEAM, now=NOW + 10)
    ledger.release("a", now=NOW)
    before = ledger.controls([TEAM])[TEAM]
    assert ledger.control(TEAM, before, None, now=NOW)
    assert goes(ledger, "a", 100, TEAM)


def test_a_look_finds_nothing_left_where_the_rest_is_kept(ledger):
    keep(ledger, 40)
    assert goes(ledger, "a", 60, TEAM)
    short = ledger.used_up([cap(CAP, TEAM)], now=NOW)
    assert short is not None
    assert short.held == 100
    ledger.release("a", now=NOW)
    assert ledger.used_up([cap(CAP, TEAM)], now=NOW) is None


def test_other_meters_are_not_kept(ledger):
    """A slice is of dollars."""
    keep(ledger, 40)
    asked = replace(hold("a", 60, accounts=("all", TEAM)), caps=(Cap(TEAM, Meter.CALLS, 1), cap(CAP, TEAM)))
    assert isinstance(ledger.reserve(asked, now=NOW), Reservation)


@pytest.mark.parametrize("on", ["session@1h=team", "session@day=team\x1f2027-01-15"])
def test_it_stands_on_the_accounts_windows_too(ledger, on):
    keep(ledger, 40)
    asked = f"{on}\x1f000108000000" if "1h" in on else on
    assert not goes(ledger, "a", 61, asked, on=on)
    assert goes(ledger, "b", 60, asked, on=on)


def test_a_fence_on_everything(ledger):
    keep(ledger, 40, on=("all",))
    assert not goes(ledger, "a", 61, on="all")
    assert goes(ledger, "b", 60, on="all")
    assert goes(ledger, "c", 40, HELPER, on="all")


def test_a_count_is_judged_too(ledger):
    """A tool action that costs."""
    keep(ledger, 40)
    asked = hold("a", 61, accounts=("all", TEAM), caps=(cap(CAP, TEAM),))
    assert isinstance(ledger.count(asked, now=NOW), Refusal)
    assert isinstance(ledger.count(replace(asked, amounts=amounts(60)), now=NOW), Reservation)


def test_no_cap_is_passed_and_no_slice_is_taken_by_any_race(ledger):
    """Sixteen threads, half of them the child's: the child gets its whole slice, all others the rest, nobody more."""
    keep(ledger, 40)
    got = {HELPER: 0, OTHER: 0}
    lock = threading.Lock()

    def run(number, who):
        for turn in range(12):
            call = f"{who}{number}.{turn}"
            if not goes(ledger, call, 1, TEAM, who):
                continue
            if turn % 3 == 0:
                ledger.release(call, now=NOW)
                continue
            ledger.settle(line(call, 1), (TEAM, who), amounts(1), now=NOW)
            with lock:
                got[who] += 1

    threads = [threading.Thread(target=run, args=(n, (HELPER, OTHER)[n % 2])) for n in range(16)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for who in (OTHER, HELPER):  # what refused someone in passing is not taken by anybody now
        while goes(ledger, f"last {who} {got[who]}", 1, TEAM, who):
            ledger.settle(line(f"last {who} {got[who]}", 1), (TEAM, who), amounts(1), now=NOW)
            got[who] += 1
    assert usd(ledger, TEAM) == (CAP, 0)
    assert got[OTHER] <= 60
    assert sum(got.values()) == CAP


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_processes_leave_a_slice_alone(kind, request):
    """Four processes take all that is left, and the child, which comes late, still finds its whole slice."""
    url = str(request.getfixturevalue("file")) if kind == "sqlite" else request.getfixturevalue("database")
    ledger = open_ledger(url)
    keep(ledger, 40)
    many = [(f"p{n}", (TEAM, OTHER), CAP, 40) for n in range(3)] + [("child", (TEAM, HELPER), CAP, 15)]
    went = dict(together(spend_of_a_slice, many, url))
    assert went["child"] == 15
    while goes(ledger, f"rest{went['p0']}", 1, TEAM, OTHER):
        went["p0"] += 1
    assert sum(went.values()) - went["child"] == 60
    assert [goes(ledger, f"late{n}", 1, TEAM, HELPER) for n in range(26)] == [True] * 25 + [False]
    ledger.close()


def test_the_database_names_accounts_as_we_do(database):
    """Which account a window belongs to is said twice: here and in the database."""
    ledger = open_ledger(database)
    for name in (
        "all",
        "all@1h",
        "all@day\x1f2027-01-15",
        "session@30s=a=b@1h",
        "a%40day@week:Europe/Berlin=x\x1f1",
        "a@b=c",
    ):
        found = ledger._server.ask("plain", "SELECT agent_fuse.plain(%s)", (name,))[0][0]
        assert found == plain(name)
    ledger.close()
