"""Hostile texts where they come in and go out: a model's, a tool's or a session's name is never more than a text.

Names reach terminals, logs, HTML, JSON and spreadsheets through the roads that users have: an SDK's call to a provider on
loopback, a loop of tools, a session from a web request, a person's stop. A prompt reaches nothing but the request.
"""

import csv
import io
import json
import logging
import os
import shutil
import subprocess
import sys
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import agent_fuse
import agent_fuse.cli
from agent_fuse import (
    Limit,
    SentinelBudgetExceeded,
    SentinelLoopError,
    SentinelSystemError,
    api,
    check_loop,
    control,
    pre_flight,
    session,
)
from agent_fuse.foreign_text import csv_cell, escaped, in_json, inline, name, shell_word
from agent_fuse.testing import LoopbackProvider
from alone import leave_nobody

ESCAPES = "m\n2026-01-01 00:00:00 CRITICAL all is well\r\x1b]0;owned\x07\x1b[2J\x9b31m\x00\x7f"
TURNED = "\u202egpj.exe\u2066\u2069\u200f\u2028\u2029\u0085\u200b"
MARKUP = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
HOSTILE = (ESCAPES + TURNED + MARKUP).replace("\0", "")
"""A text without NUL, which names may not have."""
FORMULA = "=cmd|'/C calc'!A0;@SUM(1);\"=1+1\""
TRICKS = "../../../../tmp/owned"


def shows(text: str) -> str:
    """The text, once it is seen to be one line on which a terminal obeys nothing."""
    assert text.isprintable(), ascii(text)
    return text


def lines_show(text: str) -> str:
    """The same of an output of many lines."""
    for line in text.split("\n"):
        shows(line)
    return text


# The functions


@pytest.mark.parametrize(
    "text", ["\n", "\r", "\x1b", "\x07", "\x00", "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\u061c", "\ud800", "\ufeff"]
    + [chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x200B, 0xE0041)],
)  # fmt: skip
def test_what_a_terminal_obeys_or_hides_is_an_escape(text):
    """Python's own escape: whoever looks for the name finds it again."""
    shown = shows(inline(f"a{text}b"))
    assert shown.encode().decode("unicode_escape") == f"a{text}b"
    assert escaped(f"a{text}b") == shown


def test_what_can_be_read_stays_and_is_cut():
    """Letters of any script and pictures are shown; no message grows without end."""
    assert inline("gpt-4o mini, größer 模型 🙂") == "gpt-4o mini, größer 模型 🙂"
    assert name("x" * 300) == "x" * 199 + "…"
    assert len(inline("x" * 10_000)) == 4_000


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+1", "'+1+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\\tx"),
        ("\rx", "'\\rx"),
        ("\n=x", "'\\n=x"),
        (" =x", "' =x"),
        ("\uff1dx", "'\uff1dx"),
        ("model;=cmd|x", "model;'=cmd|x"),
        ('a;"=1', "a;'\"=1"),
        ("gpt-4o", "gpt-4o"),
        ("a=b", "a=b"),
        ("0.00012", "0.00012"),
        ("-5", "-5"),
        (7, 7),
        (None, None),
        ("", ""),
    ],
)
def test_a_cell_is_no_formula(text, cell):
    """The OWASP rule, also where a spreadsheet parts cells at semicolons; figures stay figures."""
    assert csv_cell(text) == cell


@settings(max_examples=200)
@given(st.text(st.characters(exclude_categories=[]), max_size=40))
def test_json_says_the_same(text):
    """What is escaped is read back as it was, half characters too."""
    encoded = in_json(json.dumps({"a": [text]}, ensure_ascii=False, indent=2))
    lines_show(encoded)
    assert json.loads(encoded) == {"a": [text]}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    "text", [HOSTILE, "it's", "a\\b\x1b", "run 1", "", "\u0085\u009bé\x01f", "b\udce9", "$(touch owned)\n`x`"]
)
def test_a_command_to_paste_names_the_account(text):
    """A shell reads back the very bytes, and runs none of them."""
    word = shows(shell_word(f"session={text}"))
    done = subprocess.run(
        ["bash", "-c", f"printf %s {word}"], capture_output=True, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    assert done.stdout == os.fsencode(f"session={text}") if text != HOSTILE else f"session={text}".encode()


# The roads in


def spans():
    """The tracer provider that `init` made."""
    found = trace.get_tracer_provider()
    return found if isinstance(found, TracerProvider) else api._private


@pytest.fixture
def provider():
    """A provider on loopback that answers every model."""
    with LoopbackProvider() as one:
        yield one


@pytest.fixture
def guard(tmp_path):
    """Guard this process, alone, on a ledger of the test's own."""

    def begin(**options):
        leave_nobody()
        begin.path = str(tmp_path / "ledger.db")
        agent_fuse.init(**{"db_path": begin.path, "session_id": HOSTILE, **options})

    yield begin
    leave_nobody()


def go_round(tool, question="1"):
    """Call a tool until that is a loop."""
    for _ in range(9):
        check_loop(tool, {"q": question})


def ask(provider, model, content="hi", **more):
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0, timeout=10)
    with client:
        return client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": content}], max_tokens=50, **more
        )


def test_a_hostile_models_refusal_is_one_line(guard, provider, caplog):
    """The trip, its advice, the status of its span, and every line that is logged; its fields stay data."""
    guard(budget="0.000001", prices={HOSTILE: agent_fuse.Price(input=1, output=1)})
    exported = InMemorySpanExporter()
    spans().add_span_processor(SimpleSpanProcessor(exported))
    with caplog.at_level(logging.DEBUG, "agent_fuse"), pytest.raises(SentinelBudgetExceeded) as caught:
        ask(provider, HOSTILE)
    assert r"call to m\n2026" in shows(str(caught.value))
    assert r"\u202e" in str(caught.value)
    assert caught.value.model == HOSTILE
    assert caught.value.session == HOSTILE
    shows(caught.value.refused_by.advice)
    assert provider.count == 0
    for span in exported.get_finished_spans():
        shows(span.status.description or "")
    for record in caplog.records:
        shows(record.getMessage())


def test_a_model_of_a_megabyte_is_cut(guard, provider):
    """What to do about it still stands at the end of the message."""
    guard(budget="0.000001", prices={"*": agent_fuse.Price(input=1, output=1)})
    with pytest.raises(SentinelBudgetExceeded) as caught:
        ask(provider, "x" * 1_000_000)
    assert len(str(caught.value)) < 1_000
    assert "raise the limit" in str(caught.value)


def test_warnings_and_observe_mode_log_one_line(guard, provider, caplog):
    """A model without a price, a share of a limit on a hostile user, and what would have been refused."""
    seen = []
    guard(mode="observe", limits=[Limit(usd="0.00001", per="user.id")], on_warning=seen.append, warn_at=0.1)
    with caplog.at_level(logging.WARNING, "agent_fuse"), session(HOSTILE, user_id=HOSTILE):
        ask(provider, HOSTILE)
        ask(provider, HOSTILE)
    said = [shows(record.getMessage()) for record in caplog.records]
    assert any(one.startswith("observe mode, let go: call to m") for one in said)
    assert any(one.startswith("no price for model 'm") for one in said)
    assert provider.count == 2


def test_a_hostile_tool_in_a_loop(guard, caplog):
    """What the model is told, what a person is told, and what the journal keeps as advice."""
    seen = []
    guard(budget=1, loop_threshold=3, on_warning=seen.append, limits=[Limit(tool_calls=3, per="tool")])
    with caplog.at_level(logging.WARNING, "agent_fuse"), pytest.raises(SentinelLoopError) as caught:
        go_round(HOSTILE)
    assert r"loop: m\n2026" in shows(str(caught.value))
    assert caught.value.tool == HOSTILE
    assert [shows(one.message) for one in seen]
    assert [shows(record.getMessage()) for record in caplog.records]
    with agent_fuse.read_ledger(guard.path) as books:
        shows(next(one.refused_by.advice for one in books.entries() if one.refused_by))


def test_a_stop_says_who_and_why_on_one_line(guard, provider):
    """The command to paste names the account, and is one word."""
    guard(budget=1)
    control.stop(f"session={HOSTILE}", who=HOSTILE, why=HOSTILE)
    with pytest.raises(SentinelBudgetExceeded, match="was stopped by m") as caught:
        ask(provider, "gpt-4o")
    assert r"agent-fuse resume $'session=m\x0a2026" in shows(str(caught.value))


def test_what_a_ledger_says_is_one_line(tmp_path, caplog):
    """A path with escapes, in errors, in the trip of a ledger that is away, and in the log."""
    folder = tmp_path / "a\n\x1b[2J\u202eb"
    folder.write_text("no folder")
    leave_nobody()
    with pytest.raises(SentinelSystemError) as caught:
        agent_fuse.init(budget=1, db_path=str(folder / "ledger.db"))
    assert r"a\n\x1b[2J\u202eb" in shows(str(caught.value))
    with caplog.at_level(logging.WARNING, "agent_fuse"):
        agent_fuse.init(budget=1, db_path=str(folder / "ledger.db"), fail_safe=False)
    assert [shows(record.getMessage()) for record in caplog.records]
    leave_nobody()


def test_a_figure_in_a_log_line_stays_one(caplog):
    """Texts are made safe, and an error that cannot say what it is ends no host."""

    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    with caplog.at_level(logging.WARNING, "agent_fuse"):
        logging.getLogger("agent_fuse").warning("%d of %.1f: %s, %s", 3, 0.5, "a\nb", Mute())
    assert caplog.records[-1].getMessage() == r"3 of 0.5: a\nb, <Mute>"


# The roads out


@pytest.fixture
def books(guard, provider, tmp_path):
    """A ledger of real calls, tool actions and refusals under hostile names; nothing guards any more."""
    guard(
        limits=[Limit(usd="0.001", per="user.id"), Limit(tool_calls=2, per="session")],
        prices={"*": agent_fuse.Price(input=1, output=1)},
        loop_threshold=2,
        loop_detection_enabled=True,
    )
    for text in (HOSTILE, FORMULA, TRICKS):
        with session(text, user_id=text), agent_fuse.agent(text):
            ask(provider, text)
            with pytest.raises((SentinelLoopError, SentinelBudgetExceeded)):
                go_round(text)
            with pytest.raises(SentinelBudgetExceeded):
                ask(provider, text, "long " * 20_000)
        control.stop(f"session={text}", who=text, why=text)
    leave_nobody()
    return Path(guard.path)


@pytest.fixture
def command(capsys):
    """Run `agent-fuse`: what it printed."""

    def run(*words, code=0):
        with pytest.raises(SystemExit) as left:
            agent_fuse.cli.main([str(one) for one in words])
        printed = capsys.readouterr()
        assert (left.value.code or 0) == code, printed.err
        lines_show(printed.err)
        return lines_show(printed.out)

    return run


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_the_command_line_shows_texts(books, command, form):
    """Whatever is asked for: no escape, no mark, no further line."""
    for words, code in (
        (("status",), 1),
        (("sessions",), 0),
        (("calls",), 0),
        (("calls", "--refused"), 0),
        (("limits",), 0),
    ):
        out = command(*words, "--db", books, *form, code=code)
        if form:
            assert json.loads(out)["schema"].startswith(f"agent-fuse/{words[0]}")
        assert "\\u202e" in out, words
    if not form:
        assert "\\u202e" in command("top", "--once", "--db", books)


def test_a_terminal_obeys_nothing(books):
    """The same on a terminal of its own, which shows colours: of our own styles alone."""
    script = shutil.which("script")
    if script is None:
        pytest.skip("no script(1)")
    program = Path(sys.executable).with_name("agent-fuse")
    for words in ("status", "calls"):
        done = subprocess.run(
            [script, "-qec", f"{program} {words} --db {books}", "/dev/null"],
            capture_output=True,
            check=False,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
        )
        assert done.stdout.count(b"\n") > 3
        assert b"\x1b]0;owned" not in done.stdout
        assert b"\x1b[2J" not in done.stdout
        assert "\u202e".encode() not in done.stdout
        assert "\x9b".encode() not in done.stdout


def test_a_spreadsheet_finds_no_formula(books, command):
    """Every cell of the export is a text or a figure, and the figures are still to be added up."""
    rows = list(csv.DictReader(io.StringIO(command("export", "--with-refused", "--db", books))))
    assert {row["x_Session"] for row in rows} >= {f"'{csv_cell(FORMULA)[1:]}", TRICKS, escaped(HOSTILE)}
    for row in rows:
        for cell in row.values():
            assert cell[:1] not in set("=+-@\t\r\n")
            assert all(part.strip("\"' ")[:1] not in set("=+@") or part[:1] == "'" for part in cell.split(";"))
    assert sum(Decimal(row["BilledCost"]) for row in rows) > 0
    told = json.loads(command("export", "--with-refused", "--format", "json", "--db", books))
    assert {row["x_Session"] for row in told} >= {HOSTILE, FORMULA, TRICKS}


def test_the_report_runs_nothing(books, command, tmp_path):
    """Its only scripts and images are those that it has for any ledger."""

    class Tags(HTMLParser):
        def __init__(self):
            super().__init__()
            self.found = []

        def handle_starttag(self, tag, attrs):
            self.found.append((tag, sorted(key for key, _ in attrs if key.startswith("on") or key in {"src", "href"})))

    page = tmp_path / "report.html"
    command("report", "--db", books, "--output", page)
    text = lines_show(page.read_text("utf-8"))
    tags = Tags()
    tags.feed(text)
    assert sum(tag == "script" for tag, _ in tags.found) == 1
    assert not [tag for tag, _ in tags.found if tag in {"img", "iframe", "object"}]
    assert not [names for _, names in tags.found if any(one.startswith("on") for one in names)]
    assert "&lt;script&gt;alert(1)" in text


def test_the_dashboard_answers_in_plain_texts(books):
    """JSON without a raw character that is none, Prometheus without a further line, and a path trick is a session."""
    program = Path(sys.executable).with_name("agent-fuse")
    with subprocess.Popen([program, "dashboard", "--db", books], stdout=subprocess.PIPE, text=True) as served:
        try:
            address = served.stdout.readline().strip()
            base = address.partition("/?")[0].rstrip("/")
            with httpx.Client(base_url=base, trust_env=False, timeout=30) as client:
                assert client.get(address).status_code == 200
                state = client.get("/api/state")
                assert state.text.isascii()
                shows(state.text)
                assert HOSTILE in {one["session"] for one in state.json()["sessions"]}
                for line in client.get("/metrics").text.splitlines():
                    assert line.startswith(("#", "agent_fuse_"))
                    shows(line)
                for path in ("/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/static/..%2f..%2fetc%2fpasswd"):
                    assert "root:" not in client.get(path).text
        finally:
            served.terminate()


def test_names_are_no_paths(books, tmp_path, home):
    """The ledger's own files are all that there is, under its name."""
    assert {one.name for one in tmp_path.iterdir()} <= {f"ledger.db{end}" for end in ("", "-wal", "-shm", ".lock")}
    assert not Path("/tmp/owned").exists()
    assert [one for one in home.rglob("*") if one.is_file()] == []


def test_what_is_made_is_the_owners(guard, provider):
    """The files of the ledger can be read by nobody else, whatever the umask."""
    before = os.umask(0)
    try:
        guard(budget=1)
        ask(provider, "gpt-4o")
    finally:
        os.umask(before)
    found = {one.name: one.stat().st_mode & 0o777 for one in Path(guard.path).parent.iterdir()}
    assert "ledger.db" in found
    assert set(found.values()) == {0o600}, found


CANARY = "canary-5d1f-what-the-user-said"


def test_a_prompt_is_found_nowhere_but_in_the_request(guard, provider, tmp_path, home, command, caplog):
    """Prompts, arguments, results and answers: not in the ledger, its log, our log lines, spans, exports or pages."""
    exported = InMemorySpanExporter()
    with caplog.at_level(logging.DEBUG, "agent_fuse"):
        guard(budget="0.01", loop_threshold=2, warn_at=0.01, tell_model=True, session_id="s")
        spans().add_span_processor(SimpleSpanProcessor(exported))
        provider.reply(f"{CANARY}-answer")
        ask(provider, "gpt-4o", CANARY)
        tools = [{"type": "function", "function": {"name": "t", "description": CANARY, "parameters": {}}}]
        ask(provider, "gpt-4o", CANARY, tools=tools, user="ann")
        for stream in (True, False):
            client = openai.OpenAI(base_url=provider.openai_base_url, api_key=f"key-{CANARY}", max_retries=0)
            with client, pytest.raises(SentinelBudgetExceeded):
                client.chat.completions.create(
                    model="gpt-4o", messages=[{"role": "user", "content": f"{CANARY} " * 9_000}], stream=stream
                )
        with pytest.raises(SentinelLoopError):
            go_round("search", CANARY)
        with pytest.raises(SentinelBudgetExceeded) as caught:
            pre_flight("gpt-4o", prompt=f"{CANARY} " * 9_000)
        agent_fuse.pre_flight("gpt-4o", prompt=CANARY)
    assert CANARY in json.dumps([one.body for one in provider.requests])
    assert CANARY not in str(caught.value)
    assert CANARY not in caplog.text
    ours = [span for span in exported.get_finished_spans() if "agent_fuse" in span.instrumentation_scope.name]
    added = [
        (key, value)
        for span in exported.get_finished_spans()
        for key, value in (span.attributes or {}).items()
        if key.startswith("agent_fuse.")
    ]
    assert CANARY not in repr([span.to_json() for span in ours])
    assert CANARY not in repr(added)
    found = [one for folder in (tmp_path, home) for one in folder.rglob("*") if one.is_file()]
    assert {one.name for one in found} >= {"ledger.db", "ledger.db-wal"}
    for one in found:
        assert CANARY.encode() not in one.read_bytes(), one
    db = ("--db", guard.path)
    for words in (("export",), ("calls", "--json"), ("limits",), ("sessions", "--json"), ("report", "--output", "-")):
        assert CANARY not in command(*words, *db)
