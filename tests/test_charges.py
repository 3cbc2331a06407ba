"""Costs beside the model's: tools with a price, and charges by hand, in the same limits as everything else."""

import collections
from contextlib import nullcontext, suppress

import pytest

from agent_fuse import Limit, SentinelBudgetExceeded, SentinelLoopError, call, charge, loop_guard, remaining, session
from agent_fuse.errors import ConfigurationError
from agent_fuse.settings import settings

ONE = 10**9


def costs(rig):
    return [(one.tool or one.model, one.cost, str(one.status)) for one in rig.books.entries()]


def test_a_charge_is_held_and_then_booked(box):
    rig = box(budget=1)
    with session("run"):
        with charge("gpu", 0.6) as one:
            assert (one.name, str(one.usd)) == ("gpu", "0.6")
            assert rig.books.held("session=run") == 6 * ONE // 10
            assert str(remaining().usd) == "0.4"
            with pytest.raises(SentinelBudgetExceeded, match=r"tool 'gpu' .* it may cost \$0.60"), charge("gpu", 0.6):
                pytest.fail("its work began")
        assert rig.books.held("session=run") == 0
        with charge("gpu", "0.4") as one:
            one.usd = "0.1"
        assert str(remaining().usd) == "0.3"
    assert [one for one in costs(rig) if one[2] == "settled"] == [
        ("gpu", 6 * ONE // 10, "settled"),
        ("gpu", ONE // 10, "settled"),
    ]


def test_what_fails_costs_nothing(box):
    rig = box(budget=1)
    with session("run"):
        with pytest.raises(ZeroDivisionError), charge("gpu", 0.6):
            raise ZeroDivisionError
        assert str(remaining().usd) == "1"
    assert costs(rig) == [("gpu", 0, "settled")]


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_what_a_limit_would_refuse_is_booked_by_what_it_cost(box, mode):
    """Only observed, it runs, is held as it was quoted, and is booked by its real cost: none where it failed."""
    rig = box(budget=1, mode=mode)
    refusing = pytest.raises(SentinelBudgetExceeded) if mode == "enforce" else nullcontext()
    with refusing, charge("gpu", 1.5) as one:
        assert rig.books.held("session=test") == 15 * ONE // 10
        one.usd = "0.1"
    assert rig.spent() == (0 if mode == "enforce" else ONE // 10)
    with suppress(ZeroDivisionError, SentinelBudgetExceeded), charge("gpu", 1.5):
        raise ZeroDivisionError
    assert rig.spent() == (0 if mode == "enforce" else ONE // 10)
    assert rig.books.open_holds() == []


def test_an_order_is_booked_once(box):
    rig = box(budget=1)
    for _ in range(2):
        with session("run"), charge("gpu", 0.6, id="order-1"):
            pass
    assert rig.spent("run") == 6 * ONE // 10
    assert len(rig.books.entries()) == 1


def test_an_order_that_failed_is_booked_when_it_is_tried_again(box):
    rig = box(budget=1)
    with session("run"):
        for _ in range(2):
            with pytest.raises(ZeroDivisionError), charge("gpu", 0.6, id="order-1"):
                raise ZeroDivisionError
        for _ in range(2):
            with charge("gpu", 0.6, id="order-1"):
                pass
        with pytest.raises(ZeroDivisionError), charge("gpu", 0.1, id="order-1"):
            raise ZeroDivisionError
    assert rig.spent("run") == 6 * ONE // 10
    assert sorted(one[1] for one in costs(rig)) == [0, 0, 0, 6 * ONE // 10]
    assert not list(rig.fuse.ledger.holds())


def test_models_and_charges_share_a_limit(box):
    box(limits=[Limit(usd="0.02", per="all")])
    with session("run"):
        with charge("search", "0.01"), call("gpt-4o", 1000, 500):
            pass
        with pytest.raises(SentinelBudgetExceeded), call("gpt-4o", 1000, 500):
            pass


def test_tools_have_prices(box):
    """A fixed one, and one that its arguments and result tell: held at the most that it has cost."""
    told = []

    def price(arguments, result):
        told.append((arguments, result))
        return result["seconds"] * 0.01

    rig = box(budget="0.5", tool_prices={"search": "0.05", "sandbox": price}, loop_threshold=50)

    @loop_guard
    def search(query):
        return [query]

    @loop_guard
    def sandbox(seconds):
        return {"seconds": seconds}

    @loop_guard
    def free():
        return None

    with session("run"):
        search("a")
        sandbox(10)
        free()
        assert str(remaining().usd) == "0.35"
        sandbox(5)
        for number in range(5):
            search(number)
        with pytest.raises(SentinelBudgetExceeded, match=r"tool 'sandbox' .* may cost \$0.10"):
            sandbox(1)
    assert costs(rig)[:3] == [
        ("search", 50_000_000, "settled"),
        ("sandbox", 100_000_000, "settled"),
        ("free", 0, "settled"),
    ]
    assert [result for _, result in told] == [{"seconds": 10}, {"seconds": 5}]
    assert told[0][0] == {"seconds": 10}
    assert rig.books.held("session=run") == 0


def test_a_tool_that_fails_costs_nothing_and_still_loops(box):
    rig = box(budget="0.5", tool_prices={"search": "0.05"}, loop_threshold=3)

    @loop_guard
    def search(query):
        raise ValueError(query)

    def fail():
        with suppress(ValueError):
            search("a")

    with session("run"), pytest.raises(SentinelLoopError):
        collections.deque(iter(fail, "never"))
    assert rig.spent("run") == 0
    assert rig.books.held("session=run") == 0


def test_a_price_that_cannot_be_told_is_booked_as_it_was_held(box, caplog):
    """The function is the user's own: its fault is told as such, on one line."""
    rig = box(budget="0.5", tool_prices={"search": lambda arguments, result: result / 10})

    @loop_guard
    def search(query):
        return query

    with session("run"):
        search(1)
        search("no number")
    assert [cost for _, cost, _ in costs(rig)] == [100_000_000, 100_000_000]
    said = next(one for one in caplog.messages if "tool_prices['search'] failed" in one)
    assert said.endswith("its run is booked at $0.10, the most that one has cost so far")
    assert "please report" not in caplog.text


def test_limits_on_tool_calls_count_priced_ones(box):
    box(limits=[Limit(tool_calls=2)], tool_prices={"search": "0.01"})

    @loop_guard
    def search(query):
        return query

    with session("run"):
        search(1)
        with charge("gpu", 1):
            pass
        with pytest.raises(SentinelBudgetExceeded, match="2 tool calls"):
            search(2)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"search": "much"}, "tool_prices['search'] is 'much'"),
        ({"search": -1}, "tool_prices['search'] is -1"),
        ("search", "tool_prices['search'] is ''"),
        (3, "it must map tool names to US dollars, as in search=0.01"),
    ],
)
def test_a_price_that_cannot_be(given, words):
    with pytest.raises(ConfigurationError) as caught:
        settings({}, tool_prices=given)
    assert words in str(caught.value)
    assert settings({"AGENTFUSE_TOOL_PRICES": "search=0.01, fetch=2"}).tool_prices["fetch"] == 2


@pytest.mark.parametrize("given", [("", 1), ("gpu", "much"), ("gpu", -1), ("gpu", float("nan"))])
def test_a_charge_that_cannot_be(box, given):
    box(budget=1)
    with pytest.raises(ConfigurationError, match="charge"), charge(*given):
        pytest.fail("its work began")
