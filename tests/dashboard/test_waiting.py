"""Calls that wait for an answer, as several people see them: together, on the session's own page, and answered once."""

import time

import pytest

from agent_fuse import call, check_loop, control, session
from agent_fuse.accounting import paused_calls
from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers.base import Meter
from cli import filled
from dashboard.conftest import until
from dashboard.test_page import ask, fields
from ledgers.samples import amounts, line

pytestmark = pytest.mark.browser
ANN = "user.id=ann"


@pytest.fixture
def waits(quiet):
    """Two sessions of ann's that wait for her limit, of $0.01, of which $0.0075 are spent."""
    path, ledger = quiet
    now = time.time()
    ledger.update_note("caps/per/usd/user.id", lambda _: (b'{"amount": 10000000}', None), now=1)
    for name in ("run-1", "run-2"):
        entry = line(f"of {name}", at=now, session=name, model="gpt-4o", user_id="ann")
        ledger.settle(entry, ["all", f"session={name}", ANN], amounts(), now=now)
    those = {
        name: paused_calls.PausedCall(
            id=name,
            at=now,
            until=now + 900,
            account=ANN,
            limit="$0.01 per user.id 'ann'",
            meter=Meter.USD,
            short=5_000_000,
            requested=7_000_000,
            session=name,
            agent="",
            model="gpt-4o",
        )
        for name in ("run-1", "run-2")
    }
    paused_calls.change(ledger, lambda known: known.update(those), now)
    return path, ledger


LATE = """(at) => import("/static/actions.js").then((it) => {
    Object.defineProperty(it.known, "at", { get: () => at, set: () => {} });
})"""
"""From now on the page hears of figures as old as `at` alone."""


def test_calls_that_wait_for_one_limit_are_answered_together(look, served, waits):
    """One question for both; whoever answers second is told who was first, and can still mean it."""
    house = served(waits[0])
    first = look(house)
    first.locator("#paused > li", has_text="2 calls need more than the limit of $0.01 per user.id 'ann'").wait_for()
    assert first.locator("#paused > li").count() == 1
    second = look(house, house.base, storage_state=first.context.storage_state())
    second.locator("#paused > li").wait_for()
    second.get_by_role("button", name="Approve user.id ann").click()
    before = second.evaluate("import('/static/actions.js').then((it) => it.known.at)")
    ask(first, "Approve user.id ann", why="month end", How_much_more="0.02")
    until(lambda: control.in_force(db_path=str(waits[0])))
    dialog = second.get_by_role("dialog", name="Approve the 2 calls waiting for user.id ann?")
    dialog.get_by_label("How much more").fill("0.05")
    dialog.locator("#ask-yes").click()
    dialog.get_by_text("Already answered: ").wait_for()
    said = dialog.locator("#ask-wrong").inner_text()
    assert "gave it $0.02 more at " in said
    assert "(month end)" in said
    (one,) = control.in_force(db_path=str(waits[0]))
    assert [up.amount for up in one.top_ups] == [20_000_000]
    dialog.locator("#ask-yes").click()
    dialog.wait_for(state="hidden")
    (one,) = control.in_force(db_path=str(waits[0]))
    assert [up.amount for up in one.top_ups] == [70_000_000]
    second.evaluate(LATE, before)
    ask(second, "Refuse user.id ann")  # what one did oneself is no news
    second.locator("#s-paused").wait_for(state="hidden")


def test_a_sessions_page_tells_what_it_waits_for(look, served, waits):
    """Its users' limits count in what it may still spend, its waiting call can be answered there, its calls are few."""
    path, ledger = waits
    now = time.time()
    for number in range(20):
        entry = line(f"c{number}", 0, at=now, session="run-1", model="gpt-4o", user_id="ann")
        ledger.settle(entry, ["all", "session=run-1"], amounts(0), now=now)
    house = served(path)
    page = look(house, viewport={"width": 390, "height": 844})
    page.locator("#sessions a", has_text="run-1").click()
    page.locator("#one-paused > li", has_text="gpt-4o for session run-1 needs $0.0050 more").wait_for()
    assert page.locator("#one-paused > li").count() == 1
    assert page.locator("#one-limits tr", has_text="$0.01 per user.id ann").count() == 1
    left = page.locator("#one-figures .figure").nth(1).inner_text().split("\n")
    assert left[:2] == ["May still spend", "$0.00"], "ann's limit is used up by two sessions of $0.0075"
    assert page.locator("#one-calls tr").count() == 8
    page.get_by_role("button", name="Show 14 more").click()
    assert page.locator("#one-calls tr").count() == 22
    ask(page, "Refuse user.id ann", why="no more")
    page.locator("#one-waits").wait_for(state="hidden")
    assert control.paused(db_path=str(path)) == []
    assert page.heard == []


def test_a_session_that_is_not_there_has_a_way_back(look, served, waits):
    house = served(waits[0])
    page = look(house)
    page.locator("#sessions a").first.wait_for()
    page.evaluate("location.hash = '#/session/nobody'")
    page.get_by_role("heading", name="There is no such session").wait_for()
    assert page.locator("#live").inner_text() == "live"
    page.get_by_role("link", name="all sessions").click()
    page.locator("#sessions a").first.wait_for()


def test_refusals_of_the_same_are_one_row(look, served, waits):
    """However often a loop asks, each of its refusals stands once, with how many times; another's is beside it."""
    path, ledger = waits
    now = time.time()
    for number in range(12):
        entry = line(f"r{number}", at=now + number / 100, session=f"run-{number // 10}", status=Status.REFUSED)
        entry = Entry(**{**fields(entry), "refused_by": filled.USER, "reason": "budget"})
        ledger.refuse(entry, ["all"], now=now)
    page = look(served(path))
    page.locator("#refusals tr").nth(1).wait_for()
    assert [row.split("\t")[1:4:2] for row in page.locator("#refusals tr").all_inner_texts()] == [
        ["run-1", "2"],
        ["run-0", "10"],
    ]


def test_what_waits_is_told_where_one_looks_for_it(look, served, waits):
    """Its limit is reached in no time but waits for an answer; its session is a link away; "for how long" needs an amount."""
    path, ledger = waits
    paused_calls.change(ledger, lambda known: known.pop("run-2"), time.time())
    page = look(served(path))
    page.locator("#limits tr", has_text="user.id ann").get_by_text("waits for you").wait_for()
    page.get_by_role("button", name="Approve user.id ann").click()
    dialog = page.get_by_role("dialog", name="Approve the call waiting for user.id ann?")
    assert dialog.get_by_label("For how long").is_disabled()
    dialog.get_by_text("Left empty: once, what is lacking ($0.0050).").wait_for()
    dialog.get_by_label("How much more").fill("0.02")
    assert dialog.get_by_label("For how long").is_enabled()
    page.keyboard.press("Escape")
    page.locator("#paused").get_by_role("link", name="run-1").click()
    page.get_by_role("heading", name="Session run-1").wait_for()
    assert page.locator("#one-paused").get_by_role("link").count() == 0
    assert page.heard == []


def test_what_is_stopped_is_no_news(look, served, box, tmp_path):
    """No loop is near in a session that is stopped, its reached limit counts no more, and names are words, not accounts."""
    box(budget="0.0075", db_path=str(tmp_path / "books.db"))
    for name in ("run-1", "run-2"):
        with session(name), call("gpt-4o", 1000, 500) as one:
            one.usage(1000, 500)
        with session(name):
            for _ in range(4):
                check_loop("search", {"q": "the same"})
    page = look(served(tmp_path / "books.db"))
    page.locator("#near li").nth(1).wait_for()
    page.locator("#near").get_by_role("link", name="run-2").wait_for()
    ask(page, "Stop session run-1", why="enough")
    page.locator("#limits tr", has_text="run-1").get_by_text("stopped").wait_for()
    until(lambda: page.locator("#near li").count() == 1)
    assert page.locator("#figures .figure", has_text="Limits reached").inner_text().split("\n")[1:] == ["1", "of 2"]
    page.locator("#decisions tr", has_text="stop session run-1").wait_for()
    assert page.heard == []


def test_an_address_that_is_none_is_told(served, quiet):
    """In one line, with where the page is; so is a method that is not for one that there is."""
    with served(quiet[0]).client() as stranger:
        for method, path, code, said in (("GET", "/x", 404, "nothing is at /x"), ("PUT", "/", 405, "PUT is not for /")):
            answer = stranger.request(method, path)
            assert (answer.status_code, answer.json()["error"].partition("; ")[0]) == (code, said)
