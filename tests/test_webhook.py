"""The webhook: what happens reaches a real receiver on loopback, whatever that does, and no caller waits for it."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import openai
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

import agent_fuse
from agent_fuse import (
    ConfigurationError,
    Limit,
    SentinelBudgetExceeded,
    SentinelLoopError,
    check_loop,
    doctor,
    pre_flight,
    session,
)
from agent_fuse.settings import settings
from agent_fuse.testing import LoopbackProvider
from agent_fuse.webhook import poster, telling
from alone import leave_nobody

SECRET = "T0-secret-path"


class Receiver:
    """Answers what it is told to, and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[dict] = []
        self.heads: list[dict] = []
        self.answers: list[int | str] = []
        self.changed = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer.changed:
                    answer = outer.answers.pop(0) if outer.answers else 200
                    outer.heads.append({"path": self.path, **self.headers})
                    outer.got.append(json.loads(body) | {"answered": answer})
                    outer.changed.notify_all()
                if answer == "cut":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if answer == "slow":
                    time.sleep(1)
                    answer = 200
                self.send_response(answer)
                if answer in {301, 302, 307, 308}:
                    self.send_header("Location", f"http://127.0.0.1:{outer.port}/elsewhere")
                self.end_headers()

            def log_message(self, *args):
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/services/{SECRET}?token={SECRET}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def until(self, enough: Callable[[list[dict]], object], seconds: float = 20) -> list[dict]:
        """What it got, once that is enough."""
        with self.changed:
            assert self.changed.wait_for(lambda: enough(self.got), seconds), self.got
            return list(self.got)

    def taken(self) -> list[dict]:
        """What it answered with OK."""
        with self.changed:
            return [one for one in self.got if one["answered"] in {200, "slow"}]


@pytest.fixture
def receiver():
    """A receiver on loopback."""
    one = Receiver()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture
def guard(tmp_path, receiver, monkeypatch):
    """Guard this process, alone, with a webhook to the receiver and no pauses to speak of."""
    monkeypatch.setattr(poster, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(poster, "_LONGEST_PAUSE", 0.05)

    def begin(**options):
        leave_nobody()
        begin.path = str(tmp_path / "ledger.db")
        given = {"db_path": begin.path, "session_id": "s", "busy_wait": 0, "webhook": receiver.url, **options}
        return agent_fuse.init(**given).fuse

    yield begin
    leave_nobody()


def refuse(times: int = 1, **facts: str) -> None:
    for _ in range(times):
        with pytest.raises(SentinelBudgetExceeded):
            pre_flight("gpt-4o", 1_000_000, 10_000, **facts)


def test_a_trip_is_posted(guard, receiver):
    """As JSON with all that a program wants to know, and a text for people; to the very address, secret and all."""
    guard(limits=[Limit(usd="0.01", per="user.id")])
    with session("run-1", user_id="ann"):
        refuse()
    (one,) = receiver.until(len)
    assert one["text"].startswith("AgentFuse: call to gpt-4o refused before it was sent: ")
    assert one["text"] == f"AgentFuse: {one['message']}"
    wanted = {
        "schema": "agent-fuse/webhook/1",
        "event": "trip",
        "kind": "budget",
        "session": "run-1",
        "model": "gpt-4o",
        "limit": "$0.01 per user.id",
        "per": "user.id",
        "key": "ann",
        "meter": "usd",
        "cap": "0.01",
        "requested": "2.6",
        "spent": "0",
    }
    assert {key: one[key] for key in wanted} == wanted
    assert receiver.heads[0]["path"] == f"/services/{SECRET}?token={SECRET}"
    assert receiver.heads[0]["Content-Type"].startswith("application/json")


def test_a_name_of_a_megabyte_silences_nobody(guard, receiver):
    """Receivers take no message of that size: names are cut, of a refusal and of a warning."""
    guard(limits=[Limit(usd="0.01", per="user.id"), Limit(tool_calls=2)], warn_at=0.5)
    huge = "<script>\x1b[31m" + "x" * 1_000_000
    with session(huge, user_id=huge):
        refuse()
        agent_fuse.check_loop(huge, {})
    one, other = receiver.until(lambda found: len(found) > 1)
    assert {one["event"], other["event"]} == {"trip", "warning"}
    for told in (one, other):
        assert len(json.dumps(told)) < 20_000
        assert told["session"] == f"{huge[:999]}…"


def test_warnings_loops_and_pauses_are_posted(guard, receiver):
    """Each of what `on_warning` is told, and the trip of a loop."""
    guard(budget="0.01", warn_at=0.5, loop_threshold=3, on_tight="pause", pause_for=0.2)
    pre_flight("gpt-4o", 1000, 500)
    with pytest.raises(SentinelLoopError):
        go_round()
    with LoopbackProvider() as provider, pytest.raises(SentinelBudgetExceeded):
        ask(provider, "long " * 20_000)
    found = receiver.until(lambda got: {one["kind"] for one in got} >= {"limit", "loop", "paused", "unanswered"})
    assert {(one["event"], one["kind"]) for one in found} >= {
        ("warning", "limit"),
        ("warning", "loop"),
        ("trip", "loop"),
        ("pause", "paused"),
        ("trip", "unanswered"),
    }
    assert next(one for one in found if one["kind"] == "limit")["share"] == 0.5


def go_round():
    for _ in range(9):
        check_loop("search", {"q": 1})


def ask(provider, content="hi"):
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": content}])


def test_what_slack_obeys_is_escaped(guard, receiver):
    """No name calls a channel, makes a link under another name, or begins a line; programs read it as it is."""
    evil = "<!channel> & <https://evil.example|ok>\n\x1b[2J\u202e"
    guard(budget=0, session_id=evil)
    refuse()
    (one,) = receiver.until(len)
    assert not set("<>\n\x1b\u202e") & set(one["text"])
    assert "&lt;!channel&gt; &amp; &lt;https://evil.example|ok&gt;" in one["text"]
    assert one["mrkdwn"] is False
    assert one["session"] == evil


@pytest.mark.parametrize("trouble", [[429], [500, 503], ["cut"], [408, 502, 429, 500]], ids=str)
def test_what_may_pass_is_tried_again(guard, receiver, trouble):
    """A receiver that is busy or broken gets the message once it is well: the same one, and once."""
    receiver.answers = list(trouble)
    guard(budget=0)
    refuse()
    found = receiver.until(lambda got: len(got) > len(trouble))
    assert len({json.dumps({**one, "answered": 0}) for one in found}) == 1
    assert [one["answered"] for one in found] == [*trouble, 200]


@pytest.mark.parametrize("answer", [400, 403, 404, 410, 302, 307])
def test_what_is_refused_is_dropped(guard, receiver, answer, caplog):
    """No redirect is followed, nothing is tried again, and what comes after it is posted."""
    receiver.answers = [answer]
    guard(limits=[Limit(usd=0, per="session")])
    with caplog.at_level(logging.WARNING, "agent_fuse"):
        for name in ("a", "b"):
            with session(name):
                refuse()
            receiver.until(lambda got, name=name: any(one["session"] == name for one in got))
    assert [(one["session"], one["answered"]) for one in receiver.got] == [("a", answer), ("b", 200)]
    assert {head["path"] for head in receiver.heads} == {f"/services/{SECRET}?token={SECRET}"}
    assert f"failed: HTTP {answer}" in caplog.text
    assert SECRET not in caplog.text


def test_the_tries_end(guard, receiver):
    """A message that fails for good makes room for the next."""
    receiver.answers = [500] * poster._TRIES
    guard(limits=[Limit(usd=0, per="session")])
    for name in ("a", "b"):
        with session(name):
            refuse()
    found = receiver.until(lambda got: got and got[-1]["session"] == "b")
    assert [one["session"] for one in found] == ["a"] * poster._TRIES + ["b"]


def test_a_storm_of_refusals_is_one_message(guard, receiver, monkeypatch):
    """A loop around a refused call does not flood a channel; how many there were is said with the next."""
    now = [1000.0]
    monkeypatch.setattr(telling.time, "monotonic", lambda: now[0])
    guard(budget=0, limits=[Limit(calls=0, per="agent")])
    refuse(40)
    now[0] += 61
    refuse()
    found = receiver.until(lambda got: len(got) > 1)
    assert found[-1]["more"] == 39
    assert "(39 more like it)" in found[-1]["text"]


def test_the_queue_is_bounded_and_says_what_it_lost(guard, receiver, monkeypatch):
    """A receiver that hangs costs no memory; what had no room is told of."""
    monkeypatch.setattr(poster, "_REMEMBERED", 5)
    receiver.answers = ["slow"]
    guard(limits=[Limit(usd=0, per="session")])
    with session("first"):
        refuse()
    receiver.until(len)
    for number in range(10):
        with session(f"s{number}"):
            refuse()
    found = receiver.until(lambda got: len(got) > 4)
    assert [one["session"] for one in found] == ["first", "s0", "s1", "s2", "s3"]
    assert found[1]["lost"] == 6
    assert "(6 messages before it were not posted)" in found[1]["text"]


def test_no_caller_waits(guard, receiver):
    """The refusal is there while the receiver still hangs."""
    receiver.answers = ["slow"]
    guard(limits=[Limit(usd=0, per="session")])
    with session("a"):
        refuse()
    receiver.until(len)
    for name in "bcdef":
        with session(name):
            refuse()
    assert [one["session"] for one in receiver.got] == ["a"]  # the others wait; nobody waited for them


def test_a_receiver_that_is_down_is_told_by_doctor(guard, receiver, caplog):
    """Where it posts and what went wrong last, without the secret; in another process too, until it goes through."""
    receiver.server.shutdown()
    receiver.server.server_close()
    guard(limits=[Limit(usd=0, per="session")])
    with caplog.at_level(logging.WARNING, "agent_fuse"), session("a"):
        refuse()
        with agent_fuse.read_ledger() as books:
            until(lambda: books.notes(telling.NOTE))
    (fact,) = [one for one in doctor() if "webhook" in one.what]
    assert fact.state == "blind"
    assert f"127.0.0.1:{receiver.port}" in fact.what
    assert "Connection refused" in fact.what
    assert SECRET not in repr(fact) + caplog.text
    program = Path(sys.executable).with_name("agent-fuse")
    done = subprocess.run(
        [program, "doctor", "--db", guard.path],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "AGENTFUSE_WEBHOOK": receiver.url, "COLUMNS": "300"},
    )
    assert f"127.0.0.1:{receiver.port}" in done.stdout
    assert "Connection refused" in done.stdout
    assert SECRET not in done.stdout + done.stderr


def test_doctor_says_where_it_posts(guard, receiver):
    """And that is all, once a post has gone through; without a webhook it says nothing of one."""
    receiver.answers = [404]
    guard(limits=[Limit(usd=0, per="session")])
    for name in "ab":
        with session(name):
            refuse()
    receiver.until(lambda got: len(got) > 1)
    with agent_fuse.read_ledger() as books:
        until(lambda: not books.notes(telling.NOTE))
    (fact,) = [one for one in doctor() if "webhook" in one.what]
    assert (fact.state, fact.what) == (
        "ok",
        f"trips, warnings and pauses are posted to the webhook at 127.0.0.1:{receiver.port}",
    )
    leave_nobody()
    agent_fuse.init(budget=1, db_path=guard.path)
    assert not [one for one in doctor() if "webhook" in one.what]


def until(work, seconds=20):
    ends = time.monotonic() + seconds
    while not work():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_our_own_post_is_no_call_and_no_span(guard, receiver, monkeypatch):
    """Not even to what looks like a model's endpoint, inside a span: nothing is judged, booked or traced."""
    import urllib.request

    seen = []
    real = urllib.request.OpenerDirector.open

    def look(self, *args, **kwargs):
        seen.append((is_instrumentation_enabled(), trace.get_current_span().is_recording()))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", look)
    url = f"http://127.0.0.1:{receiver.port}/v1/chat/completions"
    fuse = guard(budget=0, webhook=url, endpoints=f"127.0.0.1:{receiver.port}")
    from agent_fuse import api

    with api._private.get_tracer("host").start_as_current_span("agent"):
        refuse()
    receiver.until(len)
    until(lambda: seen)
    assert seen == [(False, False)]
    assert "traceparent" not in {name.lower() for name in receiver.heads[0]}
    with agent_fuse.read_ledger() as books:
        assert [str(one.status) for one in books.entries()] == ["refused"]
    assert fuse.ledger is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook/x9secret",
        "ftp://127.0.0.1/x9secret",
        "https:///x9secret",
        "x9secret",
        "https://ex ample/x9secret",
        "https://example.com:99999/x9secret",
        "http://127.0.0.1.evil.example/x9secret",
        "http://localhost@evil.example/x9secret",
        "https://example.com/\nx9secret",
        7,
    ],
)
def test_an_address_that_may_not_be_is_one_line(url):
    """Nothing goes to another machine in the clear; and the error shows none of it."""
    with pytest.raises(ConfigurationError, match="it must be https") as caught:
        settings({}, webhook=url)
    assert "x9secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="AGENTFUSE_WEBHOOK is not shown"):
        settings({"AGENTFUSE_WEBHOOK": str(url)})


def test_an_address_keeps_its_secret(receiver, guard):
    """User and password go as a header; no `repr` of the settings shows more than the host."""
    secret = f"http://us%40er:p9word@127.0.0.1:{receiver.port}/x9secret"
    fuse = guard(budget=0, webhook=secret)
    assert "p9word" not in repr(fuse.settings)
    assert "x9secret" not in repr(fuse.settings)
    refuse()
    receiver.until(len)
    assert receiver.heads[0]["Authorization"] == "Basic dXNAZXI6cDl3b3Jk"
    assert (
        settings({"AGENTFUSE_WEBHOOK": "https://hooks.example.com:8443/x?y=1#z"}).webhook.host
        == "hooks.example.com:8443"
    )
    assert settings({}).webhook is None


SCRIPT = """
import os, signal, sys, time, threading
import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded, pre_flight, session
from agent_fuse.webhook import poster
poster._FIRST_PAUSE = 0.05

def refuse(name):
    try:
        with session(name):
            pre_flight("gpt-4o", 1000, 1000)
    except SentinelBudgetExceeded:
        return
    raise SystemExit("let go")

agent_fuse.init(limits=[Limit(usd=0, per="session")], db_path=sys.argv[1], webhook=sys.argv[2])
"""


def sent(receiver):
    return sorted(one["session"] for one in receiver.taken())


def test_what_waits_is_posted_before_the_process_ends(receiver, run_python, tmp_path):
    """Also what came last of all, and what a busy receiver had put off."""
    receiver.answers = [503]
    run_python(SCRIPT + "for n in range(5): refuse(f's{n}')\n", str(tmp_path / "l.db"), receiver.url)
    assert sent(receiver) == ["s0", "s1", "s2", "s3", "s4"]


def test_a_process_ends_whatever_the_receiver_does(run_python, tmp_path):
    """One that takes the connection and never answers is given some seconds, and no more."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/{SECRET}"
        done = run_python(SCRIPT + "refuse('a')\n", str(tmp_path / "l.db"), url)
    assert "1 messages could not be posted to 127.0.0.1" in done.stderr
    assert SECRET not in done.stderr


def test_a_trip_in_atexit_is_posted(receiver, run_python, tmp_path):
    """When no thread can be started any more."""
    run_python(SCRIPT + "import atexit\natexit.register(refuse, 'late')\n", str(tmp_path / "l.db"), receiver.url)
    assert sent(receiver) == ["late"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_posts_nothing_twice(receiver, run_python, tmp_path):
    """What waits in the parent is the parent's; the child's own is posted by the child, at its end too."""
    receiver.answers = ["slow"]
    done = run_python(
        SCRIPT
        + """
refuse('parent-1')
refuse('parent-2')
child = os.fork()
if child == 0:
    refuse('child-1')
    refuse('child-2')
    sys.exit(0)
os.waitpid(child, 0)
refuse('parent-3')
""",
        str(tmp_path / "l.db"),
        receiver.url,
    )
    assert "failed" not in done.stderr
    assert sent(receiver) == ["child-1", "child-2", "parent-1", "parent-2", "parent-3"]


def test_a_worker_of_multiprocessing_posts_at_its_end(receiver, run_python, tmp_path):
    """Which runs no `atexit`."""
    run_python(
        SCRIPT
        + """
import multiprocessing
workers = [multiprocessing.get_context("fork").Process(target=refuse, args=(f"w{n}",)) for n in range(2)]
[one.start() for one in workers]
[one.join() for one in workers]
""",
        str(tmp_path / "l.db"),
        receiver.url,
    )
    assert sent(receiver) == ["w0", "w1"]


def test_an_interrupt_gets_through(receiver, tmp_path):
    """Ctrl-C in the middle of a storm of refusals ends the program as ever, and what waits is posted."""
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's & ignores it
            + SCRIPT
            + "n = 0\nwhile True:\n    refuse(f's{n}')\n    n += 1\n    n == 3 and print('go', flush=True)\n",
            str(tmp_path / "l.db"),
            receiver.url,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            assert program.stdout.readline() == "go\n"
            program.send_signal(signal.SIGINT)
            _, said = program.communicate(timeout=60)
        finally:
            program.kill()
    assert program.returncode in {-signal.SIGINT, 130, 1}
    assert "KeyboardInterrupt" in said
    assert {"s0", "s1", "s2"} <= set(sent(receiver))
