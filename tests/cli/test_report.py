"""The report: its sums are the ledger's, its page needs nothing else, and a real browser shows and sorts it."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from agent_fuse.calls import Entry, RefusedBy, Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Amounts
from agent_fuse.ledgers.reading import open_reader
from agent_fuse.report import gather, page
from agent_fuse.report.charts import CANVASES, over_time
from agent_fuse.report.tally import ReportTally, step_for


@pytest.fixture
def html(run, story, tmp_path):
    """The report of the story, as a file."""
    path = tmp_path / "report.html"
    done = run("report", "--db", story, "-o", path)
    assert (done.code, done.out) == (0, f"{path}\n")
    return path


def test_sums_are_the_ledgers(run, story):
    """The report's total is the ledger's account of everything, and so is the sum of each of its tables."""
    found = json.loads(run("report", "--db", story, "--json").out)
    total = json.loads(run("status", "--db", story, "--json").out)["total"]
    assert (found["total"]["cost_usd"], found["total"]["calls"]) == (total["usd"], total["calls"])
    assert (found["total"]["tool_calls"], found["total"]["refused"]) == (total["tool_calls"], total["refused"])
    assert found["total"]["input_tokens"] + found["total"]["output_tokens"] == total["tokens"]
    for table in ("models", "agents", "sessions"):
        assert sum(line["calls"] for line in found[table]) == total["calls"]
    assert sum(line["tool_calls"] for line in found["tools"]) == total["tool_calls"]
    assert {line["name"]: line["refused"] for line in found["reasons"]} == {"budget": 14, "loop": 1}
    assert found["total"]["saved_usd"] == "0.441"
    assert [(loop["tool"], loop["session"], loop["refused"]) for loop in found["loops"]] == [
        ("search", "research-loop", 1)
    ]


def test_since(run, story):
    """--since leaves out what is older, to the line."""
    found = json.loads(run("report", "--db", story, "--since", "1h", "--json").out)
    calls = json.loads(run("calls", "--db", story, "--since", "1h", "--limit", "0", "--json").out)["calls"]
    booked = [one for one in calls if one["status"] != "refused" and not one["tool"]]
    assert found["total"]["calls"] == len(booked) > 0
    assert found["first"] == min(one["at"] for one in calls)


def test_groups_are_flushed(monkeypatch, story):
    """With room for very few groups at a time, the sums are the same: memory is bounded, figures are exact."""
    reader = open_reader(story)
    whole, small = ReportTally(3_600), ReportTally(3_600)
    whole.add_all(reader.facts())
    monkeypatch.setattr("agent_fuse.report.tally._GROUPS", 3)
    small.add_all(reader.facts())
    assert small == whole
    reader.close()


@pytest.mark.parametrize("span", [0, 59, 3_000, 86_400, 30 * 86_400, 3_650 * 86_400, 10**12])
def test_steps_of_time(span):
    """Whatever the time that a report spans, its chart has at most 97 bars, and each step is a whole one."""
    for first in (0.0, 1_800_000_000.0, 1_800_000_059.9):
        step = step_for(first, first + span)
        assert 1 <= int((first + span) // step) - int(first // step) + 1 <= 97
        assert step % 60 == 0


class Links(HTMLParser):
    """Everything a page would fetch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]


def test_page_fetches_nothing(html):
    """The page names no address to fetch: no script, style, font or picture from elsewhere."""
    text = html.read_text("utf-8")
    links = Links()
    links.feed(text)
    assert links.found == ["data:,"]
    assert not re.search(r"@import|url\(|https?://", text)


def test_names_cannot_break_the_page(tmp_path):
    """Names full of markup are shown as they are, and make no element and no script."""
    path = tmp_path / "ledger<img>.db"
    ledger = open_ledger(path)
    evil = "</script><img src=x onerror=alert(1)>\"'&"
    for number, status in enumerate((Status.SETTLED, Status.REFUSED)):
        entry = Entry(
            id=str(number), at=1.0, status=status, session=evil, agent=evil, model=evil, tool=evil, reason=evil, cost=9
        )
        if status is Status.REFUSED:
            ledger.refuse(entry, ["all"], now=1.0)
        else:
            ledger.settle(entry, ["all", f"session={evil}"], Amounts(usd=9, calls=1), now=1.0)
    ledger.close()
    reader = open_reader(path)
    text = page(gather(reader, {"AGENTFUSE_BUDGET": "1"}, now=2.0))
    reader.close()
    assert "<img" not in text
    assert text.count("<script>") == text.count("</script>") == 1
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") >= 5


def test_nothing_was_spent(run, tmp_path):
    """A ledger whose calls were free or refused has a report too."""
    ledger = open_ledger(tmp_path / "ledger.db")
    ledger.refuse(Entry(id="a", at=1.0, status=Status.REFUSED, reason="budget"), ["all"], now=1.0)
    ledger.settle(Entry(id="b", at=1.0, status=Status.SETTLED, cost=0), ["all"], Amounts(calls=1), now=1.0)
    ledger.close()
    assert "refused <strong" in run("report", "--db", tmp_path / "ledger.db", "-o", "-").out


def test_empty_ledger(run, tmp_path):
    """A ledger without calls makes a page that says so."""
    open_ledger(tmp_path / "ledger.db").close()
    assert "No call was booked or refused" in run("report", "--db", tmp_path / "ledger.db", "-o", "-").out


def test_refusals_name_their_limits(html):
    """The page says which limits refused, whose they were, and what to do about each."""
    text = html.read_text("utf-8")
    assert "$0.30 per session research-loop" in text
    assert "$0.40 per user.id ann" in text
    assert "raise the limit; a new session does not help, for this limit counts user.id" in text


@pytest.mark.parametrize("canvas", CANVASES, ids=lambda one: one.kind)
@pytest.mark.parametrize("begin", [0, 86_000, 86_399, 1_799_999_999])
@pytest.mark.parametrize("length", [1, 500, 5_000, 40_000, 86_400, 10 * 86_400, 200 * 86_400, 3_000 * 86_400])
def test_labels_of_time_do_not_collide(canvas, begin, length):
    """No two labels of the axis of time touch, each is within the picture, and there is always one."""
    tally = ReportTally(step_for(begin, begin + length))
    tally.spend[begin // tally.step * tally.step] = {"m": 1}
    drawn = over_time(tally, begin, begin + length).split("<svg")[1 + CANVASES.index(canvas)]
    labels = re.findall(r'<text class="tick" y="[^"]+" text-anchor="middle">(.*?)</text>', drawn)
    places = []
    for label in labels:
        lines = re.findall(r'<tspan x="([^"]+)" dy="\d+">([^<]+)</tspan>', label)
        half = max(len(text) for _, text in lines) * 7.2 / 2  # a wide digit of 12 pixels
        places.append((float(lines[0][0]) - half, float(lines[0][0]) + half))
    assert places
    assert len(places) <= canvas.labels + 1
    assert all(left[1] + 4 <= right[0] for left, right in pairwise(places))
    assert places[-1][1] <= canvas.width


@pytest.fixture
def open_page(browser, html):
    """Open the report, and hear everything it asks for or complains of."""
    pages = []

    def go(**options):
        one = browser.new_page(**options)
        one.heard = []
        one.on("request", lambda request: one.heard.append(request.url))
        one.on("console", lambda message: one.heard.append(message.text))
        one.on("pageerror", lambda error: one.heard.append(str(error)))
        one.goto(html.as_uri())
        pages.append(one)
        return one

    yield go
    for one in pages:
        one.close()


@pytest.mark.browser
def test_browser_fetches_nothing_and_complains_of_nothing(open_page, html):
    """A real browser asks for the file alone, and its console stays empty, while every table is sorted."""
    one = open_page()
    for button in one.query_selector_all("thead button"):
        if button.is_visible():
            button.click()
    assert [heard for heard in one.heard if heard not in (html.as_uri(), "data:,")] == []


@pytest.mark.browser
def test_browser_sorts(open_page):
    """A click sorts by figures, largest first, then smallest first; names sort by name; the head says which."""
    one = open_page()
    table = one.locator("section", has=one.get_by_role("heading", name="Sessions")).locator("table")

    def column(place):
        return [cell.inner_text() for cell in table.locator(f"tbody tr > :nth-child({place})").all()]

    def head(name):
        return table.get_by_role("columnheader", name=name)

    spent = [float(text.strip().lstrip("$")) for text in column(2)]
    assert spent == sorted(spent, reverse=True)
    assert head("spent").get_attribute("aria-sort") == "descending"
    head("tokens in").get_by_role("button").click()
    tokens = [int(text.replace(",", "")) for text in column(4)]
    assert tokens == sorted(tokens, reverse=True)
    assert head("spent").get_attribute("aria-sort") is None
    head("tokens in").get_by_role("button").click()
    assert [int(text.replace(",", "")) for text in column(4)] == tokens[::-1]
    assert head("tokens in").get_attribute("aria-sort") == "ascending"
    head("session").get_by_role("button").press("Enter")
    assert column(1)[0] == "nightly-summary"
    assert {"research-loop", "チャット-é"} <= set(column(1))


@pytest.mark.browser
def test_browser_light_dark_and_print(open_page):
    """The page follows the system's scheme, prints on white whatever it is, and is no wider than a phone."""
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = open_page(color_scheme="light"), open_page(color_scheme="dark")
    assert light.evaluate(ground) == "rgb(245, 246, 244)"
    assert dark.evaluate(ground) == "rgb(15, 19, 23)"
    dark.emulate_media(media="print")
    assert dark.evaluate(ground) == "rgb(255, 255, 255)"
    assert dark.pdf(format="A4").startswith(b"%PDF")
    phone = open_page(viewport={"width": 390, "height": 800})
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def report_of_long_names(folder):
    """A report whose names are long."""
    path = folder / "ledger.db"
    ledger = open_ledger(path)
    long = "a-name-of-an-agent-that-is-rather-long-for-a-phone-indeed"
    by = RefusedBy(limit="$25.00 per user.id", per="user.id", value=long, meter="usd", advice="raise the limit " * 9)
    for number in range(60):
        entry = Entry(
            id=str(number),
            at=1e9 + number * 60,
            session=f"{long}{number}",
            agent=long,
            model=long,
            status=Status.REFUSED if number % 5 == 4 else Status.SETTLED,
            cost=10**9,
            refused_by=by if number % 5 == 4 else None,
            reason="budget" if number % 5 == 4 else "",
        )
        if number % 5 == 4:
            ledger.refuse(entry, ["all"], now=1.0)
        else:
            ledger.settle(entry, ["all", f"session={long}{number}"], Amounts(usd=10**9, calls=1), now=1.0)
    ledger.close()
    reader = open_reader(path)
    target = folder / "report.html"
    target.write_text(page(gather(reader, {"AGENTFUSE_BUDGET": "1"}, now=2e9)), "utf-8")
    reader.close()
    return target


@pytest.fixture(scope="module")
def long_names(tmp_path_factory):
    """It, written by another thread: Playwright's event loop runs in this one, where a ledger waits for little."""
    with ThreadPoolExecutor(1) as aside:
        return aside.submit(report_of_long_names, tmp_path_factory.mktemp("long")).result()


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 500, 1280, 2560])
def test_browser_shows_all_of_it(browser, long_names, width):
    """Long names, on a phone or a wall: nothing lies off-screen, no table scrolls sideways, one chart of two is shown."""
    one = browser.new_page(viewport={"width": width, "height": 900})
    one.goto(long_names.as_uri())
    one.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert one.evaluate("document.documentElement.scrollWidth") <= width
    off = one.evaluate(
        """() => [...document.querySelectorAll("th, td, rect, .bar, .gauge, .tick, button, summary")]
        .filter((one) => one.checkVisibility())
        .map((one) => [one.tagName, one.textContent.slice(0, 40), one.getBoundingClientRect()])
        .filter(([, , box]) => box.width && (box.left < 0 || box.right > document.documentElement.clientWidth))"""
    )
    assert off == []
    cut = one.evaluate(
        """() => [...document.querySelectorAll(".scroll")].filter((one) => one.scrollWidth > one.clientWidth).length"""
    )
    assert cut == 0
    assert [chart.is_visible() for chart in one.locator("svg.chart").all()] == ([width > 720, width <= 720])
    one.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_browser_can_be_read(open_page, scheme):
    """Every text has a contrast of 4.5 to 1 with its ground (WCAG 2.1, 1.4.3), and every picture has a name."""
    one = open_page(color_scheme=scheme)
    faint = one.evaluate(
        """() => {
        const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
        const light = (rgb) => { const [r, g, b] = rgb.slice(0, 3).map((v) => v / 255)
            .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const ground = (element) => { for (let e = element; e; e = e.parentElement) {
            const found = numbers(getComputedStyle(e).backgroundColor);
            if (found.length < 4 || found[3] > 0) return found; } return [255, 255, 255]; };
        const out = [];
        const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (walk.nextNode()) { const element = walk.currentNode.parentElement;
            if (!walk.currentNode.data.trim() || !element.checkVisibility() || element.closest("script, svg title")) continue;
            const style = getComputedStyle(element);
            const [a, b] = [light(numbers(element.closest("svg") ? style.fill : style.color)), light(ground(element))];
            const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            if (ratio < 4.5) out.push([walk.currentNode.data, ratio]); }
        return out; }"""
    )
    assert faint == []
    assert one.get_by_role("img", name=re.compile("Spend over time in steps of 30 minutes")).count() == 1
    assert one.locator("svg:not([role=img]):not([aria-hidden=true])").count() == 0
