"""A hand on the switch, in every ledger: stops and top-ups bind the next call, of every key and window."""

from dataclasses import replace

import pytest

from agent_fuse.account_names import current, within
from agent_fuse.ledgers.base import Cap, Meter, Refusal, Reservation, Stop
from agent_fuse.ledgers.controls import Control, TopUp, read, read_one
from agent_fuse.windows import read as read_window
from ledgers.samples import NOW, amounts, cap, hold, line, reserve


def decide(ledger, *those):
    """Those are in force, and nothing else."""
    before, after = ledger.controls(), {one.account: one.written() for one in those}
    for name in before | after:
        assert ledger.control(name, before.get(name), after.get(name), now=NOW)


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


@pytest.mark.parametrize(("meter", "later"), [(Meter.CONCURRENT, 0), (Meter.SECONDS, 4)])
def test_a_top_up_raises_meters_that_do_not_add_up(ledger, meter, later):
    """Two open calls where one was admitted, or six seconds where there were four; no more than that."""
    caps = (Cap("session=s", meter, 4 if later else 1),)

    def ask(call, now):
        return ledger.reserve(hold(call, 1, accounts=("all", "session=s"), caps=caps), now=now)

    assert isinstance(ask("a", NOW), Reservation)
    assert isinstance(ask("b", NOW + later), Refusal)
    decide(ledger, Control(account="session=s", top_ups=(TopUp(meter=meter, amount=2 if later else 1),)))
    assert ledger.used_up(caps, now=NOW + later) is None
    assert isinstance(ask("b", NOW + later), Reservation)
    answer = ask("c", NOW + later + 2)
    assert isinstance(answer, Refusal)
    assert answer.amount == caps[0].amount + answer.extra == (6 if later else 2)
    assert isinstance(ledger.used_up(caps, now=NOW + later + 2), Refusal)


def test_a_top_up_holds_for_the_windows_of_its_account(ledger):
    decide(ledger, Control(account="user=a", top_ups=(TopUp(meter=Meter.USD, amount=50),)))
    name = current("user@day=a", NOW)
    assert isinstance(
        ledger.reserve(hold("a", 150, accounts=("all", name), caps=(cap(100, name),)), now=NOW), Reservation
    )


def test_whoever_decides_last_has_seen_what_is_in_force(ledger):
    """A decision on top of what was changed in between is turned down, and its note is not written."""
    first, second = (stopped("session=a", top_ups=(TopUp(meter=Meter.USD, amount=n),)).written() for n in (1, 2))
    assert ledger.control("session=a", None, first, ("control/1", b"one"), now=NOW)
    assert not ledger.control("session=a", None, second, ("control/2", b"two"), now=NOW)
    assert not ledger.control("session=a", second, None, now=NOW)
    assert ledger.controls() == ledger.controls(["session=a", "all"]) == {"session=a": first}
    assert ledger.controls(["session=b"]) == {}
    assert ledger.update_note("control/1", lambda text: (text, text), now=NOW) == b"one"
    assert ledger.update_note("control/2", lambda text: (text, text), now=NOW) is None
    assert ledger.control("session=a", first, None, now=NOW)
    assert ledger.controls() == {}


def test_a_decision_is_written_without_what_has_ended():
    """Top-ups for good add up to one for each meter, so that what is in force never grows."""
    lasting = tuple(TopUp(meter=meter, amount=n) for n in (1, 2) for meter in (Meter.USD, Meter.CALLS))
    ending = tuple(TopUp(meter=Meter.USD, amount=n, until=NOW + n) for n in (0, 5))
    one = Control(account="all", top_ups=(*lasting, *ending)).in_force_at(NOW)
    assert one.top_ups == (TopUp(meter=Meter.USD, amount=3), TopUp(meter=Meter.CALLS, amount=3), ending[1])
    assert read_one("all", one.written()) == one


def test_what_a_later_version_wrote_is_read_as_far_as_it_is_known():
    text = '{"stopped": true, "new": 1, "top_ups": [{"meter": "new", "amount": 1}]}'
    assert read({"all": text}).stop(["all"]) == Control(account="all", stopped=True)
    assert Control(account="all").written() is None
