"""For keyboard and screen reader: axe-core finds nothing to complain of, on any page, in either colour scheme."""

import time

import pytest

from agent_fuse import control
from agent_fuse.calls import RefusedBy, Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Amounts
from cli import filled
from ledgers.samples import amounts, hold, line

pytestmark = pytest.mark.browser
SCHEMES = ["light", "dark"]


@pytest.fixture
def check(browser):
    """Opens a page, does something on it, and tells what axe-core finds wrong then."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python").Axe()
    made = []

    def go(address, scheme, then=lambda page: None, width=1280):
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
        made.append(context)
        page = context.new_page()
        page.goto(address)
        then(page)
        found = axe.run(page).response
        assert found["passes"] or found["violations"], "it looked at nothing"
        return [
            f"{one['impact']}: {one['help']}: {node['html'][:200]}"
            for one in found["violations"]
            for node in one["nodes"][:3]
        ]

    yield go
    for one in made:
        one.close()


@pytest.fixture
def busy(tmp_path):
    """A ledger with something to show in every part of the page."""
    path, now = tmp_path / "ledger.db", time.time()
    ledger = open_ledger(path)
    ledger.update_note("caps/per/usd/session", lambda _: (b'{"amount": 10000000}', None), now=1)
    of = ["all", "session=run-1"]
    ledger.settle(line("a", at=now, session="run-1", agent="writer", model="gpt-4o"), of, amounts(), now=now)
    tool = line("t", 0, at=now, session="run-1", operation="execute_tool", tool="search")
    ledger.settle(tool, of, Amounts(tool_calls=1), now=now)
    refused = line("r", at=now, session="run-1", model="gpt-4o", status=Status.REFUSED, refused_by=filled.USER)
    assert isinstance(refused.refused_by, RefusedBy)
    ledger.refuse(refused, of, now=now)
    ledger.reserve(hold("d", at=now, session="run-2", model="gpt-4o"), now=now)
    ledger.close()
    control.stop("run-3", why="it ran away", db_path=str(path))
    return path


def loaded(page):
    page.locator("#sessions a").first.wait_for()
    page.locator("#refusals td").first.wait_for()


def asked(page):
    loaded(page)
    page.get_by_role("button", name="Stop session run-1").first.click()
    page.get_by_role("dialog").wait_for()


def own_page(page):
    loaded(page)
    page.locator("#sessions a", has_text="run-1").click()
    page.get_by_role("heading", name="Session run-1").wait_for()
    page.locator("#one-calls tr").first.wait_for()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("then", [loaded, asked, own_page])
def test_the_page(check, served, busy, then, scheme):
    assert check(served(busy).address, scheme, then) == []


def test_it_is_looked_at(check, served, busy):
    """What is wrong is found: a button without a name."""

    def spoiled(page):
        loaded(page)
        page.evaluate("document.querySelector('main').append(document.createElement('button'))")

    assert any("discernible text" in one for one in check(served(busy).address, "light", spoiled))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_page_with_nothing_on_it_on_a_phone(check, served, tmp_path, scheme):
    open_ledger(tmp_path / "empty.db").close()
    house = served(tmp_path / "empty.db")
    assert check(house.address, scheme, lambda page: page.get_by_text("No agent").first.wait_for(), width=390) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_closed_door(check, served, busy, scheme):
    assert check(served(busy).base, scheme) == []
