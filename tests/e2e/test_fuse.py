"""The path of a call through the fuse: who judges, who only looks, what a refusal leaves behind, what comes in between."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from agent_fuse import Limit, SentinelBudgetExceeded, SentinelSystemError
from agent_fuse.accounting.call_request import CallRequest, Stage
from agent_fuse.calls import Status, Usage
from agent_fuse.ledgers.base import Meter
from agent_fuse.ledgers.controls import Control, Waiter
from agent_fuse.quotes import Quote
from agent_fuse.sightings import Layer, Outcome
from agent_fuse.testing import assert_books_balance
from fuses import PRICE, Desk

USAGE = Usage(input_tokens=1000, output_tokens=500)
HALF = Usage(input_tokens=500, output_tokens=250)


# What comes in the middle of our own work ------------------------------------------------------------------------------


def test_facts_told_in_the_middle_of_our_own_work_are_not_judged_there() -> None:
    """A finaliser that tells more of an open call while the ledger works does not enter the ledger a second time."""
    desk = Desk(budget=1)
    first = desk.open()
    desk.before["reserve"] = lambda: desk.fuse.requote(first, desk.ask(estimate=(100_000, 50_000)))
    second = desk.open()
    assert desk.asked["reserve"] == 2
    assert desk.held() == 2 * PRICE
    desk.fuse.close_call(first, usage=USAGE)
    desk.fuse.close_call(second, usage=USAGE)
    assert (desk.spent(), desk.held()) == (2 * PRICE, 0)


def test_a_call_made_in_the_middle_of_our_own_work_is_blocked() -> None:
    """A signal handler that calls a model while the ledger works cannot be judged: fail_safe=True refuses it."""
    desk = Desk(budget=1)
    trips: list[SentinelSystemError] = []

    def handler() -> None:
        with pytest.raises(SentinelSystemError, match="the fuse is at work here already") as caught:
            desk.open()
        trips.append(caught.value)

    desk.before["reserve"] = handler
    desk.open()
    assert [one.operation for one in trips] == ["reserve"]
    assert desk.asked["reserve"] == 1
    assert desk.fuse.open_calls() == 1


def test_a_call_made_in_the_middle_of_our_own_work_may_go() -> None:
    """With fail_safe=False it goes, holds nothing, and is booked all the same when it ends."""
    desk = Desk(budget=1)
    seen = []
    outer = desk.fuse
    # A ledger in memory stands in for the one with arrears, whose outages are not the point here.
    object.__setattr__(outer.settings, "fail_safe", False)
    desk.before["reserve"] = lambda: seen.append(desk.open())
    desk.open()
    assert desk.asked["reserve"] == 1
    assert desk.held() == PRICE
    desk.fuse.close_call(seen[0], usage=USAGE)
    assert desk.spent() == PRICE


def test_an_end_in_the_middle_of_our_own_work_is_booked_right_after() -> None:
    """A span ended by the garbage collector inside the ledger is booked once the work it interrupted is over."""
    desk = Desk(budget=1)
    first = desk.open()
    inside: list[int] = []

    def collected() -> None:
        desk.fuse.close_call(first, usage=USAGE)
        inside.append(desk.asked["settle"])

    desk.before["reserve"] = collected
    desk.open()
    assert inside == [0]
    assert (desk.spent(), desk.held()) == (PRICE, PRICE)


def test_reading_in_the_middle_of_our_own_work_ends_it_for_nobody() -> None:
    """Whoever looks at balances or open calls from inside leaves the fuse at work, so that ends still wait."""
    desk = Desk(budget=1)
    first = desk.open()

    def looked() -> None:
        desk.fuse.balances(["all"])
        desk.fuse.open_calls()
        assert desk.fuse.reentrancy.busy
        desk.fuse.close_call(first, usage=USAGE)
        assert desk.asked["settle"] == 0

    desk.before["release"] = looked
    desk.fuse.close_call(desk.open(), outcome=Outcome.FAILED)
    assert desk.asked["settle"] == 1
    assert not desk.fuse.reentrancy.busy


# Asking again -----------------------------------------------------------------------------------------------------------


def test_a_better_figure_replaces_the_hold() -> None:
    """More known of a call before it is sent changes its own hold; it does not take a second one."""
    desk = Desk(budget=1)
    seen = desk.open()
    desk.fuse.requote(seen, desk.ask(estimate=(2000, 1000)))
    assert desk.held() == 2 * PRICE
    assert desk.ledger.balances(["all"])["all"].held.calls == 1


def test_an_ended_call_is_not_asked_for_again() -> None:
    """Facts told after the end (a stream's last chunk) hold nothing."""
    desk = Desk(budget=1)
    seen = desk.open()
    desk.fuse.close_call(seen, usage=USAGE)
    desk.fuse.requote(seen, desk.ask(estimate=(2000, 1000)))
    assert desk.held() == 0
    assert desk.asked["reserve"] == 1


def test_a_refused_second_asking_gives_the_first_hold_back() -> None:
    """A call that turns out too dear before it is sent is refused once, and holds nothing any more."""
    desk = Desk(budget=Decimal("0.01"))
    seen = desk.open()
    with pytest.raises(SentinelBudgetExceeded):
        desk.fuse.requote(seen, desk.ask(estimate=(2000, 1000)))
    assert desk.held() == 0
    assert desk.statuses() == ["refused"]
    assert desk.fuse.open_calls() == 0
    desk.fuse.close_call(seen, outcome=Outcome.FAILED)
    assert desk.statuses() == ["refused"]
    assert_books_balance(desk.ledger)


def test_the_layer_that_knows_the_body_keeps_its_hold() -> None:
    """A layer that knows less (no body, a URL, a gate that leaves the hold to another) does not replace the quote."""
    desk = Desk(budget=1)
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x" * 4000}], "max_tokens": 500}
    framework = desk.open(layer=Layer.FRAMEWORK, source="langchain")
    request = desk.open(layer=Layer.REQUEST, source="request", estimate=None, body=body, around=[framework])
    held = desk.held()
    assert held != PRICE
    desk.fuse.requote(framework, desk.ask(layer=Layer.FRAMEWORK, source="langchain", estimate=(1, 1)))
    assert desk.held() == held
    desk.open(layer=Layer.WIRE, source="httpx", estimate=(1, 1), around=[request])
    assert desk.held() == held
    desk.fuse.requote(framework, desk.ask(layer=Layer.FRAMEWORK, stage=Stage.FOLLOWED, estimate=(1, 1)))
    assert desk.held() == held
    more = {**body, "max_tokens": 600}
    desk.fuse.requote(request, desk.ask(layer=Layer.REQUEST, source="request", estimate=None, body=more))
    assert desk.held() > held


def test_a_request_on_the_wire_is_held_by_what_is_around_it() -> None:
    """An HTTP span alone knows a URL; where a span around it told the model but left the hold, it holds by that."""
    desk = Desk(budget=1)
    client = desk.open(stage=Stage.FOLLOWED)
    assert desk.held() == 0
    desk.open(layer=Layer.WIRE, source="httpx", model="", estimate=None, around=[client])
    assert desk.held() == PRICE
    desk.fuse.close_call(client, usage=HALF)
    (entry,) = desk.books.entries()
    assert (entry.model, entry.cost) == ("gpt-4o", PRICE // 2)


def test_whose_account_it_is_may_be_told_late() -> None:
    """A call that holds nothing yet is held on the accounts that the later, better informed layer names."""
    desk = Desk(budget=1)
    framework = desk.open("early", layer=Layer.FRAMEWORK, source="langchain", stage=Stage.FOLLOWED)
    request = desk.open("told", layer=Layer.REQUEST, source="request", around=[framework])
    assert (desk.held("session=early"), desk.held("session=told")) == (0, PRICE)
    desk.fuse.requote(request, desk.ask("third", layer=Layer.REQUEST, source="request"))
    assert (desk.held("session=third"), desk.held("session=told")) == (0, PRICE), "a hold stays where it is"
    desk.fuse.close_call(request, usage=USAGE)
    assert desk.spent("session=told") == PRICE


# Looking, and leaving the call to an exact gate ------------------------------------------------------------------------


def test_where_an_exact_gate_follows_the_ledger_is_not_asked() -> None:
    """The call is left to the gate that knows its body, however little is left and whoever was refused before."""
    desk = Desk(limits=Limit(calls=1))
    desk.open()
    with pytest.raises(SentinelBudgetExceeded):
        desk.open()
    asked = desk.asked.copy()
    desk.open(stage=Stage.FOLLOWED)
    assert desk.asked == asked


def test_a_look_refuses_once_nothing_is_left() -> None:
    """A used-up limit stops a call whose model is yet to be told, whatever it counts; held money counts as used."""
    for limit in (Limit(usd=Decimal("0.0075")), Limit(calls=1), Limit(tokens=1500), Limit(output_tokens=500)):
        desk = Desk(limits=limit)
        desk.open()
        with pytest.raises(SentinelBudgetExceeded) as caught:
            desk.open(stage=Stage.UNNAMED)
        assert caught.value.requested == 0
        assert caught.value.meter == limit.meter
        assert desk.asked["reserve"] == 1


def test_a_look_lets_a_call_go_while_anything_is_left() -> None:
    """One nano-dollar left is something: the hold decides."""
    desk = Desk(budget=Decimal("0.007500001"))
    desk.open()
    desk.open(stage=Stage.UNNAMED)


def test_a_used_up_limit_on_tool_calls_stops_no_model_call() -> None:
    """What the model may still say is not the tools' limit to refuse."""
    desk = Desk(limits=(Limit(tool_calls=0), Limit(calls=1)))
    desk.open()
    with pytest.raises(SentinelBudgetExceeded) as caught:
        desk.open(stage=Stage.UNNAMED)
    assert caught.value.meter == "calls"
    desk = Desk(limits=Limit(tool_calls=0))
    desk.open(stage=Stage.UNNAMED)


def test_a_limit_whose_key_is_yet_to_be_told_refuses_at_no_look() -> None:
    """What is used up is used up for those who lack the key; whether this call does is known when it is held."""
    desk = Desk(limits=Limit(calls=1, per="user.id"))
    desk.open()
    seen = desk.open(model="", stage=Stage.UNNAMED)
    with pytest.raises(SentinelBudgetExceeded):
        desk.fuse.requote(seen, desk.ask())


def test_a_call_that_is_held_is_behind_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others wait for room: a better figure of a call that has its place already does not come after them."""
    desk = Desk(limits=Limit(usd="0.02", on_limit="wait", max_wait=60)).sleeping(monkeypatch)
    seen, now = desk.open(), desk.clock()
    waits = Waiter(since=now - 1, id="w", on="session=s", meter=Meter.USD, amount=PRICE, until=now + 5)
    control = Control(account="session=s", waiting=(waits,)).written()
    assert desk.ledger.control("session=s", None, control, now=now)
    desk.fuse.requote(seen, desk.ask(estimate=(2000, 1000)))
    assert (desk.held(), desk.slept) == (2 * PRICE, [])
    desk.open(estimate=(100, 50))
    assert desk.slept


def test_a_free_model_passes_a_used_up_budget() -> None:
    """A model that costs nothing is let go with no money left, at the first gate as at the exact one; not past calls."""
    from agent_fuse import Price

    desk = Desk(limits=(Limit(usd=0), Limit(calls=1)), prices={"free": Price(input=0, output=0)})
    with pytest.raises(SentinelBudgetExceeded):
        desk.open()
    desk.open(model="free", stage=Stage.UNNAMED)
    desk.open(model="free")
    with pytest.raises(SentinelBudgetExceeded) as caught:
        desk.open(model="free", stage=Stage.UNNAMED)
    assert caught.value.meter == "calls"
    with pytest.raises(SentinelBudgetExceeded):
        desk.open(model="", stage=Stage.UNNAMED)


def test_a_call_whose_model_is_awaited_is_looked_at_each_time() -> None:
    """Before its model is told a call cannot be priced: it is only looked at, and held once it can be."""
    desk = Desk(budget=1)
    seen = desk.open(model="", stage=Stage.UNNAMED)
    assert (desk.asked["used_up"], desk.asked["reserve"]) == (1, 0)
    desk.fuse.requote(seen, desk.ask())
    assert desk.held() == PRICE


# Late sightings ---------------------------------------------------------------------------------------------------------


def test_a_late_call_is_booked_and_never_refused() -> None:
    """What is seen only after the work is booked past every limit, without a hold, and without a tripped session's trip."""
    desk = Desk(budget=0)
    desk.fuse.tripped.blow("s", SentinelBudgetExceeded("no"))
    seen = desk.open(stage=Stage.OVER)
    assert desk.asked["reserve"] == 0
    desk.fuse.close_call(seen, usage=USAGE)
    assert desk.spent() == PRICE
    with pytest.raises(SentinelBudgetExceeded, match="no"):
        desk.open()


def test_when_a_late_call_began_is_told() -> None:
    """A span made after the response belongs to the request that ran while it says that it ran, not to a later one."""
    import time

    desk = Desk(budget=1)
    now = time.time()
    request = desk.open(layer=Layer.REQUEST, source="request")
    desk.fuse.close_call(request, usage=USAGE, ended_at=now + 1)
    late = desk.open(stage=Stage.OVER, started_at=now - 5)
    desk.fuse.close_call(late, usage=USAGE, ended_at=now + 2)
    assert desk.spent() == PRICE
    another = desk.open(stage=Stage.OVER, started_at=now + 100)
    desk.fuse.close_call(another, usage=USAGE, ended_at=now + 101)
    assert desk.spent() == 2 * PRICE


# A tripped session -----------------------------------------------------------------------------------------------------------


def test_a_blown_fuse_stops_the_next_call_once() -> None:
    """The session's next call is refused with the trip that blew it, written down, and the one after it is judged anew."""
    desk = Desk(budget=1)
    trip = SentinelBudgetExceeded("three times swallowed", session="s")
    desk.fuse.tripped.blow("s", trip)
    desk.open("another")
    with pytest.raises(SentinelBudgetExceeded, match="three times swallowed") as caught:
        desk.open()
    assert caught.value is not trip, "each is raised afresh, with a traceback of its own"
    assert desk.asked["reserve"] == 1
    assert desk.statuses().count("refused") == 1
    desk.open()


# The end of a call ------------------------------------------------------------------------------------------------------


def test_what_failed_for_nothing_gives_its_hold_back() -> None:
    """A call that cannot have cost anything is not in the books, and holds nothing."""
    desk = Desk(budget=1)
    desk.fuse.close_call(desk.open(), outcome=Outcome.FAILED)
    assert (desk.spent(), desk.held(), desk.statuses()) == (0, 0, [])


def test_a_call_that_holds_nothing_asks_for_nothing_back() -> None:
    """Where no hold was taken, the ledger is not asked to give one back."""
    desk = Desk(budget=1)
    desk.fuse.close_call(desk.open(stage=Stage.FOLLOWED), outcome=Outcome.FAILED)
    assert desk.asked["release"] == 0


def test_model_and_provider_told_at_the_end_are_booked() -> None:
    """What was not known at the start is taken from the answer; what was asked for is kept where it was known."""
    desk = Desk(budget=1)
    desk.fuse.close_call(desk.open(model="", stage=Stage.OVER), usage=USAGE, model="gpt-4o", provider="openai")
    desk.fuse.close_call(desk.open(stage=Stage.OVER, source="b"), usage=HALF, model="gpt-4o-mini", provider="openai")
    named = {(one.model, one.provider, one.cost) for one in desk.books.entries()}
    assert ("gpt-4o", "openai", PRICE) in named
    assert ("gpt-4o", "openai", PRICE // 2) in named


@pytest.mark.parametrize(
    ("operation", "told", "status", "reason", "tokens"),
    [
        ("chat", (1000, 400), Status.SETTLED, "", (1000, 400)),
        ("chat", (900, None), Status.ESTIMATED, "counted", (900, 500)),
        ("chat", (None, 400), Status.ESTIMATED, "counted", (1000, 400)),
        ("embeddings", (900, None), Status.SETTLED, "", (900, 500)),
        ("embeddings", (None, None), Status.ESTIMATED, "quote", (1000, 500)),
    ],
)
def test_usage_that_is_told_by_half(
    operation: str, told: Any, status: Status, reason: str, tokens: tuple[int, int]
) -> None:
    """What it leaves out is the quote's, and makes the line an estimate; embeddings make no output."""
    desk = Desk(budget=1)
    seen = desk.open(operation=operation)
    desk.fuse.close_call(seen, usage=Usage(input_tokens=told[0], output_tokens=told[1]))
    (entry,) = desk.books.entries()
    assert (entry.status, entry.reason) == (status, reason)
    assert (entry.input_tokens, entry.output_tokens) == tokens


def test_the_first_response_id_that_is_told_is_kept() -> None:
    """The journal's line carries the id of the response, from whichever layer knew it."""
    desk = Desk(budget=1)
    framework = desk.open(layer=Layer.FRAMEWORK, source="langchain")
    request = desk.open(layer=Layer.REQUEST, source="request", around=[framework])
    desk.fuse.close_call(request, usage=USAGE, response_id="resp_1")
    desk.fuse.close_call(framework, usage=USAGE)
    assert [one.response_id for one in desk.books.entries()] == ["resp_1"]


def test_open_calls_are_counted() -> None:
    """How many calls of this process are under way: one for each call, however many layers see it."""
    desk = Desk(budget=1)
    assert desk.fuse.open_calls() == 0
    framework = desk.open(layer=Layer.FRAMEWORK, source="langchain")
    request = desk.open(layer=Layer.REQUEST, source="request", around=[framework])
    assert desk.fuse.open_calls() == 1
    desk.fuse.close_call(request, usage=USAGE)
    assert desk.fuse.open_calls() == 1
    desk.fuse.close_call(framework, usage=USAGE)
    assert desk.fuse.open_calls() == 0


def test_gates_are_timed_under_their_layer() -> None:
    """While someone wants to know, each gate tells its name and its seconds, refused calls included, late ones not."""
    desk = Desk(budget=Decimal("0.0075"))
    told: list[tuple[str, float]] = []
    desk.fuse.accounting.on_gate.add(lambda name, seconds: told.append((name, seconds)))
    desk.open(layer=Layer.REQUEST, source="request")
    with pytest.raises(SentinelBudgetExceeded):
        desk.open()
    desk.open(stage=Stage.OVER)
    assert [name for name, _ in told] == ["request", "client"]
    assert all(0 < seconds < 60 for _, seconds in told)


def test_another_fuses_call_is_not_joined() -> None:
    """What happens inside a call of another fuse is a call of its own here: nothing of that one's is booked or freed."""
    mine, other = Desk(budget=1), Desk(budget=1)
    outer = other.open(layer=Layer.FRAMEWORK, source="langchain")
    inner = mine.open(layer=Layer.REQUEST, source="request", around=[outer])
    assert (mine.held(), other.held()) == (PRICE, PRICE)
    mine.fuse.close_call(inner, usage=USAGE)
    other.fuse.close_call(outer, outcome=Outcome.FAILED)
    assert (mine.spent(), mine.held(), other.spent(), other.held()) == (PRICE, 0, 0, 0)


# Faults of our own, and what an answer may add ---------------------------------------------------------------------------


@pytest.mark.parametrize(("fail_safe", "stage"), [(True, Stage.READY), (False, Stage.READY), (True, Stage.OVER)])
def test_a_fault_in_opening_is_judged_by_fail_safe(
    monkeypatch: pytest.MonkeyPatch, fail_safe: bool, stage: Stage
) -> None:
    """It blocks a call that is yet to be made, where fail_safe says so; one that was made is booked all the same."""
    desk = Desk(budget=1)
    object.__setattr__(desk.fuse.settings, "fail_safe", fail_safe)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(desk.fuse._sightings, "open", broken)
    if fail_safe and stage is Stage.READY:
        with pytest.raises(SentinelSystemError, match="a fault of ours"):
            desk.open(stage=stage)
        assert desk.asked["reserve"] == 0
        return
    seen = desk.open(stage=stage)
    monkeypatch.undo()
    desk.fuse.close_call(seen, usage=USAGE)
    assert desk.spent() == PRICE


def test_an_answer_names_what_the_request_left_out_and_nothing_else() -> None:
    """Provider and model that were asked for stand in the journal; those that were not are the answer's."""
    desk = Desk(budget=1)
    desk.fuse.close_call(desk.open(provider="azure"), usage=USAGE, model="gpt-4o-2024-08-06", provider="openai")
    desk.fuse.close_call(desk.open(model=""), usage=USAGE, model="gpt-4o", provider="openai")
    desk.fuse.close_call(desk.open(model="", provider="azure"), usage=USAGE, model="gpt-4.1", provider="openai")
    found = {(one.provider, one.model) for one in desk.books.entries()}
    assert found == {("openai", "gpt-4o"), ("azure", "gpt-4o"), ("azure", "gpt-4.1")}


def test_a_retired_fuse_keeps_its_ledger_until_its_last_call_is_booked(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is closed when the last call ends, not before; what serves again is not closed at all."""
    desk = Desk(budget=1)
    closed: list[bool] = []
    monkeypatch.setattr(desk.ledger, "close", lambda: closed.append(True))
    first, second = desk.open(), desk.open()
    desk.fuse.retire()
    desk.fuse.close_call(first, usage=USAGE)
    assert closed == []
    desk.fuse.close_call(second, usage=USAGE)
    assert closed == [True]
    desk.fuse.serve()
    desk.fuse.close_call(desk.open(), usage=USAGE)
    assert closed == [True]


@pytest.mark.parametrize(
    ("limit", "asked", "options"),
    [
        (Limit(usd="0.0302"), 1, {}),
        (Limit(usd="0.03"), 2, {}),
        (Limit(calls=3), 1, {}),
        (Limit(calls=2), 2, {}),
        (Limit(concurrent=1), 1, {}),
        (Limit(usd="0.0075"), 2, {}),  # the bound is refused, the call is not
        (Limit(calls=9), 1, {"warn_at": (0.2,)}),
        (Limit(calls=5), 2, {"warn_at": (0.2,)}),
    ],
)
def test_a_quote_by_a_bound_is_made_anew_where_there_is_little_room(
    monkeypatch: pytest.MonkeyPatch, limit: Limit, asked: int, options: dict[str, Any]
) -> None:
    """While a vocabulary is loaded a bound does, unless it crowds a limit or warns; then the exact quote is waited for."""
    desk = Desk(limits=[limit], **options)
    real = desk.fuse.accounting.quote

    def quote(request: CallRequest, *, wait: bool = True) -> Quote:
        made = real(request)
        return made if wait else replace(made, cost=2 * made.cost, provisional=True)

    monkeypatch.setattr(desk.fuse.accounting, "quote", quote)
    desk.open()
    assert desk.asked["reserve"] == asked


def test_a_call_that_is_left_to_another_gate_asks_nothing_inside_another() -> None:
    """Two layers that both leave it to the gate that follows read no balance and take no hold."""
    desk = Desk(budget=1)
    outer = desk.open(layer=Layer.FRAMEWORK, source="langchain", stage=Stage.FOLLOWED)
    inner = desk.open(around=[outer], stage=Stage.FOLLOWED)
    assert inner.call is outer.call
    assert (desk.asked["used_up"], desk.asked["reserve"]) == (0, 0)
