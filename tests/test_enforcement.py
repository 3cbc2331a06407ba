"""docs/enforcement.md says what was measured, and what was measured is still so."""

import json
import sys

import pytest

from conformance.cells import GREEN, NONE, cell
from conformance.environments import ENVIRONMENTS, HERE
from conformance.matrix import modes, run
from conformance.page import PAGE, loops, page
from conformance.reasons import REASONS
from conformance.setups import SETUPS

QUICK = ("tl-openai", "tl-anthropic", "tl-langchain")
"""Set-ups whose releases are those of the development environment too."""

STORED = {one.name: json.loads((HERE / "results" / f"{one.name}.json").read_text()) for one in ENVIRONMENTS}


def test_the_page_is_made_of_the_results() -> None:
    """The committed page is exactly what the generator makes of the stored results; `make matrix` mends it."""
    assert PAGE.read_text() == page(), "docs/enforcement.md differs from tests/conformance/results: run `make matrix`"


def test_results_are_complete() -> None:
    """Every environment has results of every set-up it is for, with and without the request gate."""
    for one in ENVIRONMENTS:
        found = STORED[one.name]
        assert list(found) == list(one.setups), one.name
        assert all(mode in found[setup] for setup in one.setups for mode in modes(setup)), one.name


def test_environments_are_pinned() -> None:
    """Each environment's file holds exact releases only, and the versions that the results tell."""
    for one in ENVIRONMENTS:
        lines = one.requirements.read_text().splitlines()
        pins = dict(line.lower().split("==") for line in lines)
        for entry in STORED[one.name].values():
            for package, version in entry["versions"].items():
                assert pins[package.lower()] == version, (one.name, package)


def test_with_the_request_gate_nothing_leaves_unasked() -> None:
    """Where calls go through the gated SDKs, no cell of a refused call is short of green, whatever the release."""
    outside = {"litellm", "tl-google", "genai-google", "httpx-google"}  # not, or not only, the two gated SDKs
    for name, found in STORED.items():
        for setup, entry in found.items():
            for kind, measured in entry["gate"].items() if setup not in outside else ():
                for column in ("exhausted", "size"):
                    word = measured.get(column)
                    sent = word is not None and not word.startswith("0 sent")
                    assert not sent, (name, setup, kind, column, word)


def test_a_green_cell_is_earned() -> None:
    """The judge calls nothing green but a request that stayed, a trip that arrived, an exact and single booking."""
    trip = "SentinelBudgetExceeded (BaseException)"
    assert cell("exhausted", f"0 sent, {trip}").sign == GREEN
    assert cell("exhausted", f"1 sent, {trip}").sign != GREEN
    assert cell("exhausted", "0 sent, no trip").sign != GREEN
    assert cell("exhausted", "0 sent, AttributeError instead of a trip").sign != GREEN
    assert cell("booked", "once, exact").sign == GREEN
    for word in ("2 for 1, exact", "not, nothing", "once, off by +1.00%", "once, estimated", "once, exact, a hold"):
        assert cell("booked", word).sign != GREEN, word
    assert cell("booked", "once, estimated", told=False).sign == GREEN
    assert cell("broken", "once, estimated, a hold is left").sign != GREEN
    assert cell("tools", "not at all").sign != GREEN
    assert cell("session", "not found").sign != GREEN


def test_a_loop_is_said_to_be_stopped_where_the_latest_trip_came() -> None:
    """The glance takes the worst of the calls, tells spans apart, and says nothing where no agent was tried."""
    trip = "SentinelLoopError (BaseException)"
    early, late = {"tools": f"before the body, {trip}"}, {"tools": f"at the next gate, {trip}"}
    assert loops({"gate": {"a": early, "b": early}, "spans": {"a": early}}) == "before the call"
    assert loops({"gate": {"a": early, "b": late}}) == "at the next gate"
    assert (
        loops({"gate": {"a": late}, "spans": {"a": {"tools": "not at all"}}})
        == "at the next gate; by spans alone never"
    )
    assert loops({"gate": {"a": late, "b": {"tools": "after 9 bodies, no trip"}}}) == "never"
    assert loops({"gate": {"a": {"exhausted": "0 sent"}}}) == NONE


@pytest.mark.parametrize(("setup", "mode"), [(setup, mode) for setup in QUICK for mode in modes(setup)])
def test_a_live_run_gives_the_stored_rows(setup: str, mode: str) -> None:
    """What is installed here still does what the page says, cell by cell."""
    live, stored = run(sys.executable, setup, mode), STORED["newest"][setup]
    assert live["versions"] == stored["versions"], (
        "pin the same releases in constraints.txt and environments/newest.txt"
    )
    assert live["rows"] == stored[mode], f"{SETUPS[setup].title} changed: run `make matrix` and see why"


def test_every_footnote_is_used() -> None:
    """No reason outlives the cell that it explained."""
    text = page()
    assert [one.key for one in REASONS if f"[^{one.key}]:" not in text] == []
