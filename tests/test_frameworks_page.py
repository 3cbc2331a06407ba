"""docs/frameworks.md says what was measured under each agent framework, and hides nothing."""

import json
import sys
from pathlib import Path

import pytest

import agent_fuse.frameworks
from conformance.cells import GREEN, HALF, NONE, RED
from conformance.environments import ROOT
from conformance.page import Notes
from frameworks import cells
from frameworks.environments import FRAMEWORKS, Framework
from frameworks.matrix import ask
from frameworks.page import PAGE, ends, page, shown
from frameworks.questions import QUESTIONS
from frameworks.reasons import REASONS
from frameworks.roads import page as roads
from frameworks.roads.environments import ROADS, ROOM, SDKS, UP, Roads
from frameworks.roads.reasons import REASONS as ROAD_REASONS

STORED = {one.name: json.loads(one.results.read_text()) for one in FRAMEWORKS}
SOFT = "SentinelBudgetExceeded (Exception)"


def test_the_page_is_made_of_the_results() -> None:
    """The committed page is exactly what the generator makes of the stored results; `make frameworks` mends it."""
    assert PAGE.read_text() == page(), "docs/frameworks.md differs from tests/frameworks/results: run `make frameworks`"


def test_every_adapter_is_tried() -> None:
    """Each file in `agent_fuse.frameworks` is for a framework of the page, and each framework has its program."""
    folder = Path(agent_fuse.frameworks.__file__).parent
    ours = {path.stem for path in folder.glob("*.py") if path.stem != "__init__"}
    assert {name for one in (*FRAMEWORKS, *ROADS) for name in one.adapters} == ours
    programs = {path.stem for path in (ROOT / "tests" / "frameworks" / "programs").glob("*.py")} - {"__init__"}
    assert {one.name for one in FRAMEWORKS} == programs


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda one: one.name)
def test_results_are_complete(framework: Framework) -> None:
    """They name the day, the Python and the releases (those that are pinned), and answer every question that applies."""
    found = STORED[framework.name]
    assert found["date"]
    assert found["python"]
    pins = dict(line.lower().split("==") for line in framework.requirements.read_text().splitlines())
    assert found["versions"]
    for package, version in found["versions"].items():
        assert pins[package.lower()] == version, package
    assert {"stops", "loop", "session", "beside", "agent"} <= set(found["rows"])
    assert set(found["left"]) <= set(QUESTIONS)


def test_nothing_is_sent_beyond_the_budget() -> None:
    """Under no framework, however its agent is run, does a request leave that the budget has no room for."""
    for name, found in STORED.items():
        for way in cells.RUNS:
            word = found["rows"].get(way)
            assert cells.cell(way, word).sign in ((GREEN, HALF, NONE) if way == "streamed" else (GREEN, NONE)), (
                name,
                word,
            )


def test_a_green_cell_is_earned() -> None:
    """The judge calls nothing green but six requests and not one more, booked exactly, by a trip that arrived."""
    cell = cells.cell
    assert cell("stops", "6 sent, exact").sign == GREEN
    assert cell("stops", "2 sent, exact").sign == GREEN
    for word in (
        "7 sent, exact",
        "6 sent, none refused, exact",
        "6 sent, 1 later, exact",
        "6 sent, booked 5, off by -1.00",
    ):
        assert cell("team", word).sign == RED, word
    assert cell("spans", "6 sent, exact, a hold is left").sign == RED
    assert cell("streamed", "9 sent, billed 99% of the budget, exact").sign == GREEN
    assert cell("streamed", "9 sent, billed 99% of the budget, counted 60%").sign == HALF
    assert cell("streamed", "9 sent, billed 101% of the budget, exact").sign == RED
    assert cell("streamed", "9 sent, billed 99% of the budget, booked 8, exact").sign == RED
    assert cell("stops raised", SOFT).sign == GREEN
    assert cell("stops raised", "RuntimeError around SentinelBudgetExceeded").sign == HALF
    for word in ("RuntimeError, without the trip", "nothing"):
        assert cell("team raised", word).sign == RED, word
    assert cell("loop", "6 sent, SentinelLoopError (BaseException)").sign == GREEN
    assert cell("loop", "7 sent, SentinelLoopError (BaseException)").sign == RED
    assert cell("loop", f"6 sent, {SOFT}").sign == HALF
    assert cell("session", "left: 1 calls, not 2").sign == RED
    assert cell("agent", "alpha: 2 beta: 1").sign == GREEN
    for word in ("alpha: 3", "alpha: 2 nobody: 1", "LangGraph: 3"):
        assert cell("agent", word).sign == RED, word
    assert cell("streamed agent", "nobody").sign == RED
    assert cell("ends", ends({"stops": [], "team": []})).sign == GREEN
    assert cell("ends", ends({"stops": [], "team": ["never retrieved"]})).sign == HALF
    assert cell("ends", ends({"stops": ["did not end"]})).sign == RED


def test_no_cell_is_hidden() -> None:
    """What is not green has a footnote, every footnote is used, and a word without a reason makes no page."""
    text = page()
    text += (ROOT / "docs" / "enforcement.md").read_text()
    assert [one.key for one in (*REASONS, *ROAD_REASONS) if f"[^{one.key}]:" not in text] == []
    with pytest.raises(LookupError, match="langgraph stops: '9 sent, exact' is not green"):
        shown("langgraph", "stops", "9 sent, exact", Notes())


def test_a_live_run_gives_the_stored_rows() -> None:
    """LangGraph, which is installed here, still does what the page says."""
    live = ask(sys.executable, "langgraph", "stops")
    stored = STORED["langgraph"]["rows"]
    assert live["rows"] == {one: stored[one] for one in ("stops", "stops raised")}
    assert (live["ended"], live["noise"]) == ("", [])


@pytest.mark.parametrize("road", [*ROADS, *SDKS], ids=lambda one: one.program)
def test_roads_are_whole_and_let_nothing_out(road: Roads) -> None:
    """Releases as pinned; each call was tried both ways; nothing was sent with the budget used up, and nothing is red."""
    found = json.loads(road.results.read_text())
    pins = dict(line.lower().split("==") for line in road.requirements.read_text().splitlines())
    assert found["versions"]
    for package, version in found["versions"].items():
        assert pins[package.lower()] == version, package
    assert {name: set(kinds) for name, kinds in found[UP].items()} == {
        name: set(kinds) for name, kinds in found[ROOM].items()
    }
    for column in (UP, ROOM):
        for name, kinds in found[column].items():
            for kind, word in kinds.items():
                assert roads.cell(column, word).sign in (GREEN, HALF), (name, kind, word)
    for kinds in found[UP].values():
        assert all(word.startswith("0 sent, ") for word in kinds.values())


def test_the_judge_of_roads_is_strict() -> None:
    """Green is nothing sent and the trip raised, or one call sent and booked exactly."""
    cell = roads.cell
    assert cell(UP, f"0 sent, {SOFT}").sign == GREEN
    assert cell(UP, "0 sent, 429 from the proxy").sign == GREEN
    assert cell(UP, "0 sent, 500 from the proxy").sign == HALF
    assert cell(UP, f"1 sent, {SOFT}").sign == RED
    assert cell(ROOM, "1 sent, exact").sign == GREEN
    assert cell(ROOM, "1 sent, by quote").sign == HALF
    for word in (
        "0 sent, exact",
        "2 sent, exact",
        "1 sent, booked 2 times",
        "1 sent, booked 0 times",
        "1 sent, refused",
    ):
        assert cell(ROOM, word).sign == RED, word
    with pytest.raises(LookupError, match="litellm to openai, room: '2 sent, exact' is not green"):
        roads.shown("litellm", "openai", ROOM, {"completion": "2 sent, exact"}, Notes())
