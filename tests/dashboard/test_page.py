"""The page in a real browser: true within a second, buttons that work, nothing off-screen, and names that do nothing."""

import os
import re
import subprocess
import sys
import time

import apsw
import pytest

from agent_fuse import Usage, control
from agent_fuse.calls import Entry, RefusedBy, Status
from agent_fuse.ledgers import codec, open_ledger
from agent_fuse.ledgers.base import Amounts
from agent_fuse.testing import LoopbackProvider
from cli import filled
from dashboard.conftest import until
from ledgers.samples import amounts, hold, line

pytestmark = pytest.mark.browser

AGENT = """
import time
import openai, agent_fuse
from agent_fuse import Limit
agent_fuse.init(limits=Limit(usd="0.01", on_tight="pause", pause_for=60))
client = openai.OpenAI(max_retries=0)
with agent_fuse.session("runaway"):
    while True:
        try:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=90)
        except agent_fuse.SentinelBudgetExceeded as trip:
            print(trip.reason, flush=True)
        time.sleep(0.05)
"""
EACH = Usage(input_tokens=1000, output_tokens=100)
"""$0.0035 a call."""


def ask(page, button, why="", **fields):
    """Press a button of the page, and answer what it asks."""
    page.get_by_role("button", name=button).first.click()
    dialog = page.get_by_role("dialog")
    for label, value in fields.items():
        dialog.get_by_label(label.replace("_", " ")).fill(value)
    dialog.get_by_label("Why").fill(why)
    dialog.locator("#ask-yes").click()


def test_a_runaway_is_seen_paused_approved_and_stopped(look, served, url):
    """Over every kind of ledger: the provider's own count proves each step, and killing the page harms no agent."""
    open_ledger(url).close()
    house = served(url)
    page = look(house)
    page.get_by_text("No agent is at work just now.").wait_for()
    with LoopbackProvider(usage=EACH) as provider:
        environ = os.environ | {"OPENAI_BASE_URL": provider.openai_base_url, "OPENAI_API_KEY": "none"}
        agent = subprocess.Popen(
            [sys.executable, "-c", AGENT],
            stdout=subprocess.PIPE,
            text=True,
            env=environ | {"AGENTFUSE_DB_PATH": url},
        )
        try:
            assert provider.wait_for(1, 60)
            began = time.monotonic()
            page.locator("#sessions a", has_text="runaway").wait_for()
            assert time.monotonic() - began < 15, "within a second, on a machine that is not busy"
            page.locator("#paused", has_text="gpt-4o for session runaway needs $").wait_for()
            assert len(provider.served) in {2, 3}, "$0.01 in all, at $0.0035 and what a call is quoted at"

            ask(page, "Approve session runaway", why="one more try", How_much_more="0.02")
            until(lambda: len(provider.served) >= 7 and control.paused(db_path=url))
            assert len(provider.served) in {7, 8, 9}, "$0.03 in all"
            page.locator("#paused li").wait_for()
            ask(page, "Refuse session runaway", why="that is enough")
            assert agent.stdout.readline() == "denied\n"
            page.locator("#refusals", has_text="$0.01 per session runaway").first.wait_for()

            sent = len(provider.served)
            ask(page, "Stop session runaway", why="it runs away")
            page.locator("#force", has_text="it runs away").wait_for()
            page.get_by_role("heading", name="The session that was at work is stopped.").wait_for()
            until(lambda: agent.stdout.readline() == "stopped\n")
            assert len(provider.served) == sent
            assert page.locator("#decisions tr").count() == 3
            assert page.heard == []

            house.process.kill()
            house.process.wait()
            page.get_by_text("not connected").wait_for()
            control.resume("runaway", db_path=url)
            control.top_up("runaway", "1", db_path=url)
            assert provider.wait_for(sent + 3)
        finally:
            agent.kill()
            agent.communicate()


def test_everything_is_asked_twice(look, served, quiet):
    page = look(served(quiet[0]))
    page.get_by_role("button", name="Stop everything").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("#ask-yes").click()
    dialog.get_by_text("Stop everything that uses this ledger?").wait_for()
    assert control.in_force(db_path=str(quiet[0])) == []
    dialog.get_by_role("button", name="Yes, stop everything").click()
    page.get_by_role("heading", name="Everything is stopped").wait_for()
    assert [one.account for one in control.in_force(db_path=str(quiet[0]))] == ["all"]
    page.get_by_role("button", name="Resume everything…").click()
    dialog.locator("#ask-yes").click()
    dialog.get_by_role("button", name="Yes, resume everything").click()
    page.get_by_role("heading", name="One session spends").wait_for()


def test_by_keyboard_alone(look, served, quiet):
    """Every button is reached with Tab; a refresh takes the focus from nobody; Escape leaves and gives it back."""
    path, ledger = quiet
    page = look(served(path))
    page.get_by_role("button", name="Stop session run-1").first.wait_for()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('aria-label')") == "Stop session run-1":
            break
    for number in range(3):  # others overtake it, and its row moves
        now = time.time()
        ledger.settle(
            line(f"b{number}", 9_000_000, at=now, session=f"s{number}"),
            ["all", f"session=s{number}"],
            amounts(9_000_000),
            now=now,
        )
    page.locator("#sessions a", has_text="s2").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Stop session run-1"
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="Stop session run-1?").wait_for()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Stop session run-1"
    page.keyboard.press("Enter")
    page.keyboard.type("by hand")
    page.keyboard.press("Enter")
    page.locator("#force", has_text="by hand").wait_for()


def test_whoever_may_look_has_no_buttons(look, served, quiet):
    """Further links are made on the page, each another; whose browser came by one sees all and is offered nothing."""
    house = served(quiet[0])
    page = look(house)
    links = []
    for _ in range(2):
        page.get_by_role("button", name="Another browser").click()
        links.append(page.get_by_role("textbox", name="A link for one other browser").input_value())
        page.get_by_role("button", name="Done").click()
    link, another = links
    assert link != another
    other = look(house, link)
    other.locator("#sessions a", has_text="run-1").wait_for()
    other.get_by_text("who may look").wait_for()
    assert "token" not in other.url
    assert other.get_by_role("button", name=re.compile("Stop|Top up|Approve|Resume")).count() == 0
    again = look(house, link)
    again.get_by_text("This page lets in who has a link").wait_for()


def test_the_filter_and_a_sessions_own_page(look, served, quiet):
    path, ledger = quiet
    now = time.time()
    ledger.settle(line("b", at=now, session="other/one?"), ["all", "session=other/one?"], amounts(), now=now)
    ledger.settle(
        line("c", 0, at=now, session="run-1", operation="execute_tool", tool="search"),
        ["all", "session=run-1"],
        Amounts(tool_calls=1),
        now=now,
    )
    page = look(served(path))
    page.locator("#sessions a", has_text="run-1").wait_for()
    page.get_by_label("session", exact=True).fill("OTHER")
    page.get_by_text("No call lately.").wait_for()
    page.get_by_label("session", exact=True).fill("other")
    page.locator("#sessions a", has_text="other/one?").wait_for()
    assert page.locator("#sessions tr").count() == 1
    page.reload()
    assert page.get_by_label("session", exact=True).input_value() == "other"
    page.locator("#sessions a").click()
    page.get_by_role("heading", name="Session other/one?").wait_for()
    page.get_by_role("link", name="all sessions").click()
    page.get_by_role("button", name="Show all").click()
    page.locator("#sessions a", has_text="run-1").click()
    page.get_by_role("heading", name="Session run-1").wait_for()
    assert page.locator("#one-tools").inner_text().split() == ["search", "1", "0"]
    assert page.locator("#one-figures .figure").nth(1).inner_text().split("\n")[1] == "$0.0025"
    assert page.get_by_role("img", name="2 calls and actions").count() == 1
    page.get_by_role("button", name="Stop session run-1").click()
    page.get_by_role("dialog").locator("#ask-yes").click()
    page.get_by_role("heading", name="Session run-1, stopped").wait_for()
    assert page.heard == []


def test_session_tells_fees(look, served, tmp_path):
    """What of a call's cost was no tokens stands beside it."""
    ledger = open_ledger(tmp_path / "fees.db")
    now = time.time()
    for name, fee in (("a", 0), ("b", 10_000_000)):
        entry = Entry(**{**fields(line(name, 25_000_000, at=now, session="s")), "fee": fee})
        ledger.settle(entry, ["all", "session=s"], amounts(), now=now)
    ledger.close()
    page = look(served(tmp_path / "fees.db"))
    page.locator("#sessions a").first.click()
    page.locator("#one-calls tr").nth(1).wait_for()
    told = page.locator("#one-calls").inner_text()
    assert told.count("$0.0250") == 2
    assert told.count("$0.0250, $0.0100 of it fees") == 1
    assert page.heard == []


EVIL = "<img src=x onerror=alert(1)></script><script>alert(2)</script>\"'&\u202e\x07"


def test_hostile_names_do_nothing(look, served, tmp_path):
    """A session, agent, model, tool, reason and advice full of markup are texts, on the page and on a session's own."""
    ledger = open_ledger(tmp_path / "evil.db")
    now = time.time()
    by = RefusedBy(limit=EVIL, per=EVIL, value=EVIL, meter="usd", cap=1, advice=EVIL)
    for name, status in (("a", Status.SETTLED), ("b", Status.REFUSED)):
        entry = line(name, at=now, session=EVIL, agent=EVIL, model=EVIL, status=status)
        if status is Status.REFUSED:
            ledger.refuse(Entry(**{**fields(entry), "refused_by": by, "reason": EVIL}), ["all"], now=now)
        else:
            ledger.settle(entry, ["all", f"session={EVIL}"], amounts(), now=now)
    ledger.settle(
        line("c", 0, at=now, session=EVIL, operation="execute_tool", tool=EVIL), ["all"], Amounts(tool_calls=1), now=now
    )
    ledger.reserve(hold("d", at=now, session=EVIL, model=EVIL), now=now)
    ledger.update_note(f"caps/own/usd/session={EVIL}", lambda _: (b'{"amount": 10000000}', None), now=now)
    ledger.close()
    control.stop(f"session={EVIL}", why=EVIL, who=EVIL, db_path=str(tmp_path / "evil.db"))
    page = look(served(tmp_path / "evil.db"))
    page.locator("#sessions a").first.wait_for()
    assert "<img src=x onerror=alert(1)>" in page.locator("#sessions a").first.inner_text()
    page.locator("#refusals td").first.wait_for()
    page.get_by_role("button", name="Resume").first.click()
    page.keyboard.press("Escape")
    page.locator("#sessions a").first.click()
    page.locator("#one-calls tr").first.wait_for()
    page.wait_for_timeout(300)
    assert page.locator("img, main script").count() == 0
    assert page.heard == []


def fields(entry):
    return {name: getattr(entry, name) for name in Entry.__dataclass_fields__}


@pytest.fixture(scope="module")
def crowds(tmp_path_factory):
    """Ledgers with no, three and ten thousand sessions that spend just now, with long names."""
    folder = tmp_path_factory.mktemp("crowds")
    found = {}
    for count in (0, 3, 10_000):
        path = found[count] = folder / f"{count}.db"
        ledger = open_ledger(path)
        ledger.update_note("caps/per/usd/session", lambda _: (b'{"amount": 10000000}', None), now=1)
        if count:
            ledger.reserve(hold("open", session="customer-support-conversation-0", model="gpt-4o"), now=1)
            refused = Entry(
                id="r",
                at=time.time(),
                status=Status.REFUSED,
                session="customer-support-conversation-1",
                model="gpt-4o",
                cost=10**7,
                refused_by=filled.USER,
                reason="budget",
            )
            ledger.refuse(refused, ["all"], now=1)
        ledger.close()
        db, now = apsw.Connection(str(path)), time.time()
        names = [f"customer-support-conversation-{number}" for number in range(count)]
        lines = [
            line(
                f"c{number}",
                at=now - number / 100,
                session=name,
                agent="a-rather-long-name-of-an-agent",
                model="claude-sonnet-4-5",
            )
            for number, name in enumerate(names)
        ]
        with db:
            marks = ", ".join("?" * len(codec.ENTRY))
            db.executemany(
                f"INSERT INTO journal ({', '.join(codec.ENTRY)}) VALUES ({marks})", map(codec.entry_row, lines)
            )
            db.executemany(
                "INSERT OR REPLACE INTO accounts VALUES (?, ?, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, NULL, 0)",
                ((f"session={name}", 10**10 // (number + 1000)) for number, name in enumerate(names)),
            )
        db.close()
    return found


OFF_SCREEN = """() => [...document.querySelectorAll("th, td, .gauge, button, summary, input, b, p, h1, h2")]
    .filter((one) => one.checkVisibility() && !one.closest("thead, caption, .skip, .unseen"))
    .map((one) => [one.tagName, one.textContent.slice(0, 40), one.getBoundingClientRect()])
    .filter(([, , box]) => box.width && (box.left < 0 || box.right > document.documentElement.clientWidth + 0.5))"""

FAINT = """() => {
    const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = (rgb) => { const [r, g, b] = rgb.slice(0, 3).map((v) => v / 255)
        .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const ground = (element) => { for (let e = element; e; e = e.parentElement) {
        const found = numbers(getComputedStyle(e).backgroundColor);
        if (found.length < 4 || found[3] > 0) return found; } return [255, 255, 255]; };
    const out = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) { const element = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || !element.checkVisibility() || element.closest("svg title")) continue;
        const style = getComputedStyle(element);
        const [a, b] = [light(numbers(element.closest("svg") ? style.fill : style.color)), light(ground(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) out.push([walk.currentNode.data, ratio]); }
    return out; }"""

UNNAMED = """() => [...document.querySelectorAll("button, input, select, a[href], [role=img]")]
    .filter((one) => one.checkVisibility() && !(one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length))
    .map((one) => one.outerHTML)"""


@pytest.mark.parametrize("sessions", [0, 3, 10_000])
def test_it_can_be_read_at_any_width(look, served, crowds, sessions):
    """On a phone, a desk and a wall, light and dark: nothing off-screen, nothing faint, everything that is pressed named."""
    house = served(crowds[sessions])
    first = look(house)
    first.locator("#figures b").first.wait_for()
    kept = first.context.storage_state()
    for width in (390, 1280, 2560):
        for scheme in ("light", "dark"):
            page = look(
                house, house.base, storage_state=kept, viewport={"width": width, "height": 900}, color_scheme=scheme
            )
            page.locator("#figures b").first.wait_for()
            if sessions:
                page.locator("#sessions a").first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(OFF_SCREEN) == []
            assert page.evaluate(FAINT) == []
            assert page.evaluate(UNNAMED) == []
            page.context.close()
    if sessions == 10_000:
        assert first.locator("#sessions tr").count() == 8
        first.get_by_role("button", name="Show 42 more").click()
        assert first.locator("#sessions tr").count() == 50
        assert first.get_by_text("4,949 more spend less").count() == 1
    assert first.heard == []
