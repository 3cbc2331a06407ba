"""Counters: what they say is what the ledger holds, to the nano-dollar, in a bounded number of series."""

import os
import signal
import subprocess
import sys
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_fuse.account_names import ALL
from agent_fuse.accounting.call_request import CallRequest, Stage
from agent_fuse.calls import NANOS_PER_USD, Entry, Status, Usage, to_nanos
from agent_fuse.errors import SentinelBudgetExceeded
from agent_fuse.ledgers.base import Meter
from agent_fuse.limits import Limit
from agent_fuse.sightings import Layer
from agent_fuse.telemetry import instruments as table
from agent_fuse.telemetry.totals import MAX_NAMES, MAX_SERIES, OTHER, Series, Totals
from agent_fuse.testing import LedgerReader

from .desk import desk, read


def nanos(usd: float) -> int:
    return round(Decimal(usd) * NANOS_PER_USD)


@given(st.integers(0, 8_000_000 * NANOS_PER_USD))
def test_a_total_survives_the_float(total):
    """A total in integer nano-dollars, shown as a double of USD, can be read back exactly, up to 8 million USD."""
    assert nanos(total / NANOS_PER_USD) == total


@given(st.lists(st.integers(0, 2_000_000_000), min_size=1, max_size=200))
def test_a_sum_of_series_survives_the_float(parts):
    """So can the sum over series that a query makes of them, for totals of thousands of dollars."""
    assert nanos(sum(part / NANOS_PER_USD for part in parts)) == sum(parts)


def test_counters_say_what_the_ledger_holds():
    """Cost, tokens and calls, summed over all series, are the ledger's, through more calls than fit in the queue."""
    one = desk(budget=1000)
    for number in range(700):
        one.call(
            told=(number, number % 7),
            model=("gpt-4o", "gpt-4o-mini", "claude-opus-4-6")[number % 3],
            agent=f"a{number % 5}",
        )
    books = LedgerReader(one.fuse.ledger)
    seen = read(one.reader)
    assert sum(nanos(value) for _, value in seen["agent_fuse.cost"]) == books.spent(ALL)
    assert len(seen["agent_fuse.cost"]) == 15
    assert sum(value for _, value in seen["agent_fuse.tokens"]) == books.spent(ALL, Meter.TOKENS)
    assert one.total("agent_fuse.tokens", **{"gen_ai.token.type": "output"}) == books.spent(ALL, Meter.OUTPUT_TOKENS)
    assert one.total("agent_fuse.calls") == books.spent(ALL, Meter.CALLS) == 700
    assert nanos(seen["agent_fuse.ledger.spent"][0][1]) == books.spent(ALL)


def test_by_whom_and_on_what():
    """A series of cost names provider, model and agent, and leaves out what is not known."""
    one = desk(budget=10)
    one.call(agent="planner")
    one.call(model="")
    assert [attributes for attributes, _ in one.points("agent_fuse.cost")] == [
        {"gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o", "gen_ai.agent.name": "planner"},
        {"gen_ai.provider.name": "openai"},
    ]


def test_sessions_are_told_apart_only_when_asked_for():
    """No metric names a session or user, unless metrics_session=True."""
    for asked in (False, True):
        one = desk(budget=1, metrics_session=asked)
        one.call(session="run-1")
        with pytest.raises(SentinelBudgetExceeded):
            one.open(session="run-2", limits=(Limit(usd=0),))
        values = {
            value for points in read(one.reader).values() for attributes, _ in points for value in attributes.values()
        }
        assert ("run-1" in values, "run-2" in values) == (asked, asked)


def test_names_are_bounded_and_the_sum_is_not_hurt():
    """Of thousands of models and agents 200 each are told apart; the rest is `other`, and nothing is lost."""
    totals = Totals()
    for number in range(5000):
        totals.book(Entry(id=str(number), at=0, status=Status.SETTLED, model=f"m{number}", agent=f"a{number}", cost=1))
    found = list(totals.cost.read())
    assert len(found) == MAX_NAMES + 1
    assert sum(total for _, total in found) == 5000
    assert found[-1] == ({"gen_ai.request.model": OTHER, "gen_ai.agent.name": OTHER}, 5000 - MAX_NAMES)


def test_combinations_are_bounded_too():
    """One instrument has at most 2,001 series, however names are combined."""
    series = Series(table.COST)
    for number in range(150 * 150):
        series.add(("", f"m{number % 150}", f"a{number // 150}", ""), 1)
    found = list(series.read())
    assert len(found) == MAX_SERIES + 1
    assert sum(total for _, total in found) == 150 * 150


def test_refusals_by_reason_and_limit():
    """A refused call counts once, under the limit that refused it; a session's own limit goes without its amount."""
    one = desk(limits=(Limit(usd=0.001), Limit(calls=2, per="agent")))
    with pytest.raises(SentinelBudgetExceeded):
        one.open(estimate=(10_000, 10_000))
    for _ in range(2):
        one.call(agent="x", told=(1, 1), session="other")
    with pytest.raises(SentinelBudgetExceeded):
        one.open(agent="x", session="third")
    with pytest.raises(SentinelBudgetExceeded):
        one.open(session="fourth", limits=(Limit(usd=0.000123),), estimate=(10_000, 10_000))
    refused = {
        (point["agent_fuse.limit"], point["agent_fuse.refused.reason"], value)
        for point, value in one.points("agent_fuse.trips")
        if value
    }
    assert refused == {
        ("$0.001 per session", "budget", 1),
        ("2 calls per agent", "budget", 1),
        ("usd per session, its own", "budget", 1),
    }


def test_refusals_and_failures_begin_at_zero():
    """They are there before the first one, so that an alert on their increase sees the first one."""
    one = desk(budget=1)
    assert {
        (point.get("agent_fuse.limit"), point["agent_fuse.refused.reason"], value)
        for point, value in one.points("agent_fuse.trips")
    } == {
        ("$1.00 per session", "budget", 0),
        (None, "loop", 0),
        (None, "system", 0),
    }
    assert {value for _, value in one.points("agent_fuse.ledger.errors")} == {0}


def test_an_estimate_that_is_corrected_counts_once():
    """A real figure takes the place of the estimate; a reader in between never sees a counter go down."""
    one = desk(budget=10)
    outer = one.open(estimate=(1000, 1000), layer=Layer.CLIENT)
    caller = outer.call.payload.request.caller
    ask = type(outer.call.payload.request)
    inner = one.fuse.open_call(
        ask(
            layer=Layer.REQUEST,
            source="request",
            caller=caller,
            provider="openai",
            model="gpt-4o",
            estimate=(1000, 1000),
        ),
        [outer],
    )
    one.fuse.close_call(inner)
    books = LedgerReader(one.fuse.ledger)
    high = one.total("agent_fuse.cost")
    assert nanos(high) == books.spent(ALL) > 0
    assert one.total("agent_fuse.calls", **{"agent_fuse.call.status": "estimated"}) == 1
    one.fuse.close_call(outer, usage=Usage(input_tokens=10, output_tokens=10))
    assert books.spent(ALL) < nanos(high)
    assert one.total("agent_fuse.cost") == high, "a counter went down"
    for _ in range(10):
        one.call(told=(1000, 1000))
    assert nanos(one.total("agent_fuse.cost")) == books.spent(ALL)
    assert one.total("agent_fuse.calls", **{"agent_fuse.call.status": "settled"}) == 11


def test_gate_durations_are_all_recorded():
    """Each gate is timed once, refused calls too, in buckets that fit; a late sighting is no gate."""
    one = desk(budget=10)
    for _ in range(600):
        one.call()
    with pytest.raises(SentinelBudgetExceeded):
        one.open(estimate=(10**9, 1))
    one.call(stage=Stage.OVER)
    one.call(layer=Layer.REQUEST)
    found = {attributes["agent_fuse.gate"]: point for attributes, point in one.points("agent_fuse.gate.duration")}
    assert found["client"].count == 601
    assert found["request"].count == 1
    assert found["client"].explicit_bounds == table.SECONDS
    assert found["client"].sum < 601 * 0.25
    assert found["client"].bucket_counts[0] < 300, "the lowest bucket holds nearly all: boundaries do not fit"
    assert found["client"].bucket_counts[-1] == 0


def test_tool_actions_count_as_calls_without_cost():
    """A tool action is a call of the operation execute_tool, costs nothing, and its gate is timed."""
    one = desk(budget=1)
    caller = one.open().call.payload.request.caller
    one.fuse.actions.open(caller, "search", {"q": "x"})
    assert one.total("agent_fuse.calls", **{"gen_ai.operation.name": "execute_tool"}) == 1
    assert one.points("agent_fuse.cost") == []
    assert "tool" in {attributes["agent_fuse.gate"] for attributes, _ in one.points("agent_fuse.gate.duration")}


def test_open_calls_are_shown_while_they_are_open():
    """The number of calls under way goes up and down with them."""
    one = desk(budget=10)
    seen = [one.open() for _ in range(3)]
    assert one.total("agent_fuse.calls.open") == 3
    for each in seen:
        one.fuse.close_call(each, usage=Usage(input_tokens=1, output_tokens=1))
    assert one.total("agent_fuse.calls.open") == 0


CRASH = """
import sys, time
from agent_fuse.accounting.call_request import CallRequest
from agent_fuse.limits import Session, Caller
from agent_fuse.otel.opening import open_fuse
from agent_fuse.settings import settings
from agent_fuse.sightings import Layer
fuse = open_fuse(settings({}, budget=5, db_path=sys.argv[1]))
fuse.open_call(CallRequest(layer=Layer.CLIENT, source="t", caller=Caller(session=Session(id="s")), model="gpt-4o", estimate=(5000, 50)))
print("open", flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_left_is_counted_once(tmp_path):
    """A call whose process was killed is presumed spent: the process that finds it counts it, and only that one."""
    path = str(tmp_path / "ledger.db")
    with subprocess.Popen([sys.executable, "-c", CRASH, path], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "open\n"
        child.send_signal(signal.SIGKILL)
    first, second = desk(budget=5, db_path=path), desk(budget=5, db_path=path)
    spent = LedgerReader(first.fuse.ledger).spent(ALL)
    assert spent == to_nanos("0.013")
    assert nanos(first.total("agent_fuse.cost")) == spent
    assert first.total("agent_fuse.calls", **{"agent_fuse.call.status": "presumed"}) == 1
    assert second.total("agent_fuse.cost") == 0


def test_a_forked_child_counts_its_own_calls(tmp_path):
    """After fork, parent and child each tell their own spend; together it is the ledger's."""
    one = desk(budget=5, db_path=str(tmp_path / "ledger.db"))
    one.call()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        one.call(told=(2000, 1))
        os.write(write_end, str(nanos(one.total("agent_fuse.cost"))).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = int(os.read(read_end, 100))
    one.call()
    books = LedgerReader(one.fuse.ledger)
    assert theirs > 0
    assert nanos(one.total("agent_fuse.cost")) + theirs == books.spent(ALL)


def test_threads_lose_nothing():
    """Calls of many threads, collected meanwhile, are all counted."""
    import threading

    one = desk(budget=1000)
    stop = threading.Event()

    def collect():
        while not stop.is_set():
            read(one.reader)
            time.sleep(0.001)

    threads = [threading.Thread(target=lambda: [one.call() for _ in range(200)]) for _ in range(6)]
    reader = threading.Thread(target=collect)
    reader.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    reader.join()
    assert nanos(one.total("agent_fuse.cost")) == LedgerReader(one.fuse.ledger).spent(ALL)
    assert one.points("agent_fuse.gate.duration")[0][1].count == 1200


def test_limits_whose_words_begin_alike_are_told_apart():
    """A refusal counts on the limit that refused, however its words begin; so does a warning."""
    from agent_fuse.limits import Caller, Session

    alike = (Limit(usd=1, per="user"), Limit(usd="0.001", per="user group"), Limit(usd=1, per="user group 'red'"))
    one = desk(limits=alike, warn_at=0.5)
    keys = {"user": "ann", "user group": "red", "user group 'red'": "x"}
    caller = Caller(session=Session(id="s"), keys=keys)
    for tokens in (200, 10_000):
        try:
            one.fuse.open_call(
                CallRequest(
                    source="t",
                    layer=Layer.CLIENT,
                    caller=caller,
                    model="gpt-4o",
                    provider="openai",
                    estimate=(tokens, 0),
                )
            )
        except SentinelBudgetExceeded:
            continue
    found = {
        (point["agent_fuse.limit"], point["agent_fuse.limit.per"], point["agent_fuse.limit.meter"])
        for point, value in one.points("agent_fuse.trips")
        if value
    }
    assert found == {("$0.001 per user group", "user group", "usd")}
    assert {point["agent_fuse.limit"] for point, value in one.points("agent_fuse.warnings") if value} == {
        "$0.001 per user group"
    }
