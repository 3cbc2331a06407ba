"""Who is let in, and who may act: nobody without a link, a password or a proxy's word; no other site, ever."""

import base64
import os
import re
import subprocess
import sys
from itertools import islice

import pytest

from agent_fuse.dashboard.rights import Passes, Person, Rights
from cli import filled
from dashboard.conftest import PROGRAM, Served

GUARDED = ("/api/state", "/api/events", "/api/sessions", "/api/sessions/research-loop", "/api/calls", "/api/me")
MORE = ("/api/openapi.json", "/metrics")


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    path = tmp_path_factory.mktemp("story") / "ledger.db"
    filled.fill(path)
    return path


@pytest.fixture(scope="module")
def open_house(story):
    """A dashboard with one person let in."""
    one = Served(story)
    try:
        with one.let_in() as person:
            yield one, person
    finally:
        one.end()


def test_nothing_is_told_without_a_link(open_house):
    """No figure, no page, no action; health alone, which says no more than that."""
    house, _ = open_house
    with house.client() as stranger:
        assert {stranger.get(path).status_code for path in (*GUARDED, *MORE)} == {401}
        assert stranger.post("/api/act/stop", json={"account": "all", "sure": True}).status_code == 401
        assert stranger.post("/api/link/act").status_code == 401
        page = stranger.get("/")
        assert page.status_code == 403
        assert "research-loop" not in page.text
        assert stranger.get("/?token=x").status_code == 403
        assert stranger.get("/healthz").text == "ok\n"
        wrong = {"cookie": "agent-fuse-1=x; agent-fuse=x", "authorization": "Bearer x"}
        assert stranger.get("/api/state", headers=wrong).status_code == 401


def test_a_link_is_good_once(story, served):
    """It is turned into a cookie that no script reads and no other site sends."""
    house = served(story)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", house.address)
    with house.client() as first, house.client() as second:
        answer = first.get(house.address)
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert first.get("/api/state").status_code == 200
        assert second.get(house.address).status_code == 403
        assert second.get("/api/state").status_code == 401
        assert first.post("/logout").status_code == 200
        first.cookies.update(answer.cookies)
        assert first.get("/api/state").status_code == 401


def test_an_open_stream_ends_when_who_looks_signs_out(story, served):
    """A page that is left open somewhere sees nothing more; another's does."""
    house = served(story)
    with house.client() as one, house.client() as other:
        one.get(house.address)
        other.get("/?" + one.post("/api/link/view").json()["path"].partition("?")[2])
        with one.stream("GET", "/api/events", timeout=10) as mine, other.stream("GET", "/api/events") as theirs:
            lines, others = mine.iter_lines(), theirs.iter_lines()
            assert next(lines).startswith("data:")
            assert next(others).startswith("data:")
            with house.client() as elsewhere:
                elsewhere.cookies.update(one.cookies)
                assert elsewhere.post("/logout").status_code == 200
            assert sum(1 for _ in islice(lines, 40)) < 40, "it goes on: two lines come each half a second"
            assert next(line for line in others if line)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "localhost.evil"])
def test_a_foreign_host_is_refused(open_house, host):
    """So that a name that is bound to this address anew (DNS rebinding) reaches nothing."""
    _, person = open_house
    for path in ("/", "/healthz", "/api/state", "/static/page.js"):
        assert person.get(path, headers={"host": host}).status_code in {400, 421}


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1"])
def test_another_site_is_refused(open_house, origin):
    """Even with the cookie: it can neither act nor read."""
    _, person = open_house
    asked = {"account": "session=research-loop"}
    for path in ("/api/state", "/api/events", "/"):
        assert person.get(path, headers={"origin": origin}).status_code == 403
    for path in ("/api/act/stop", "/logout", "/login"):
        assert person.post(path, json=asked, headers={"origin": origin}).status_code == 403
        assert person.post(path, json=asked, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert person.get("/api/state").json()["in_force"] == []


def test_a_form_cannot_act(open_house):
    """What a page of another site can send without being asked first is not taken for an action."""
    _, person = open_house
    assert person.post("/api/act/stop", data={"account": "session=x"}).status_code == 415
    assert person.post("/api/act/stop", content="{}", headers={"content-type": "text/plain"}).status_code == 415
    assert person.post("/api/act/stop", content="x" * 70_000).status_code == 413
    assert person.get("/api/act/stop").status_code == 405


def test_every_answer_keeps_the_browser_here(open_house):
    """Whatever is asked, refusals too."""
    house, person = open_house
    with house.client() as stranger:
        answers = [person.get(path) for path in ("/", "/api/state", "/nothing", "/static/page.js", "/metrics")]
        answers += [stranger.get("/"), stranger.get("/api/state"), person.get("/", headers={"host": "evil.example"})]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


def test_looking_and_acting_are_two_rights(open_house):
    """Whoever may only look cannot act, and cannot make a link that may."""
    house, person = open_house
    assert person.get("/api/me").json()["may_act"] is True
    path = person.post("/api/link/view").json()["path"]
    with house.let_in(house.base + path) as viewer:
        assert viewer.get("/api/me").json()["may_act"] is False
        assert viewer.get("/api/state").status_code == 200
        assert viewer.post("/api/act/stop", json={"account": "session=x"}).status_code == 403
        made = viewer.post("/api/link/act").json()
        assert made["right"] == "view"
        with house.let_in(house.base + made["path"]) as third:
            assert third.post("/api/act/stop", json={"account": "session=x"}).status_code == 403
    assert person.get("/api/state").json()["in_force"] == []


def test_read_only(story, served):
    house = served(story, "--read-only")
    with house.let_in() as person:
        assert person.get("/api/me").json()["may_act"] is False
        assert person.post("/api/act/stop", json={"account": "session=x"}).status_code == 403


@pytest.fixture
def people(tmp_path):
    """A password file of two."""
    path = tmp_path / "people"
    path.write_text("# who\nann:act:correct: horse\nbob:view:büro\n", "utf-8")
    path.chmod(0o600)
    return path


def test_names_and_passwords(story, served, people):
    """By a form for people, by basic authentication for machines; what is wrong is answered slowly."""
    house = served(story, "--password-file", str(people))
    assert "token" not in house.address
    with house.client() as person:
        assert person.get("/").headers["location"] == "/login"
        assert "Sign in" in person.get("/login").text
        assert person.post("/login", data={"name": "ann", "password": "wrong"}).status_code == 403
        assert person.post("/login", data={"name": "ann", "password": "correct: horse"}).status_code == 303
        assert person.get("/api/me").json() == {"name": "ann", "may_act": True}
    with house.client() as machine:
        assert machine.get("/metrics", auth=("bob", "wrong")).status_code == 401
        assert machine.get("/metrics", auth=("", "")).status_code == 401
        given = base64.b64encode("bob:büro".encode()).decode()
        assert machine.get("/metrics", headers={"authorization": f"Basic {given}"}).status_code == 200
        refused = machine.post("/api/act/stop", json={"account": "x"}, headers={"authorization": f"Basic {given}"})
        assert refused.status_code == 403
        assert machine.get("/api/state", headers={"authorization": "Basic ???"}).status_code == 401


def test_a_proxy_names_the_user(story, served):
    """Its header alone lets in, from its address alone; who may act is said at the start."""
    house = served(story, "--trust-header", "X-User", "--may-act", "ann", "--name", "ops.example")
    with house.client() as proxy:
        assert proxy.get("/api/state").status_code == 401
        seen = {"x-user": "ann", "host": "ops.example"}
        assert proxy.get("/api/me", headers=seen).json() == {"name": "ann", "may_act": True}
        assert proxy.get("/api/me", headers={"x-user": "bob"}).json() == {"name": "bob", "may_act": False}
    house = served(story, "--trust-header", "X-User", "--proxy", "10.0.0.9")
    with house.client() as stranger:
        assert stranger.get("/api/state", headers={"x-user": "ann"}).status_code == 401


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "others reach: say who they are with --password-file or --trust-header"),
        (["--host", "0.0.0.0", "--trust-header", "x"], "name what people type with --name HOST"),
        (["--may-act", "ann"], "--trust-header names; add it"),
        (["--password-file", "{open}"], "can be read by others; chmod 600"),
        (["--password-file", "{bad}"], "line 2: write name:view:password, or name:act:password"),
        (["--password-file", "{none}"], "No such file"),
        (["--password-file", "{twice}"], "line 2: 'ann' has a line already; keep one"),
        (["--trust-header", "X User"], "--trust-header is 'X User', no header's name"),
        (["--name", "https://fuse.example.com", "--trust-header", "x"], "write a host name alone"),
        (["--name", "10.0.0.1:8443", "--trust-header", "x"], "write a host name alone"),
        (["--host", "192.0.2.1", "--password-file", "{people}"], "--host 192.0.2.1 --port 0"),
    ],
)
def test_a_start_that_would_be_unsafe(story, people, tmp_path, options, said):
    """One line that says what to do, and status 2."""
    (tmp_path / "open").write_text("ann:act:x\n")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "bad").write_text("ann:act:x\nbob:x\n")
    (tmp_path / "bad").chmod(0o600)
    (tmp_path / "twice").write_text("ann:view:x\nann:act:y\n")
    (tmp_path / "twice").chmod(0o600)
    names = {
        "twice": tmp_path / "twice",
        "open": tmp_path / "open",
        "bad": tmp_path / "bad",
        "none": tmp_path / "none",
        "people": people,
    }
    words = [one.format(**names) for one in options]
    done = subprocess.run(
        [PROGRAM, "dashboard", "--db", str(story), *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_extra_is_named(story):
    """Without starlette the command says in one line what to install."""
    script = """
import sys
sys.modules["starlette"] = None
from agent_fuse.cli import main
main(["dashboard", "--db", sys.argv[1]])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(story)], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 2
    assert done.stderr == (
        "agent-fuse: starlette is missing; install the dashboard with: pip install 'agent-fuse[dashboard]'\n"
    )


def test_secrets_end():
    """A cookie is good for a time, and where very many were given the oldest is forgotten."""
    now = [0.0]
    passes = Passes(lambda: now[0])
    ann = Person(name="ann", right="act")
    first = passes.give(ann, 10)
    now[0] = 9.0
    assert passes.whose(first) == ann
    now[0] = 10.0
    assert passes.whose(first) is None
    early = passes.give(ann, 100)
    for _ in range(1_000):
        last = passes.give(ann, 100)
    assert passes.whose(early) is None
    assert passes.take(last) == ann
    assert passes.take(last) is None


def test_an_empty_password_opens_nothing():
    rights = Rights(people={"ann": ("act", "x")})
    assert rights.named("nobody", "") is None
    assert rights.named("ann", "") is None
    assert rights.named("ann", "x") == Person(name="ann", right="act")
