"""A hand on the switch, in every ledger: stops and top-ups bind the next call, of every key and window."""

from dataclasses import replace

import pytest

from agent_fuse.account_names import current, within
from agent_fuse.ledgers.base import Cap, Meter, Refusal, Reservation, Stop
from agent_fuse.ledgers.controls import Control, Controls, TopUp, read
from agent_fuse.windows import read as read_window
from ledgers.samples import NOW, amounts, cap, hold, line, reserve


def decide(ledger, *those):
    ledger.control(lambda _: Controls(those).written(), now=NOW)


def stopped(account, **more):
    return Control(account=account, stopped=True, who="ann", why="too dear", at=NOW, **more)


@pytest.mark.parametrize("account", ["all", "session=s", "user.id=x", "agent=told"])
def test_a_stop_refuses_the_next_call(ledger, account):
    asked = hold("a", accounts=("all", "session=s", within("user.id@1m=x", read_window("1m").interval(NOW))))
    asked = replace(asked, subjects=lambda: ("agent=told",))
    decide(ledger, stopped(account), Control(account="session=other", stopped=True))
    answer = ledger.reserve(asked, now=NOW)
    assert answer == Refusal(Cap(account, Meter.CALLS, 0), 0, 0, 0, stop=Stop(who="ann", why="too dear", at=NOW))
    assert ledger.count(asked, now=NOW) == answer
    caps = tuple(cap(9, current(name, NOW)) for name in ("all", "session=s", "user.id@1m=x"))
    assert ledger.used_up(caps, ("agent=told",), now=NOW) == answer
    assert not ledger.holds()
    decide(ledger)
    assert isinstance(ledger.reserve(asked, now=NOW), Reservation)
    assert ledger.used_up((), ("agent=told",), now=NOW) is None


def test_a_stop_leaves_others_alone_and_what_is_open_is_settled(ledger):
    reserve(ledger, "a", accounts=("all", "session=s"))
    decide(ledger, stopped("session=s"))
    assert reserve(ledger, "b", accounts=("all", "session=t"))
    ledger.settle(line("a"), (), amounts(), now=NOW)
    assert ledger.balances(["session=s"])["session=s"].settled == amounts()


def test_a_top_up_raises_each_cap_of_its_meter_for_its_time(ledger):
    decide(ledger, Control(account="session=s", top_ups=(TopUp(meter=Meter.USD, amount=50, until=NOW + 10),)))
    caps = (cap(100, "session=s"),)

    def ask(call, usd, now, caps=caps):
        return ledger.reserve(hold(call, usd, accounts=("all", "session=s"), caps=caps), now=now)

    assert isinstance(ask("a", 150, NOW), Reservation)
    assert ask("b", 1, NOW) == Refusal(caps[0], 0, 150, 1, extra=50)
    assert ask("b", 1, NOW).amount == 150
    assert ledger.used_up(caps, now=NOW) == Refusal(caps[0], 0, 150, 0, extra=50)
    assert ask("b", 1, NOW + 10) == Refusal(caps[0], 0, 150, 1)
    assert isinstance(ask("c", 1, NOW, (Cap("session=s", Meter.CALLS, 1),)), Refusal), "of another meter"
    assert isinstance(ask("d", 1, NOW, (cap(99, "all"),)), Refusal), "of another account"


def test_a_top_up_holds_for_the_windows_of_its_account(ledger):
    decide(ledger, Control(account="user=a", top_ups=(TopUp(meter=Meter.USD, amount=50),)))
    name = current("user@day=a", NOW)
    assert isinstance(
        ledger.reserve(hold("a", 150, accounts=("all", name), caps=(cap(100, name),)), now=NOW), Reservation
    )


def test_decisions_add_up_whoever_makes_them(ledger):
    """Each is told what is in force, and what it raises passes and changes nothing."""
    for number in range(3):
        ledger.control(
            lambda text, n=number: Controls([*read(text).by_account.values(), stopped(f"session={n}")]).written(),
            now=NOW,
        )
    with pytest.raises(ZeroDivisionError):
        ledger.control(lambda _: str(1 / 0), now=NOW)
    assert sorted(read(ledger.controls()).by_account) == [f"session={n}" for n in range(3)]


def test_what_a_later_version_wrote_is_read_as_far_as_it_is_known():
    text = '[{"account": "all", "stopped": true, "new": 1, "top_ups": [{"meter": "new", "amount": 1}]}, "new"]'
    assert read(text).stop(["all"]) == Control(account="all", stopped=True)
    assert Controls([Control(account="all")]).written() is None
