"""The arithmetic of a fleet: 10,000 workers under one limit, by the rule that the database follows, with time as an event."""

import heapq
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_fuse.ledgers.leases.slices import COLD, PARTS

DOCS = Path(__file__).parents[2] / "docs" / "fleets.md"


@dataclass(frozen=True)
class Outcome:
    """What came of a fleet."""

    calls: int
    trips: int
    rate: float
    """Calls a second, until the first is refused."""
    stranded: int
    """Calls' worth of the budget that lay in slices when the first worker was refused."""
    stopped_after: float
    """Seconds from the first refusal until every worker was refused."""


def fleet(workers, budget, *, think=1.0, step=0.005, direct=0.002, leases=True):
    """Workers that call every `think` seconds; the limit's row serves one step, or one direct call, at a time.

    Amounts are calls of one price. A slice is min(PARTS, left / (2 x slices)); where that is less than two a worker goes
    directly for a second. A worker that is refused stops, and its slice is given back.
    """
    left, free_at, calls, trips = budget, 0.0, 0, 0
    slices, cold, first, last, stranded = [0] * workers, [0.0] * workers, None, 0.0, 0
    events = [(worker * think / workers, worker) for worker in range(workers)]
    heapq.heapify(events)
    held = 0
    while events:
        at, worker = heapq.heappop(events)
        if slices[worker]:
            slices[worker] -= 1
            held -= 1
            calls += 1
            heapq.heappush(events, (at + think, worker))
            continue
        begin = max(at, free_at)
        if leases and at >= cold[worker]:
            parts = min(PARTS, left // (2 * workers))
            trips += 1
            free_at = begin + step
            if parts >= 2:
                left -= parts
                held += parts
                slices[worker] = parts
                heapq.heappush(events, (free_at, worker))
                continue
            cold[worker] = at + COLD
            begin = free_at
        free_at = begin + direct
        trips += 1
        if left:
            left -= 1
            calls += 1
            trips += 1
            free_at += direct
            heapq.heappush(events, (free_at + think, worker))
            continue
        if first is None:
            first, stranded, made = free_at, held, calls
        last = free_at
    return Outcome(calls, trips, made / first, stranded, last - first)


FLEETS = ((100, 20_000), (1_000, 200_000), (10_000, 500_000))


@pytest.fixture(scope="module")
def outcomes():
    """Each fleet, with leases and without."""
    return {
        (workers, budget, leases): fleet(workers, budget, leases=leases)
        for workers, budget in FLEETS
        for leases in (True, False)
    }


def test_budget_is_spent_to_the_last_call(outcomes):
    """Nothing more than the budget is spent, and nothing of it is left over, with slices or without."""
    for (_, budget, _), found in outcomes.items():
        assert found.calls == budget


def test_fewer_trips(outcomes):
    """With slices a fleet asks less often, and gets more calls through in a second."""
    for workers, budget in FLEETS:
        with_slices, without = outcomes[workers, budget, True], outcomes[workers, budget, False]
        assert with_slices.trips * 2 < without.trips
        assert with_slices.rate >= without.rate


def test_little_is_stranded(outcomes):
    """When the first worker is refused, what others have in slices is less than the rule lets all have."""
    for (workers, _, leases), found in outcomes.items():
        assert found.stranded <= (2 * workers if leases else 0)


def test_page_tells_what_the_arithmetic_gives(outcomes):
    """The table of docs/fleets.md is what the simulation comes to."""
    rows = re.findall(r"^\| (\d[\d,]*) \| (\d[\d,]*) \| (yes|no) \| (.+) \|$", DOCS.read_text("utf-8"), re.MULTILINE)
    told = {
        (int(workers.replace(",", "")), int(budget.replace(",", "")), leases == "yes"): figures
        for workers, budget, leases, figures in rows
    }
    assert told == {
        key: f"{one.rate:,.0f} | {one.trips:,} | {one.stranded:,} | {one.stopped_after:,.0f} s"
        for key, one in outcomes.items()
    }
