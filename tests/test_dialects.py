"""Dialects, on golden spans of the real instrumentations: refused in time, booked exactly, once, on the right account."""

from collections import UserDict
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from genai_prices import Usage as PricedUsage
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from agent_fuse import AgentFuseSpanProcessor, Limit, SentinelBudgetExceeded, SentinelLoopError
from agent_fuse.calls import Entry, Status, Usage
from agent_fuse.dialects import BUILT_IN, http, third_party
from agent_fuse.dialects.base import Dialect, Field, SpanRole, attributes_of, read
from agent_fuse.errors import ConfigurationError
from agent_fuse.otel import active
from agent_fuse.settings import settings
from agent_fuse.sightings import Outcome as CallOutcome
from agent_fuse.testing import LedgerReader, assert_books_balance
from spans.replay import Case, Outcome, load, replay

CASES = load()

MODELLESS = {"openinference", "otel-genai"}
"""Dialects for whatever else follows the conventions; their tables are those of recorded ones."""

TOO_LATE = {("traceloop-openai", "responses"), ("traceloop-openai", "responses_stream")}
"""Spans made after the response: they account, and never raise."""


LATE = {one.name: one.late_names for one in BUILT_IN}
"""Names of the spans that each dialect makes after the work."""

HOSTS = {"gpt": "openai", "text": "openai", "claude": "anthropic", "gemini": "google", "anthropic.": "aws"}
"""Who serves the models of the recordings, by the start of their names."""


class Rig:
    """A tracer provider with AgentFuse on it, and its books."""

    def __init__(self, **options: Any) -> None:
        self.tracing = TracerProvider(shutdown_on_exit=False)
        self.processor = AgentFuseSpanProcessor(
            session_id="test",
            db_path="memory://",
            request_gate=False,
            endpoints=("127.0.0.1",),
            **options,
        )
        self.tracing.add_span_processor(self.processor)
        self.books = LedgerReader(self.processor.fuse.ledger)

    def replay(self, case: Case) -> Outcome:
        return copy_context().run(replay, self.tracing, case)

    def models(self, *statuses: Status) -> list[Entry]:
        return [one for one in self.books.entries(*statuses) if one.operation != "execute_tool"]

    def tools(self) -> list[Entry]:
        return [one for one in self.books.entries(Status.SETTLED) if one.operation == "execute_tool"]

    def close(self) -> None:
        self.processor.shutdown()
        self.processor.fuse.ledger.close()


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Rig]]:
    """Makes rigs whose spans are the only gate."""
    monkeypatch.setattr(active, "request_gate_installed", lambda: False)
    made: list[Rig] = []

    def make(**options: Any) -> Rig:
        made.append(Rig(**{"budget": 100, **options}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def price(model: str, usage: Usage) -> int:
    """What genai-prices asks for it, in nano-dollars, rounded up."""
    told = PricedUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
    host = next(host for start, host in HOSTS.items() if model.startswith(start))
    nanos = calc_price(told, model, provider_id=host).total_price * 10**9
    return int(nanos.to_integral_value("ROUND_CEILING"))


def of(dialect: str, name: str) -> Case:
    return next(case for case in CASES if (case.file, case.name) == (dialect, name))


def in_time(case: Case) -> bool:
    """Whether a span of the first call starts before its request leaves."""
    words = [step[0] for step in case.steps]
    late = (case.dialect, case.name) in TOO_LATE or case.dialect == "litellm"
    return bool(case.seen or case.raised or "request" in words) and "start" in words and not late and case.calls != 0


def test_every_dialect_has_golden_spans() -> None:
    """No table without a recording of the instrumentation that it is for."""
    assert {case.dialect for case in CASES} == {one.name for one in BUILT_IN} - MODELLESS


FILES = sorted({case.file for case in CASES})

ELSEWHERE = {"http", "genai-openai-agents"}
"""Dialects whose spans tell no usage: HTTP clients', and those of agents whose model calls are another's to tell."""


def test_only_dialects_without_usage_are_excused_from_booking_exactly() -> None:
    """Each of them names no attribute of usage, or reads no recorded span as a model call."""
    for dialect in (one for one in BUILT_IN if one.name in ELSEWHERE):
        cases = [case for case in CASES if case.dialect == dialect.name]
        spans = [SimpleNamespace(**start) for case in cases for start in case.starts]
        spots = [spot for span in spans if (spot := dialect.start(span)) is not None]
        assert Field.OUTPUT not in dialect.keys or all(spot.kind is not SpanRole.MODEL for spot in spots), dialect.name


@pytest.mark.parametrize("file", FILES)
def test_every_recording_holds_a_call_booked_exactly(rig: Callable[..., Rig], file: str) -> None:
    """At least one case of each file was served, and is booked at the very usage served, times the price."""
    cases = [case for case in CASES if case.file == file and case.served]
    assert cases, "nothing was served"
    if cases[0].dialect in ELSEWHERE:
        return
    exact = []
    for case in cases:
        one = rig()
        one.replay(case)
        booked = sorted(entry.cost for entry in one.models(Status.SETTLED))
        if booked and booked == sorted(price(*usage) for usage in case.usages):
            exact.append(case.name)
    assert exact, "no served call is booked at usage times price"


@pytest.mark.parametrize("file", FILES)
def test_every_recording_holds_a_call_that_can_be_refused(rig: Callable[..., Rig], file: str) -> None:
    """At least one case of each file has a request that a limit keeps from leaving, where its spans start in time."""
    cases = [case for case in CASES if case.file == file and case.served]
    if all(start["name"] in LATE[case.dialect] for case in cases for start in case.starts if "parent" not in start):
        return
    refused = []
    for case in cases:
        one = rig(budget=0, limits=Limit(tool_calls=0))
        outcome = one.replay(case)
        if outcome.trip is not None and outcome.requests < len(case.served):
            refused.append(case.name)
    assert refused, "no limit keeps any of its requests from leaving"


TELLS_TOTAL = [one for one in BUILT_IN if one.keys.get(Field.TOTAL) and one.keys.get(Field.INPUT)]


@pytest.mark.parametrize("dialect", TELLS_TOTAL, ids=lambda one: one.name)
@pytest.mark.parametrize(("total", "made"), [(25, 15), (15, 5), (3, 5), (None, 5)])
def test_thinking_told_in_the_total_alone_is_output(dialect: Dialect, total: int | None, made: int) -> None:
    """Where the total says more than input and output together, the rest was thought, and is billed as output."""
    figures = {Field.INPUT: 10, Field.OUTPUT: 5, Field.TOTAL: total}
    told = {dialect.keys[field][-1]: figure for field, figure in figures.items() if figure is not None}
    usage = dialect.usage(told)
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (10, made)


def test_most_dialects_tell_totals() -> None:
    assert len(TELLS_TOTAL) >= 10


def test_golden_spans_name_no_machine() -> None:
    """Recordings hold no path of the machine that they were made on."""
    for path in (Path(__file__).parent / "data" / "spans").glob("*.json"):
        text = path.read_text()
        assert not any(word in text for word in ("site-packages", "Traceback", '.py\\"', "/lib/python")), path.name


@pytest.mark.parametrize("case", [case for case in CASES if in_time(case)], ids=str)
def test_nothing_leaves_once_refused(rig: Callable[..., Rig], case: Case) -> None:
    """With a budget of zero, no recorded stream of spans lets a request through where its dialect can raise in time."""
    one = rig(budget=0)
    outcome = one.replay(case)
    priced = case.served or any(step[0] == "request" for step in case.steps) or case.name == "refused_connection"
    assert outcome.requests == 0
    assert isinstance(outcome.trip, SentinelBudgetExceeded) == bool(priced)
    assert one.books.open_holds() == []
    assert len(one.processor.gates.nodes) == 0, "a span was never ended"
    assert_books_balance(one.books.ledger)


@pytest.mark.parametrize("case", [case for case in CASES if in_time(case) and case.served], ids=str)
def test_a_call_that_is_too_dear_is_refused(rig: Callable[..., Rig], case: Case) -> None:
    """With less left than the call is quoted at, no request leaves: neither at the start, nor when its facts come."""
    outcome = rig(budget="0.00000001").replay(case)
    assert isinstance(outcome.trip, SentinelBudgetExceeded)
    assert outcome.requests == 0


@pytest.mark.parametrize("case", [case for case in CASES if not in_time(case)], ids=str)
def test_late_spans_account_and_never_raise(rig: Callable[..., Rig], case: Case) -> None:
    """Where the money is spent already, nothing is raised, and what was spent is booked past the budget."""
    one = rig(budget=0, loop_threshold=100)
    outcome = one.replay(case)
    assert outcome.trip is None
    assert len(one.models(Status.SETTLED, Status.ESTIMATED)) == case.seen
    assert one.books.open_holds() == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_call_is_booked_once_and_exactly(rig: Callable[..., Rig], case: Case) -> None:
    """Each call is booked once, at what the provider served times the price; a call that cost nothing is not."""
    one = rig()
    outcome = one.replay(case)
    assert outcome.trip is None
    entries = one.models(Status.SETTLED, Status.ESTIMATED)
    assert len(entries) == case.seen, "counted twice, or lost"
    assert one.books.open_holds() == []
    assert len(one.processor.gates.nodes) == 0
    assert_books_balance(one.books.ledger)
    if not case.seen:
        return
    if case.exact:
        assert {entry.status for entry in entries} == {Status.SETTLED}
        assert sum(entry.cost for entry in entries) == sum(price(*usage) for usage in case.usages)
    else:
        assert {entry.status for entry in entries} == {Status.ESTIMATED}
        assert sum(entry.cost for entry in entries) > 0


@pytest.mark.parametrize("case", [case for case in CASES if case.tool], ids=str)
def test_a_tool_is_counted_once(rig: Callable[..., Rig], case: Case) -> None:
    """The tool that ran is one action, whenever its name is told."""
    one = rig()
    one.replay(case)
    assert [entry.tool for entry in one.tools()] == [case.tool]


@pytest.mark.parametrize("case", [case for case in CASES if case.tool], ids=str)
def test_a_limit_on_tool_calls_holds(rig: Callable[..., Rig], case: Case) -> None:
    """The second tool call is refused where its name is told at the start, else the next gate after it is."""
    one = rig(limits=Limit(tool_calls=1), warn_at=())
    assert one.replay(case).trip is None
    outcome = one.replay(case)
    at_start = case.dialect != "openinference-langchain"
    if at_start or case.name != "agent_tool_fails":  # after a tool that failed, there is no next gate in that run
        assert isinstance(outcome.trip, SentinelBudgetExceeded)
    assert len(one.tools()) == (1 if at_start else 2)


BEFORE = {"traceloop-langchain", "pydantic-ai"}
"""The loop is stopped before the body of the tool runs."""
NEVER = {"genai-langchain", "genai-openai-agents", "google-adk", "strands"}
"""Arguments are never told (genai and ADK tell them with content capture on, Strands in events): repeats cannot be known
from new calls."""
LOOPS = [case for case in CASES if case.tool == "weather" and "async" not in case.name]


@pytest.mark.parametrize("case", LOOPS, ids=str)
def test_a_loop_is_stopped_before_the_body_or_at_the_next_gate(rig: Callable[..., Rig], case: Case) -> None:
    """The third identical call trips: before the body where arguments come in time, else at the next gate."""
    one = rig(loop_threshold=2)
    outcomes = []
    while len(outcomes) < 5 and (not outcomes or outcomes[-1].trip is None):
        outcomes.append(one.replay(case))
    trip, at = outcomes[-1].trip, outcomes[-1].at
    if case.file in NEVER:
        assert trip is None
        return
    assert isinstance(trip, SentinelLoopError)
    assert trip.tool == "weather"
    assert len(outcomes) == 3
    tools = {step[1] for step in case.steps if step[0] == "start" and "tool" in str(step[2]).lower()}
    if case.dialect in BEFORE:
        assert at[1] in tools
        assert at[0] in ("start", "set")
    else:
        assert at[0] == "start", "the next gate"
        assert outcomes[-1].requests == 1, "the call after the tool did not leave"


def test_agent_spans_give_session_and_agent_to_the_calls_inside(rig: Callable[..., Rig]) -> None:
    """A conversation id and an agent's name told around a call are the call's; LangGraph is no name of an agent."""
    for file, name, session, agent in (
        ("traceloop-langchain", "agent", "thread-1", ""),
        ("traceloop-openai-agents", "responses_model", "test", "forecaster"),
        ("genai-openai-agents", "responses_model", "test", "forecaster"),
        ("pydantic-ai", "agent_v2", None, "forecaster"),
        ("pydantic-ai", "agent_v5", None, "forecaster"),
    ):
        case, one = of(file, name), rig()
        told = session or next(start["attributes"]["gen_ai.conversation.id"] for start in case.starts)
        one.replay(case)
        entries = one.books.entries(Status.SETTLED)
        assert entries
        assert {(entry.session, entry.agent) for entry in entries} == {(told, agent)}, file


def test_attributes_are_copied_whatever_holds_them() -> None:
    """A span of the SDK, a resource, a mapping of someone else's, none at all: what is read is a dict of its own."""
    told = {"gen_ai.request.model": "gpt-4o", "k": 1}
    span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s", attributes=told)
    for holder in (span, SimpleNamespace(attributes=told), SimpleNamespace(attributes=UserDict(told))):
        found = attributes_of(holder)
        assert type(found) is dict
        assert found == told
        found["k"] = 2
        assert holder.attributes["k"] == 1
    assert attributes_of(SimpleNamespace(attributes=None)) == {}
    assert attributes_of(Resource.create({"a": "b"}))["a"] == "b"


def ending(dialect: str, attributes: dict[str, Any], **facts: Any) -> Any:
    """What a dialect reads of an ended span with these attributes."""
    found = next(one for one in BUILT_IN if one.name == dialect)
    return found.end(SimpleNamespace(name="chat", attributes=attributes), **{"failed": False, **facts})


def test_cached_tokens_inside_and_beside_input() -> None:
    """Buckets are made inclusive: cached tokens told beside the input are added to it, those inside are not."""
    told = {
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 9,
        "gen_ai.usage.cache_read.input_tokens": 50,
        "gen_ai.usage.cache_creation.input_tokens": 20,
    }
    inside = next(one for one in BUILT_IN if one.name == "traceloop-anthropic")
    beside = replace(inside, cached_inside=False)
    assert inside.usage(told) == Usage(
        input_tokens=100, output_tokens=9, cache_read_tokens=50, cache_write_tokens=20, reasoning_tokens=None
    )
    assert beside.usage(told) == Usage(
        input_tokens=170, output_tokens=9, cache_read_tokens=50, cache_write_tokens=20, reasoning_tokens=None
    )


def test_reasoning_inside_and_beside_output() -> None:
    """Reasoning told beside the output is added to it; inside it is not."""
    told = {"llm.token_count.prompt": 1, "llm.token_count.completion": 9, f"{REASONING}": 4}
    inside = next(one for one in BUILT_IN if one.name == "openinference-openai")
    assert inside.usage(told).output_tokens == 9
    assert replace(inside, reasoning_inside=False).usage(told).output_tokens == 13


REASONING = "llm.token_count.completion_details.reasoning"

NAMES = sorted({name for one in BUILT_IN for names in one.keys.values() for name in names})
VALUES = st.integers(-2, 9) | st.booleans() | st.sampled_from([2.0, 0.5, 10**11, "", "7", "word", ("a", "b")])


@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=25))
def test_all_facts_of_a_span_are_read_as_each_alone(attributes: dict[str, Any]) -> None:
    """Reading many facts in one go finds for each what asking for it finds: its best name that tells something."""
    for one in BUILT_IN:
        for rows in (one.start_rows, one.end_rows, one.owner_rows):
            told = read(attributes, rows)
            for name, wanted, _ in rows:
                fact = Field[name.upper()]
                if wanted is object:
                    alone = next((attributes[key] for key in one.keys[fact] if key in attributes), None)
                else:
                    alone = one.number(attributes, fact) if wanted is int else one.text(attributes, fact)
                assert getattr(told, name) == alone


def test_thinking_tokens_that_traceloop_google_leaves_out() -> None:
    """Output is total - input, where the total knows more; never less than what is told."""
    told = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}
    assert ending("traceloop-google", told | {"gen_ai.usage.total_tokens": 150}).usage.output_tokens == 50
    assert ending("traceloop-google", told | {"gen_ai.usage.total_tokens": 90}).usage.output_tokens == 10
    assert ending("traceloop-google", told).usage.output_tokens == 10


def test_traceloop_anthropics_stream_over_count() -> None:
    """A stream's output has the `message_start` figure added: one is taken off, of a stream only."""
    told = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}
    assert ending("traceloop-anthropic", told | {"gen_ai.is_streaming": True}).usage.output_tokens == 9
    assert ending("traceloop-anthropic", told).usage.output_tokens == 10


@pytest.mark.parametrize(
    ("dialect", "told"),
    [
        (
            "genai-anthropic",
            {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 1, "gen_ai.request.stream": True},
        ),
        (
            "openinference-anthropic",
            {
                "llm.token_count.prompt": 100,
                "llm.token_count.completion": 1,
                "llm.invocation_parameters": '{"stream": true}',
            },
        ),
    ],
)
def test_the_one_of_an_abandoned_anthropic_stream_is_unknown(dialect: str, told: dict[str, Any]) -> None:
    """Without a finish reason the output figure is that of `message_start`: the input counts, the output is unknown."""
    found = ending(dialect, told)
    assert (found.usage.input_tokens, found.usage.output_tokens) == (100, None)
    assert found.outcome is CallOutcome.BROKEN
    done = ending(dialect, told | {"gen_ai.response.finish_reasons": ("stop",), "llm.finish_reason": "end_turn"})
    assert (done.usage.output_tokens, done.outcome) == (1, CallOutcome.DONE)


def test_pydantic_ais_sum_on_the_agent_span_is_no_call(rig: Callable[..., Rig]) -> None:
    """Two chats under an agent span that sums them up are two calls, not three."""
    one = rig()
    one.replay(of("pydantic-ai", "agent_v5"))
    assert len(one.models(Status.SETTLED)) == 2


def test_a_status_in_the_message_alone_gives_the_hold_back() -> None:
    """openai-v2 names no error class; the SDK's own words tell the status."""
    failed = {"failed": True, "message": "Error code: 429 - {'error': {}}"}
    assert ending("openai-v2", {}, **failed).outcome is CallOutcome.FAILED
    assert ending("openai-v2", {}, failed=True, message="boom").outcome is CallOutcome.BROKEN


@pytest.mark.parametrize(
    ("error", "message", "outcome"),
    [
        ("ConnectError", "", CallOutcome.FAILED),
        ("requests.exceptions.ConnectionError", "(Caused by NewConnectionError('…'))", CallOutcome.FAILED),
        ("requests.exceptions.ConnectionError", "('Connection aborted.', RemoteDisconnected())", CallOutcome.BROKEN),
        ("ReadTimeout", "", CallOutcome.BROKEN),
        ("RemoteProtocolError", "", CallOutcome.BROKEN),
        ("ConnectTimeout", "", CallOutcome.FAILED),
    ],
)
def test_http_errors_are_free_only_where_nothing_was_sent(error: str, message: str, outcome: CallOutcome) -> None:
    """A connection that was never made cost nothing; one that broke may have."""
    assert ending("http", {"error.type": error}, failed=True, message=message).outcome is outcome


@pytest.mark.parametrize(
    ("method", "url", "endpoints", "found"),
    [
        ("POST", "https://api.openai.com/v1/chat/completions", (), ("chat", "openai", "")),
        ("POST", "https://api.anthropic.com/v1/messages", (), ("messages", "anthropic", "")),
        ("POST", "https://api.anthropic.com/v1/messages/count_tokens", (), None),
        ("GET", "https://api.openai.com/v1/models", (), None),
        ("POST", "https://api.openai.com/v1/moderations", (), None),
        (
            "POST",
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent",
            (),
            ("generate_content", "google", "gemini-2.5-flash"),
        ),
        ("POST", "https://example.com/v1/chat/completions", (), None),
        ("POST", "http://gpu.local:8000/v1/chat/completions", ("gpu.local",), ("chat", "", "")),
        ("POST", "http://gpu.local:8000/v1/chat/completions", ("gpu.local:9000",), None),
        ("POST", "http://127.0.0.1:11434/api/chat", ("http://127.0.0.1:11434",), ("chat", "", "")),
        ("POST", "http://127.0.0.1:11434/api/pull", ("http://127.0.0.1:11434",), None),
        ("POST", "https://gw.example/llm/v1/messages", ("https://gw.example/llm",), ("messages", "", "")),
        ("POST", "https://gw.example/other/v1/messages", ("https://gw.example/llm",), None),
        ("POST", "https://gw.example/ask", ("https://gw.example/ask",), ("chat", "", "")),
        ("POST", "http://[bad", ("gw.example",), None),
        ("POST", "", ("gw.example",), None),
    ],
)
def test_the_wire_gate_knows_model_endpoints(
    method: str, url: str, endpoints: tuple[str, ...], found: tuple[str, str, str] | None
) -> None:
    """Priced paths of known providers and of the user's own endpoints are calls, in new and old attribute names."""
    (dialect,) = http.dialects(endpoints)
    for names in (("http.request.method", "url.full"), ("http.method", "http.url")):
        spot = dialect.start(SimpleNamespace(name=method, attributes=dict(zip(names, (method, url), strict=True))))
        assert (spot and (spot.operation, spot.provider, spot.model)) == found


def test_a_bad_endpoint_is_named_at_the_start() -> None:
    """An endpoint without a host is a configuration error that says what to write."""
    with pytest.raises(ConfigurationError, match=r"endpoints holds '/v1': .* names no host; give a host or a URL"):
        settings({}, endpoints="/v1")


TOY = """
from agent_fuse.dialects.base import Dialect, Field, SpanRole

TOY = Dialect(
    name="toy",
    scopes=("toy.sdk",),
    keys={Field.MODEL: ("toy.model",), Field.INPUT: ("toy.in",), Field.OUTPUT: ("toy.out",)},
    kind_key="toy.kind",
    kinds={"ask": SpanRole.MODEL},
    operations={"ask": "chat"},
)
"""
TOY_SPANS = """{"recorded": {"toy": "1"}, "cases": [
{"name": "ask", "served": [{"model": "gpt-4o", "input_tokens": 1000, "output_tokens": 10}], "steps": [
  ["start", 0, {"scope": "toy.sdk", "name": "toy", "attributes": {"toy.kind": "ask", "toy.model": "gpt-4o"}}],
  ["request"],
  ["set", 0, {"toy.in": 1000, "toy.out": 10}],
  ["end", 0, {}]
]}]}"""


def test_a_third_partys_dialect(
    rig: Callable[..., Rig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One file, an entry point and one file of golden spans are all it takes; a broken one is left out, and said."""
    site = tmp_path / "site"
    info = site / "toy-1.dist-info"
    info.mkdir(parents=True)
    (site / "toy_dialect.py").write_text(TOY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[agent_fuse.dialects]\ntoy = toy_dialect:TOY\nbroken = toy_dialect:GONE\nwrong = toy_dialect:Field\n"
    )
    (tmp_path / "toy.json").write_text(TOY_SPANS)
    monkeypatch.syspath_prepend(str(site))
    third_party.cache_clear()
    try:
        (case,) = load(tmp_path)
        refusing, booking = rig(budget=0), rig()
        refused = refusing.replay(case)
        assert isinstance(refused.trip, SentinelBudgetExceeded)
        assert refused.requests == 0
        booking.replay(case)
        (entry,) = booking.models(Status.SETTLED)
        assert entry.cost == sum(price(*usage) for usage in case.usages)
    finally:
        third_party.cache_clear()
    assert "the dialect broken of toy_dialect:GONE could not be loaded" in caplog.text
    assert "it must be a Dialect" in caplog.text
