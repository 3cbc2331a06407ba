"""The log record of a refusal: one each, whatever the sampler, and few where a limit refuses all the time."""

import collections

import openai
import pytest
from opentelemetry import _logs as logs
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded, SentinelLoopError, check_loop, pre_flight, session
from agent_fuse.otel import refusal_log
from agent_fuse.testing import LoopbackProvider
from alone import leave_nobody


@pytest.fixture
def written(monkeypatch):
    """The records that a log exporter was given, in order."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    monkeypatch.setattr(logs, "get_logger", provider.get_logger)

    def read():
        found = [one.log_record for one in exporter.get_finished_logs()]
        exporter.clear()
        return found

    return read


def test_a_refused_call_says_which_limit_and_whose(box, written):
    box(limits=[Limit(usd="0.01", per="user.id")])
    with session("run", user_id="ann"):
        pre_flight("gpt-4o", 1000, 500)
        assert not written()
        with pytest.raises(SentinelBudgetExceeded) as caught:
            pre_flight("gpt-4o", 1000, 500)
    (one,) = written()
    assert (one.event_name, one.body, one.severity_text) == ("agent_fuse.refusal", str(caught.value), "WARN")
    said = dict(one.attributes)
    assert said.pop("agent_fuse.refused.advice")
    assert said == {
        "agent_fuse.refused.reason": "budget",
        "agent_fuse.refused.limit": "$0.01 per user.id",
        "agent_fuse.refused.limit.per": "user.id",
        "agent_fuse.refused.limit.key": "ann",
        "agent_fuse.refused.limit.meter": "usd",
        "agent_fuse.refused.limit.cap": 0.01,
        "agent_fuse.refused.limit.spent": 0.0,
        "agent_fuse.refused.limit.held": 0.0075,
        "agent_fuse.refused.requested": 0.0075,
        "error.type": "SentinelBudgetExceeded",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "session.id": "run",
    }


def test_a_loop_is_one_too(box, written):
    box(budget=1)
    with session("run"), pytest.raises(SentinelLoopError):
        collections.deque(iter(lambda: check_loop("search", {"q": 1}), "never"))
    (one,) = written()
    assert one.attributes["agent_fuse.refused.reason"] == "loop"
    assert one.attributes["gen_ai.tool.name"] == "search"
    assert "agent_fuse.refused.limit" not in one.attributes


def test_nothing_is_sampled_out(tmp_path, written):
    """An SDK's request under a sampler that drops every span: its trace is named all the same."""
    leave_nobody()
    agent_fuse.init(budget="0.000001", db_path=str(tmp_path / "l.db"))
    tracer = TracerProvider(sampler=ALWAYS_OFF).get_tracer("test")
    with LoopbackProvider() as provider, tracer.start_as_current_span("agent") as span:
        client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0)
        with pytest.raises(SentinelBudgetExceeded):
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
        assert not provider.served
    (one,) = written()
    assert trace.format_trace_id(one.trace_id) == trace.format_trace_id(span.get_span_context().trace_id)
    leave_nobody()


def test_a_limit_that_refuses_all_the_time_is_written_once_a_minute(box, written, monkeypatch):
    """A hundred each; then one a minute, which says how many were left out; another limit is not hushed by it."""
    now = [0.0]
    monkeypatch.setattr(refusal_log.time, "monotonic", lambda: now[0])
    box(limits=[Limit(calls=0)])

    def refuse(times, name="run"):
        for _ in range(times):
            with session(name), pytest.raises(SentinelBudgetExceeded):
                pre_flight("gpt-4o", 10, 5)

    refuse(130)
    assert len(written()) == 100
    refuse(1, "other")
    assert len(written()) == 1
    now[0] = 61.0
    refuse(5)
    (one,) = written()
    assert one.attributes["agent_fuse.refused.unwritten"] == 30
    now[0] = 122.0
    refuse(1)
    assert written()[0].attributes["agent_fuse.refused.unwritten"] == 4
