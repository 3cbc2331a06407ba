"""Observe mode: nothing is refused, waits or is altered; what would have been is in the journal, and told by `status`."""

import json
from typing import Any

import openai
import pytest
from opentelemetry.sdk.trace import TracerProvider

import agent_fuse
from agent_fuse import Limit, control
from agent_fuse.api import current
from agent_fuse.calls import Entry, Status
from agent_fuse.testing import LoopbackProvider, assert_books_balance
from agent_fuse.testing.provider import Reply
from alone import leave_nobody

MESSAGES: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture
def observe(tmp_path, monkeypatch):
    """Guard this process in observe mode with these options; the path of the ledger is `observe.path`."""
    leave_nobody()
    monkeypatch.delenv("AGENTFUSE_BUSY_WAIT", raising=False)

    def begin(**options: Any) -> None:
        agent_fuse.init(**{"mode": "observe", "db_path": begin.path, "session_id": "s", "warn_at": "none", **options})

    begin.path = str(tmp_path / "ledger.db")
    return begin


def journal(*statuses: Status) -> list[Entry]:
    fuse = current()
    assert fuse is not None
    assert_books_balance(fuse.ledger)
    assert list(fuse.ledger.holds()) == []
    return [one for one in fuse.ledger.journal() if one.status in statuses]


def would() -> list[tuple[str, str]]:
    """Reason and limit of each line that tells of a refusal."""
    assert journal(Status.REFUSED) == []
    return [(one.reason, one.refused_by.limit if one.refused_by else "") for one in journal(Status.WOULD_REFUSE)]


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_a_limit_refuses_goes_and_is_counted(observe, stream):
    """Each goes at once, though it would be waited for, and is booked; one line tells what would have refused it."""
    limits = [Limit(usd=0), Limit(calls=1, window="1h", on_limit="wait", max_wait=600)]
    observe(limits=limits, on_tight="clamp")
    with LoopbackProvider() as provider, openai.OpenAI(base_url=provider.openai_base_url, api_key="x") as client:
        for _ in range(3):
            answer: Any = client.chat.completions.create(
                model="gpt-4o", messages=MESSAGES, max_tokens=1000, stream=stream
            )
            if stream:
                list(answer)
        assert [one.body["max_tokens"] for one in provider.requests] == [1000] * 3
    assert [one[0] for one in would()] == ["budget"] * 3
    assert len(journal(Status.SETTLED, Status.ESTIMATED)) == 3


def test_a_stream_that_outgrows_its_hold_is_not_cut_off(observe):
    """It is heard to its end, and one line tells that it would have been cut off."""
    observe(budget="0.001")
    text = "word " * 400
    with (
        LoopbackProvider(Reply(text=text)) as provider,
        openai.OpenAI(base_url=provider.openai_base_url, api_key="x") as client,
    ):
        pieces = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
        heard = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert heard.split() == text.split()
    assert {one[0] for one in would()} == {"budget"}


def test_spans_tools_and_loops_go_on(observe):
    """A span's call, a tool beyond its limit, one that costs, and a loop: all run, are counted, and told of."""
    observe(limits=[Limit(usd="0.00001"), Limit(tool_calls=2)], tool_prices={"pay": "0.02"}, loop_threshold=3)
    fuse = current()
    assert fuse is not None
    provider = TracerProvider()
    provider.add_span_processor(agent_fuse.AgentFuseSpanProcessor(fuse=fuse))
    tracer = provider.get_tracer("opentelemetry.instrumentation.openai.v1")
    asked = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    with tracer.start_as_current_span("openai.chat", attributes=asked) as span:
        span.set_attribute("gen_ai.usage.input_tokens", 10)
        span.set_attribute("gen_ai.usage.output_tokens", 10)
    for _ in range(5):
        agent_fuse.check_loop("search", {"query": "x"})
    with agent_fuse.charge("gpu", 5):
        pass

    @agent_fuse.loop_guard
    def pay() -> str:
        return "paid"

    assert pay() == "paid"
    found = would()
    assert found.count(("budget", "$0.00001 per session")) == 3  # the charge, the tool, and the span's call, though
    # that was left to a request gate which it turns out that it has not
    assert [one for one in found if one[0] == "loop"]
    assert ("budget", "2 tool calls per session") in found
    settled = journal(Status.SETTLED)
    assert sorted(one.tool for one in settled) == ["", "gpu", "pay", "search", "search", "search", "search", "search"]
    assert sum(one.cost for one in settled if one.tool) == 5_020_000_000


def test_what_cannot_be_priced_and_what_is_stopped_goes(observe):
    """A model without a price where such are blocked, and a session that a person has stopped."""
    observe(budget=1, unknown_model="block")
    with agent_fuse.call("no-such-model", 10, 10) as made:
        made.usage(10, 10)
    control.stop("session=s", db_path=observe.path)
    with agent_fuse.call("gpt-4o", 10, 10) as made:
        made.usage(10, 10)
    assert sorted(one[0] for one in would()) == ["stopped", "unpriced"]
    assert len(journal(Status.SETTLED, Status.ESTIMATED)) == 2


def test_a_ledger_that_fails_stops_nothing(box, tmp_path):
    """Nothing is raised whatever fails; `fail_safe=True` beside it changes nothing."""
    folder = tmp_path / "no-folder"
    folder.write_text("a file stands where the ledger's folder should be")
    box(mode="observe", db_path=str(folder / "ledger.db"), fail_safe=True, max_retries=0)
    with agent_fuse.call("gpt-4o", 10, 10) as made:
        made.usage(10, 10)


def test_the_log_tells_once_a_minute(observe, caplog):
    """Of each limit, not of each call."""
    observe(budget="0.00001", session_id="told", warn_at=0.5)
    for _ in range(3):
        with agent_fuse.call("gpt-4o", 10, 10) as made:
            made.usage(10, 10)
    told = [one.getMessage() for one in caplog.records if "observe mode" in one.getMessage()]
    assert len(told) == 1
    assert "call to gpt-4o refused before it was sent" in told[0]
    assert "would be refused, but mode='observe' lets them go" in caplog.text


def test_commands_tell_what_would_have_been_refused(observe, run):
    """`status` by limit, `calls` each; `export` and `report` count the calls once."""
    observe(budget=0)
    for _ in range(2):
        with agent_fuse.call("gpt-4o", 1000, 500) as made:
            made.usage(1000, 500)
    db = ("--db", observe.path)
    found = json.loads(run("status", *db, "--since", "2000d", "--json").out)
    assert (found["refused"], found["total"]["calls"]) == ([], 2)
    assert [(one["calls"], one["reason"], one["saved_usd"]) for one in found["would_refuse"]] == [
        (2, "budget", "0.015")
    ]
    told = run("status", *db, "--since", "2000d").out
    assert "2 calls would, without mode='observe', have been refused since" in told
    assert run("calls", *db, "--refused").out.count("observed: ") == 2
    assert len(run("export", *db).out.splitlines()) == 3
    report = json.loads(run("report", *db, "--json").out)["total"]
    assert (report["calls"], report["refused"], report["cost_usd"]) == (2, 0, "0.015")
