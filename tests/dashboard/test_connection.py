"""What the page does when nobody answers, when what it hears is kept back, and what it says where little is known."""

import time

import pytest

from agent_fuse.ledgers import open_ledger
from ledgers.samples import amounts, line

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("events", [lambda route: route.abort(), lambda _: None], ids=["refused", "kept back"])
def test_without_events_it_asks(served, quiet, browser, events):
    """Where server-sent events do not pass, or a proxy keeps them back for ten seconds, the page asks every second."""
    path, ledger = quiet
    house = served(path)
    context = browser.new_context()
    page = context.new_page()
    page.route("**/api/events*", events)
    page.goto(house.address)
    page.get_by_text("asking every second").wait_for()
    now = time.time()
    ledger.settle(line("b", at=now, session="late"), ["all", "session=late"], amounts(), now=now)
    page.locator("#sessions a", has_text="late").wait_for()
    context.close()


def test_a_page_outlives_its_dashboard(look, served, quiet):
    """It says that nobody answers and of when the figures are, and goes on by itself when another has the address."""
    path, ledger = quiet
    house = served(path, "--trust-header", "X-User")
    page = look(house, house.base, extra_http_headers={"X-User": "ann"})
    page.locator("#sessions a", has_text="run-1").wait_for()
    house.end()
    page.get_by_text("The dashboard does not answer").wait_for()
    assert "The figures are of" in page.locator("#trouble").inner_text()
    now = time.time()
    ledger.settle(line("b", at=now, session="late"), ["all", "session=late"], amounts(), now=now)
    served(path, "--trust-header", "X-User", "--port", house.base.rpartition(":")[2])
    page.locator("#sessions a", has_text="late").wait_for()
    assert page.locator("#trouble").inner_text() == ""
    assert page.locator("#live").inner_text() in {"live", "asking every second"}


def test_a_link_ends_with_its_dashboard(look, served, quiet):
    """The next one at the same address does not know this browser: the page says so, and what to do."""
    house = served(quiet[0])
    page = look(house)
    page.locator("#sessions a", has_text="run-1").wait_for()
    house.end()
    served(quiet[0], "--port", house.base.rpartition(":")[2])
    page.get_by_text("You are signed out. Open a new link, or sign in again").wait_for()


def test_a_limit_that_no_call_met_is_named_and_one_that_is_reached_comes_first(look, served, tmp_path):
    """Before the first call, and after the one that was one too many; of forty agents eight are shown at first."""
    ledger = open_ledger(tmp_path / "ledger.db")
    ledger.update_note("caps/per/usd/session", lambda _: (b'{"amount": 10000000}', None), now=1)
    page = look(served(tmp_path / "ledger.db"))
    page.get_by_text("No call has met yet: $0.01 per session.").wait_for()
    page.get_by_label("session", exact=True).fill("x")
    page.get_by_text("No limit fits the filter.").wait_for()
    page.get_by_role("button", name="Show all").click()
    now = time.time()
    for number in range(40):
        ledger.settle(
            line(f"c{number}", 10**7, at=now, session="s", agent=f"agent-{number}"),
            ["all", "session=s"],
            amounts(10**7),
            now=now,
        )
    page.get_by_role("heading", name="A limit is reached. One session spends $").wait_for()
    page.locator("#s-agents").get_by_role("button", name="Show 32 more").click()
    assert page.locator("#agents tr").count() == 40
    ledger.close()


def test_a_laptop_that_slept_listens_again(served, quiet, browser):
    """What it heard nothing in was its own sleep, no proxy's doing: it goes on with events, and with what is new."""
    path, ledger = quiet
    house = served(path)
    context = browser.new_context()
    page = context.new_page()
    page.clock.install()
    page.goto(house.address)
    page.locator("#sessions a", has_text="run-1").wait_for()
    with page.expect_request("**/api/events*"):
        page.clock.fast_forward(3_600_000)
    now = time.time()
    ledger.settle(line("b", at=now, session="late"), ["all", "session=late"], amounts(), now=now)
    page.locator("#sessions a", has_text="late").wait_for()
    assert page.locator("#live").inner_text() == "live"
    context.close()
