"""What the dashboard answers: the ledger's figures, in the command line's schema, over every kind of ledger."""

import json
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent_fuse.accounting.published_limits import read_published
from agent_fuse.dashboard.filters import Filter
from agent_fuse.dashboard.one_session import one_session
from agent_fuse.dashboard.prometheus import exposition
from agent_fuse.dashboard.state import Caps, state
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.reading import open_reader
from cli import filled, many
from dashboard.conftest import PROGRAM, until
from ledgers.samples import amounts, hold, line


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    path = tmp_path_factory.mktemp("story") / "ledger.db"
    filled.fill(path)
    return path


def cli(*words):
    """What the command line prints of it."""
    done = subprocess.run([PROGRAM, *map(str, words), "--json"], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)


def look(path, now=filled.NOW, environ=None, **filters):
    """The state at a time."""
    with open_reader(path) as reader:
        return state(reader, Caps(environ or {}), now=now, among=Filter(**filters))


def test_the_answers_are_the_command_lines(story, served):
    """Sessions, calls and one session's figures are those of `--json`, field by field."""
    with served(story).let_in() as person:
        assert person.get("/api/sessions").json() == cli("sessions", "--db", story)
        assert person.get("/api/calls?limit=7").json() == cli("calls", "--db", story, "--limit", "7")
        asked = "session=research*&model=claude*&refused=true"
        words = ("--session", "research*", "--model", "claude*", "--refused")
        assert person.get(f"/api/calls?{asked}").json() == cli("calls", "--db", story, *words)
        shown = person.get("/api/state").json()
        told = cli("status", "--db", story)
        assert shown["total"] == told["total"]
        assert {one["account"]: one["spent"] for one in shown["limits"] if one["meter"] == "usd"} == {
            one["account"]: one["spent"] for one in told["limits"] if one["meter"] == "usd"
        }
        one = person.get("/api/sessions/research-loop").json()
        assert one["spent_usd"] == next(
            one["spent"]
            for one in told["limits"]
            if one["account"] == "session=research-loop" and one["meter"] == "usd"
        )
        assert person.get("/api/sessions/nobody").status_code == 404
        for wrong in ("limit=0", "limit=1001", "limit=x", "since=never"):
            assert person.get(f"/api/calls?{wrong}").status_code == 400


def test_open_calls_refusals_and_what_is_near(story):
    """At a moment of the story: who is at work, what is held, what was refused and why."""
    found = look(story, now=filled.NOW - 3_500)
    assert [one["session"] for one in found["holds"]] == ["チャット-é"]
    assert found["holds"][0]["held_usd"] == "0.04"
    assert found["refusals"][0]["refused_by"]["limit"] in {"$0.30 per session", "$0.40 per user.id"}
    assert {one["reason"] for one in found["refusals"]} == {"budget", "loop"}
    used = [one["used"] for one in found["limits"] if one["seconds_until_cap"] is None]
    assert used == sorted(used, reverse=True)
    assert found["limits"][0]["account"] == "user.id=ann"


@pytest.mark.parametrize(
    ("filters", "limits", "refused"),
    [
        ({"session": "research-loop"}, {"session=research-loop", "user.id=ann", "user.id=bob", "all"}, 15),
        ({"user": "a*"}, {"user.id=ann", "session=research-loop", "all"}, 2),
        ({"user": "ann", "session": "research*"}, {"user.id=ann", "session=research-loop"}, 2),
        ({"limit": "*per user.id ann"}, {"user.id=ann"}, 2),
        ({"agent": "writer"}, {"all", "user.id=ann"}, 0),
        ({"model": "claude*"}, {"all", "user.id=ann"}, 14),
    ],
)
def test_filters(story, filters, limits, refused):
    """What is not asked for is left out; refusals by other limits are too."""
    found = look(story, now=filled.NOW - 3_400, **filters)
    assert limits <= {one["account"] for one in found["limits"]}
    assert len(found["refusals"]) == refused
    if "user" in filters:
        assert "user.id=bob" not in {one["account"] for one in found["limits"]}
        assert {one["session"] for one in found["sessions"]} <= {"research-loop", "nightly-summary"}
    if "session" in filters:
        assert {one["value"] for one in found["limits"] if one["per"] == "session"} == {"research-loop"}
        assert found["holds"] == []


def test_a_filter_by_user_counts_that_users_calls(url):
    """Over every kind of ledger: sessions, agents, models and open calls of one user among others', one session shared."""
    ledger, now = open_ledger(url), time.time()
    for number, user in enumerate(("ann", "ann", "bob", "")):
        entry = line(f"c{number}", at=now - 1, session="shared", agent=f"of {user}", user_id=user)
        ledger.settle(entry, ["all", "session=shared"], amounts(), now=now)
    ledger.reserve(hold("open", at=now, session="shared", user_id="bob"), now=now)
    with open_reader(url) as reader:

        def shown(user):
            found = state(reader, Caps({}), now=now, among=Filter(user=user))
            (one,) = found["sessions"]
            return one["calls"], one["open"], [agent["name"] for agent in found["agents"]]

        assert shown("ann") == (2, 0, ["of ann"])
        assert shown("b*") == (1, 1, ["of bob"])
        assert shown("") == (4, 1, ["of ann", "of ", "of bob"])
        assert one_session(reader, Caps({}), "shared", now=now)["users"] == ["ann", "bob"]
    ledger.close()


def test_a_call_of_another_process_is_there_in_the_next_look(url):
    """Over every kind of ledger: an open call, then its cost, then a stop, without a lock on the books."""
    ledger = open_ledger(url)
    now = time.time()
    ledger.settle(line("a", at=now, session="s"), ["all", "session=s"], amounts(), now=now)
    with open_reader(url) as reader:
        caps = Caps({"AGENTFUSE_BUDGET": "1"})
        before = state(reader, caps, now=now, among=Filter())
        ledger.reserve(hold("b", at=now, session="s", accounts=("all", "session=s")), now=now)
        during = state(reader, caps, now=now, among=Filter())
        assert [len(one["holds"]) for one in (before, during)] == [0, 1]
        assert during["sessions"][0]["open"] == 1
        ledger.settle(line("b", at=now, session="s"), ["all", "session=s"], amounts(), now=now)
        after = state(reader, caps, now=now, among=Filter())
        assert after["total"]["usd"] == "0.015"
        assert after["limits"][0]["account"] == "session=s"
        assert one_session(reader, Caps({}), "s", now=now)["spent_usd"] == "0.015"
        assert one_session(reader, Caps({}), "s*", now=now) is None
    ledger.close()


def test_a_sessions_page_reads_all_the_caps_once(tmp_path):
    """Ten thousand sessions may have caps of their own: those are read anew only when one changes, and each meets its own."""
    import agent_fuse.dashboard.state as module

    path, now, read = tmp_path / "ledger.db", time.time(), []
    ledger = open_ledger(path)
    for name in ("per/usd/session", "own/usd/session=a", "own/usd/session@day=a", "own/usd/session=b"):
        ledger.update_note(f"caps/{name}", lambda _: (b'{"amount": 2000000000}', None), now=now)
    for name in "abc":
        ledger.settle(line(name, at=now, session=name), ["all", f"session={name}"], amounts(), now=now)
    with pytest.MonkeyPatch.context() as patch, open_reader(path) as reader:
        patch.setattr(module, "read_published", lambda notes: read.append(1) or read_published(notes))
        caps = Caps({})

        def limits(session):
            return [(one["source"], one["window"]) for one in one_session(reader, caps, session, now=now)["limits"]]

        assert [len(limits(name)) for name in "abc"] == [2, 1, 1]
        assert read == [1]
        ledger.update_note("caps/own/tool_calls/session=c", lambda _: (b'{"amount": 5}', None), now=now + 1)
        assert len(limits("c")) == 2
        assert read == [1, 1]
    ledger.close()


def test_sessions_inside_a_session_and_loops_that_are_near(box, tmp_path):
    """A session's page lists those that ran inside it; a tool that repeats is told of before it trips."""
    from agent_fuse import call, check_loop, session

    box(budget=1, db_path=str(tmp_path / "books.db"))
    for name in ("child", "ch*ld", "other"):
        with session("run"), session(name), call("gpt-4o", 1000, 500) as one:
            one.usage(1000, 500)
    with session("run"):
        for _ in range(4):
            check_loop("search", {"q": "the same"})
    with open_reader(tmp_path / "books.db") as reader:
        found = one_session(reader, Caps({}), "run", now=time.time())
        assert {one["session"]: one["spent_usd"] for one in found["children"]} == dict.fromkeys(
            ("child", "ch*ld", "other"), "0.0075"
        )
        assert found["loops"] == [{"session": "run", "tool": "search", "times": 4}]
        (child,) = one_session(reader, Caps({}), "child", now=time.time())["calls"]
        assert child["model"] == "gpt-4o", "it began before it was admitted"
        assert found["left"]["usd"] == "0.9775"
        assert found["tools"] == [{"name": "search", "calls": 4, "refused": 0}]
        assert one_session(reader, Caps({}), "ch*ld", now=time.time())["calls_made"] == 1
        assert state(reader, Caps({}), now=time.time(), among=Filter())["loops"] == found["loops"]


@contextmanager
def listening(person, path="/api/events"):
    """The events of a page, as they come."""
    with person.stream("GET", path) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["x-accel-buffering"] == "no"
        lines = stream.iter_lines()

        def following():
            for one in lines:
                if one.startswith("data: "):
                    return json.loads(one.removeprefix("data: "))
            raise AssertionError("the stream ended")

        yield following


def test_events_come_by_themselves(tmp_path, served):
    """A page that listens is told within a second, and only when something has changed."""
    ledger = open_ledger(tmp_path / "ledger.db")
    with served(tmp_path / "ledger.db").let_in() as person, listening(person) as following:
        assert following()["total"]["calls"] == 0
        now = time.time()
        ledger.settle(line("a", at=now, session="s"), ["all", "session=s"], amounts(), now=now)
        began = time.monotonic()
        while not following()["total"]["calls"]:
            pass
        assert time.monotonic() - began < 10  # half a second between two looks; a machine may be busy
    ledger.close()


def test_a_ledger_that_fails_is_told_of(tmp_path, served):
    """The page hears it, health says so, and when the ledger is back so are the figures."""
    path = tmp_path / "ledger.db"
    open_ledger(path).close()
    with served(path).let_in() as person, listening(person) as following:
        assert following()["total"]["calls"] == 0
        whole = path.read_bytes()
        for one in tmp_path.glob("ledger.db*"):
            one.unlink()
        path.write_bytes(b"no database at all" * 1_000)
        assert until(lambda: person.get("/healthz").status_code == 503)
        assert "failing" in following()
        assert person.get("/api/state").status_code == 503
        assert person.get("/metrics").text.splitlines()[-1] == "agent_fuse_ledger_up 0"
        path.write_bytes(whole)
        assert until(lambda: person.get("/healthz").status_code == 200)
        assert "total" in following()


def test_looking_takes_no_lock_and_changes_nothing(story, served):
    """Its file stays as it is to the byte, while its user may not even write it."""
    before = {one.name: one.read_bytes() for one in story.parent.iterdir()}
    with served(story, "--read-only").let_in() as person:
        for path in ("/api/state", "/api/sessions", "/api/calls", "/api/sessions/research-loop", "/metrics"):
            assert person.get(path).status_code == 200
    after = {one.name: one.read_bytes() for one in story.parent.iterdir()}
    assert after.get("ledger.db") == before["ledger.db"]


def test_metrics_are_few_and_well_formed(story):
    """Prometheus's own parser reads them; their number does not grow with sessions."""
    parser = pytest.importorskip("prometheus_client.parser")
    found = look(story)
    families = {one.name: one for one in parser.text_string_to_metric_families(exposition(found))}
    assert families["agent_fuse_ledger_spent_usd"].samples[0].value == float(found["total"]["usd"])
    assert {one.labels["per"] for one in families["agent_fuse_ledger_limit_utilization"].samples} == {
        "session",
        "all",
        "user.id",
    }
    hostile = {**found, "limits": [{**found["limits"][0], "per": 'a"b\\c\nd'}]}
    (sample,) = [
        one
        for family in parser.text_string_to_metric_families(exposition(hostile))
        for one in family.samples
        if one.labels
    ]
    assert sample.labels["per"] == 'a"b\\c\nd'


def test_the_document_tells_every_path(story, served):
    """What OpenAPI lists is answered, and what is answered is listed."""
    with served(story).let_in() as person:
        document = person.get("/api/openapi.json").json()
        assert document["openapi"].startswith("3.1")
        for path, verbs in document["paths"].items():
            for verb, told in verbs.items():
                if path == "/api/events":
                    continue
                asked = path.replace("{id}", "research-loop").replace("{right}", "view")
                body = {} if verb == "post" else None
                assert person.request(verb, asked, json=body).status_code in {200, 400}
                wrong = person.request(verb, path.replace("{id}", "none") + "?sessions=x", json=body)
                assert str(wrong.status_code) in told["responses"]
        assert {path for path in document["paths"] if path.startswith("/api/act/")} == {
            f"/api/act/{verb}" for verb in ("stop", "resume", "top-up", "approve", "deny")
        }


def test_a_misspelt_parameter_is_told(story, served):
    """Left alone it would filter nothing, and show what was not asked for."""
    with served(story).let_in() as person:
        for path, meant in (("state", "session"), ("events", "session"), ("sessions", "session"), ("calls", "session")):
            wrong = person.get(f"/api/{path}?sesion=x")
            assert wrong.status_code == 400
            assert wrong.json()["error"] == f"sesion is no parameter of /api/{path}; did you mean {meant}?"
        assert person.get("/api/calls?refused=yes").json()["error"] == "refused is 'yes'; it must be true or false"


def test_actions_are_in_the_journal_with_who_and_why(url, served):
    """Over every kind of ledger; everything is asked twice, and what cannot be is one line."""
    open_ledger(url).close()
    with served(url).let_in() as person:

        def do(verb, **asked):
            return person.post(f"/api/act/{verb}", json=asked)

        me = person.get("/api/me").json()["name"]
        assert do("stop", account="run-1", why="it runs away").json()["stopped"] is True
        assert do("top-up", account="user.id=ann", usd="2.50", for_seconds=60).json()["top_ups"][0]["amount"] == "2.5"
        asked = do("stop", account="all")
        assert (asked.status_code, asked.json()) == (409, {"ask": "Stop everything that uses this ledger?"})
        assert do("stop", account="all", sure=True).status_code == 200
        assert do("resume", account="all", sure=True).status_code == 200
        assert do("resume", account="run-1").status_code == 200
        for verb, wrong in (
            ("stop", {}),
            ("stop", {"account": 3}),
            ("stop", {"account": "a", "why": "x" * 501}),
            ("top-up", {"account": "a"}),
            ("top-up", {"account": "a", "usd": "-1"}),
            ("top-up", {"account": "a", "usd": "NaN"}),
            ("top-up", {"account": "a", "usd": "1", "for_seconds": -1}),
            ("approve", {"account": "a"}),
            ("deny", {"account": "a"}),
        ):
            refused = do(verb, **wrong)
            assert refused.status_code == 400, (verb, wrong)
            assert refused.json()["error"]
        assert do("explode", account="a").status_code == 404
        assert (
            person.post("/api/act/stop", content="[]", headers={"content-type": "application/json"}).status_code == 400
        )
        decided = person.get("/api/state").json()["decisions"]
        assert [(one["what"], one["account"], one["who"], one["why"]) for one in reversed(decided)] == [
            ("stop", "session=run-1", me, "it runs away"),
            ("top-up", "user.id=ann", me, ""),
            ("stop", "all", me, ""),
            ("resume", "all", me, ""),
            ("resume", "session=run-1", me, ""),
        ]
        assert [one["account"] for one in person.get("/api/state").json()["in_force"]] == ["user.id=ann"]


def test_it_ends_when_asked_also_while_a_page_listens(story, served):
    house = served(story)
    with house.let_in() as person, listening(person) as following:
        following()
        began = time.monotonic()
        assert house.end() == 0
        assert time.monotonic() - began < 5


def test_a_ledger_that_is_not_there(tmp_path):
    """One line, and status 3: a slip in its path is not to be taken for a quiet day."""
    done = subprocess.run(
        [PROGRAM, "dashboard", "--db", str(tmp_path / "none.db")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "there is no such file" in done.stderr


def test_the_clients_names_are_texts(tmp_path):
    """Names full of markup come as JSON texts alone: no page is made of them on this side."""
    evil = "</script><img src=x onerror=alert(1)>\"'&"
    ledger = open_ledger(tmp_path / "l.db")
    ledger.settle(
        line("a", at=1e9, session=evil, agent=evil, model=evil), ["all", f"session={evil}"], amounts(), now=1e9
    )
    ledger.close()
    found = look(tmp_path / "l.db", now=1e9)
    assert found["sessions"][0]["session"] == evil
    for page in Path(sys.modules["agent_fuse.dashboard"].__file__).parent.glob("*"):
        if page.suffix in {".html", ".js"}:
            text = page.read_text("utf-8")
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|https?://(?!www\.w3\.org)", text
            )
            assert not re.search(r"<[^>]+\s(?:style|on\w+)=", text)


@pytest.mark.soak
def test_a_million_lines_and_ten_thousand_sessions(tmp_path):
    """All in the last hour, each session with a cap of its own: a look takes at most 100 ms, and 150 MB suffice.

    The best of some looks, seconds of this thread's CPU: another program's work does not count.
    """
    path = tmp_path / "ledger.db"
    many.fill(path, 1_000_000)
    import apsw

    db = apsw.Connection(str(path))
    with db:
        db.execute("UPDATE journal SET at = ? - (? - at) / 2160.0", (many.NOW, many.NOW))
        db.executemany(
            "INSERT INTO notes VALUES (?, ?, ?)",
            ((f"caps/own/usd/session=run-{one}", many.NOW, b'{"amount": 2000000000}') for one in range(10_000)),
        )
    db.close()
    script = """
import resource, sys, time
from agent_fuse.dashboard.filters import Filter
from agent_fuse.dashboard.state import Caps, state
from agent_fuse.ledgers.reading import open_reader
import agent_fuse.dashboard.server
reader, caps, took = open_reader(sys.argv[1]), Caps({}), []
for among in (Filter(), Filter(session="*99*")):
    for _ in range(5):
        began = time.thread_time()
        state(reader, caps, now=float(sys.argv[2]), among=among)
        took.append(time.thread_time() - began)
print(max(min(took[:5]), min(took[5:])), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), str(many.NOW)], capture_output=True, text=True, check=True
    )
    seconds, megabytes = map(float, done.stdout.split())
    print(f"a look: {seconds * 1000:.0f} ms, {megabytes:.0f} MB")
    assert seconds < 0.1
    assert megabytes < 150


def test_a_look_stays_cheap(crowds):
    """Whatever lies in the journal, a look reads so many lines and no more: counted, so that none creeps in unseen."""
    from agent_fuse.dashboard import state as module

    read = []
    with open_reader(crowds[60_000]) as reader:
        since = reader.since_last(module.LINES)
        found = state(reader, Caps({}), now=many.NOW, among=Filter())
        read.append(sum(1 for one in reader.entries() if one.at >= since))
    assert read == [module.LINES]
    assert found["window_seconds"] == 300


@pytest.fixture(scope="module")
def crowds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crowds")
    many.fill(folder / "many.db", 60_000)
    return {60_000: folder / "many.db"}


def test_a_burst_shortens_the_window(tmp_path):
    """More calls than a look reads: rates look back over less time, and say so."""
    path = tmp_path / "burst.db"
    ledger = open_ledger(path)
    for number in range(30):
        ledger.settle(line(f"c{number}", at=1e9 + number, session="s"), ["all", "session=s"], amounts(), now=1e9)
    ledger.close()
    import agent_fuse.dashboard.state as module

    with pytest.MonkeyPatch.context() as patch, open_reader(path) as reader:
        patch.setattr(module, "LINES", 10)
        found = state(reader, Caps({}), now=1e9 + 30, among=Filter())
    assert found["window_seconds"] == 10
    assert found["sessions"][0]["calls"] == 10


def test_no_act_makes_a_ledger_anew_that_is_gone(tmp_path, served):
    """A stop that no agent would hear of is refused, and not said to be done."""
    path = tmp_path / "ledger.db"
    open_ledger(path).close()
    with served(path).let_in() as person:
        for part in tmp_path.iterdir():
            part.unlink()
        answer = person.post("/api/act/stop", json={"account": "session=x"})
        assert (answer.status_code, answer.json()["error"].partition("; ")[0]) == (
            503,
            f"ledger {path}: open failed: there is no such file",
        )
        assert not path.exists()
