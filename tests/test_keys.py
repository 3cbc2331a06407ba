"""A limit's key is found where people put it, under every well-known spelling, and its absence is told."""

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded, session
from agent_fuse.account_names import NOBODY
from agent_fuse.keys import ASSOCIATION, SPELLINGS, canonical, meant_by
from agent_fuse.otel import live_spans
from agent_fuse.testing import LoopbackProvider

MESSAGES: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as one:
        yield one


class Setting:
    """A guarded process: a tracer whose spans the processor sees, and the SDKs."""

    def __init__(self, box: Any, provider: LoopbackProvider, limit: Limit) -> None:
        self.rig = box(limits=limit)
        tracing = TracerProvider(resource=Resource({"service.name": "shop"}))
        tracing.add_span_processor(self.rig.processor)
        self.tracing = tracing
        self.span = tracing.get_tracer("app").start_as_current_span
        self.openai = openai.OpenAI(base_url=provider.openai_base_url, api_key="test", max_retries=0)
        self.claude = anthropic.Anthropic(base_url=provider.anthropic_base_url, api_key="test", max_retries=0)

    def ask(self, model: str = "gpt-4o", **options: Any) -> None:
        self.openai.chat.completions.create(model=model, messages=MESSAGES, **options)

    def accounts(self, per: str) -> list[str]:
        found = (name for name, _ in self.rig.fuse.ledger.accounts() if name.startswith(f"{per}="))
        return sorted(name.partition("=")[2] for name in found)


@pytest.fixture
def setting(box, provider) -> Callable[..., Setting]:
    return lambda per, **meter: Setting(box, provider, Limit(**(meter or {"calls": 1}), per=per))


def attached(at: Any, work: Callable[[], None]) -> None:
    token = context.attach(at)
    try:
        work()
    finally:
        context.detach(token)


def on_a_parent(name: str, one: Setting, value: str) -> None:
    with one.span("request", attributes={name: value}), one.span("inner"):
        one.ask()


def late_on_a_parent(name: str, one: Setting, value: str) -> None:
    with one.span("request") as request, one.span("inner"):
        request.set_attribute(name, value)
        one.ask()


def in_baggage(name: str, one: Setting, value: str) -> None:
    attached(baggage.set_baggage(name, value), one.ask)


def in_the_context(name: str, one: Setting, value: str) -> None:
    attached(context.set_value(name, value), one.ask)


def associated(name: str, one: Setting, value: str) -> None:
    attached(context.set_value("association_properties", {name: value}), one.ask)


def in_the_session(name: str, one: Setting, value: str) -> None:
    with session("s", attributes={name: value}):
        one.ask()


PLACES = (on_a_parent, late_on_a_parent, in_baggage, in_the_context, in_the_session, associated)
NAMES = [
    (key, name)
    for key in ("user.id", "agent", "team")
    for name in (
        *SPELLINGS.get(key, (key,)),
        *(f"{ASSOCIATION}{one}" for one in SPELLINGS.get(key, ()) if "." not in one),
    )
]


@pytest.mark.parametrize(("key", "name"), NAMES)
def test_a_key_is_found_in_every_place(setting, provider, key, name):
    """Under each spelling, in each place, each value has an account of its own: its second call is refused."""
    one = setting(key)
    for number, place in enumerate(PLACES):
        if name.startswith(ASSOCIATION) and place not in (on_a_parent, late_on_a_parent):
            continue
        for value in (f"a{number}", f"b{number}"):
            place(name, one, value)
            with pytest.raises(SentinelBudgetExceeded) as refused:
                place(name, one, value)
            assert f"per {key} '{value}'" in refused.value.limit
    assert NOBODY not in one.accounts(key)


@pytest.mark.parametrize("per", ["user.id", "session"])
@pytest.mark.parametrize("name", ["user.id", "enduser.id"])
@pytest.mark.parametrize("place", PLACES)
def test_the_journal_tells_whose_a_call_was(setting, provider, place, name, per):
    """Where a limit is per user wherever that finds one; else where a session, baggage or the context tells."""
    one = setting(per, calls=9)
    place(name, one, "ann")
    one.ask()
    told = per == "user.id" or place not in (on_a_parent, late_on_a_parent)
    assert [entry.user_id for entry in one.rig.fuse.ledger.journal()] == ["", "ann" if told else ""]


def test_the_journal_tells_whose_an_action_and_a_refusal_were(box):
    """Tool actions and refused calls have a user as booked calls have."""
    rig = box(limits=(Limit(calls=1, per="user.id"), Limit(tool_calls=9)))
    with session("s", user_id="ann"):
        agent_fuse.check_loop("search", {"q": 1})
        with agent_fuse.call("gpt-4o", 10, 10) as one:
            one.usage(10, 10)
        with pytest.raises(SentinelBudgetExceeded):
            agent_fuse.pre_flight("gpt-4o", prompt="hi")
    assert [(entry.tool, entry.status, entry.user_id) for entry in rig.fuse.ledger.journal()] == [
        ("", "refused", "ann"),
        ("", "settled", "ann"),
        ("search", "settled", "ann"),
    ]


REQUESTS = {
    "user": lambda one, caller: one.ask(user=caller),
    "safety_identifier": lambda one, caller: one.ask(safety_identifier=caller),
    "metadata": lambda one, caller: one.ask(metadata={"user_id": caller}),
    "anthropic": lambda one, caller: one.claude.messages.create(
        model="claude-opus-4-6", max_tokens=9, messages=MESSAGES, metadata={"user_id": caller}
    ),
}


@pytest.mark.parametrize("way", REQUESTS)
def test_the_user_that_a_request_names(setting, way):
    """The user in a request's own body is the limit's user, and outranks the one around it."""
    one = setting("user.id")
    for caller in ("ann", "bob"):
        REQUESTS[way](one, caller)
        with pytest.raises(SentinelBudgetExceeded), session("s", user_id="another"):
            REQUESTS[way](one, caller)
    assert one.accounts("user.id") == ["ann", "bob"]


@pytest.mark.parametrize("per", ["model", "gen_ai.request.model", "llm.model_name"])
def test_a_limit_per_model(setting, per):
    """Each model has its account, by the SDK and by hand."""
    one = setting(per)
    one.ask("gpt-4o")
    one.ask("gpt-4o-mini")
    with pytest.raises(SentinelBudgetExceeded):
        one.ask("gpt-4o")
    with pytest.raises(SentinelBudgetExceeded):
        agent_fuse.pre_flight("gpt-4o-mini", 1, 1)
    assert one.accounts("model") == ["gpt-4o", "gpt-4o-mini"]


def test_what_else_a_call_tells(setting):
    """Provider, operation and tool are keys too."""
    one = setting("gen_ai.provider.name")
    one.ask()
    assert one.accounts("provider") == ["openai"]
    one = setting("gen_ai.operation.name")
    one.ask()
    assert one.accounts("operation") == ["chat"]
    one = setting("gen_ai.tool.name", tool_calls=1)
    agent_fuse.check_loop("search", {"q": 1})
    agent_fuse.check_loop("fetch", {"q": 1})
    with pytest.raises(SentinelBudgetExceeded):
        agent_fuse.check_loop("search", {"q": 2})


def test_the_resource_counts_last(setting):
    """What only the resource tells is the key's value; a span that tells it wins."""
    one = setting("service.name", calls=9)
    with one.span("request"):
        one.ask()
    with one.span("request", attributes={"service.name": "mine"}):
        one.ask()
    assert one.accounts("service.name") == ["mine", "shop"]


def test_the_agent_span_around_a_call(setting):
    """README's own example: each agent has its account, whichever way the limit writes it."""
    for per in ("agent", "gen_ai.agent.name"):
        one = setting(per)
        for name in ("planner", "writer"):
            told = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
            with one.span("invoke_agent", attributes=told):
                one.ask()
                with pytest.raises(SentinelBudgetExceeded, match=f"per agent '{name}'"):
                    one.ask()


def test_a_limit_of_a_session_has_keys_too(box, provider):
    """A limit that one session brings finds its key on the spans inside that session."""
    one = Setting(box, provider, Limit(calls=99))
    with session("s", limits=Limit(calls=1, per="user.id")):
        for caller in ("ann", "bob"):
            on_a_parent("user.id", one, caller)
            with pytest.raises(SentinelBudgetExceeded):
                on_a_parent("user.id", one, caller)


def test_a_model_told_late_moves_the_hold(box):
    """A hold that was taken before the model was known moves to the model's account when a request tells it."""
    from agent_fuse.accounting.call_request import CallRequest
    from agent_fuse.limits import Caller, Session
    from agent_fuse.sightings import Layer

    rig = box(limits=Limit(calls=1, per="model"))
    caller = Caller(session=Session(id="s"))
    seen = rig.fuse.open_call(CallRequest(layer=Layer.FRAMEWORK, source="a", caller=caller, estimate=(9, 9)))
    rig.fuse.requote(
        seen, CallRequest(layer=Layer.REQUEST, source="b", caller=caller, model="gpt-4o", body={"messages": []})
    )
    (hold,) = rig.books.open_holds()
    assert "model=gpt-4o" in hold.accounts
    assert f"model={NOBODY}" not in hold.accounts
    assert rig.fuse.balances([f"model={NOBODY}"])[f"model={NOBODY}"].held.calls == 0


def test_calls_that_lack_a_key_do_not_use_up_anothers(setting):
    """What is refused for want of a key does not refuse, before its request is seen, a call whose request names it."""
    one = setting("user.id")
    one.ask()
    with pytest.raises(SentinelBudgetExceeded, match=r"calls without user\.id share this account"):
        one.ask()
    told = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai"}
    tracer = one.tracing.get_tracer("opentelemetry.instrumentation.genai.openai")
    with tracer.start_as_current_span("chat gpt-4o", attributes=told, kind=trace.SpanKind.CLIENT):
        one.ask(user="ann")
    assert one.accounts("user.id") == [NOBODY, "ann"]


@pytest.mark.parametrize(("written", "meant"), [("user_id", "user.id"), ("Session", "session"), ("USER.ID", "user.id")])
def test_another_spelling_of_a_key_is_taken_and_told(written, meant):
    """A near-miss of a key is that key, and the warning points at the line that wrote it."""
    with pytest.warns(
        UserWarning, match=re.escape(f"per={written!r} is taken as {meant!r}; write per={meant!r}")
    ) as told:
        limit = Limit(usd=1, per=written)
    assert limit.per == meant
    assert told[0].filename == __file__


@pytest.mark.parametrize(
    ("written", "meant"), [("sesion", "session"), ("agnet", "agent"), ("gen_ai.agent.nmae", "agent")]
)
def test_a_misspelt_key_warns(written, meant):
    """A key that is like one that is known is left as it is, and told of."""
    with pytest.warns(UserWarning, match=f"did you mean '{meant}'"):
        assert Limit(usd=1, per=written).per == written


@pytest.mark.parametrize(
    "per", ["team", "tenant.id", "user.tier", "user.month", "gen_ai.agent.id", "service.name", "org"]
)
def test_keys_of_ones_own_are_left_alone(per):
    """An ordinary name is nobody's misspelling."""
    assert canonical(per) == per


def test_a_key_that_never_appears_is_told_once(setting, caplog):
    """The log says once that a limit's key was told by no call; doctor says so until one tells it."""
    one = setting("user.id", calls=99)
    with caplog.at_level(logging.WARNING, "agent_fuse"):
        for _ in range(3):
            one.ask()
    (record,) = [one for one in caplog.records if "no call has told" in one.message]
    assert "99 calls per user.id" in record.message
    assert any("no call has told its user.id" in fact.what for fact in agent_fuse.doctor())
    with session("s", user_id="ann"):
        one.ask()
    assert not any("no call has told" in fact.what for fact in agent_fuse.doctor())


def test_none_is_no_user(setting):
    """A user who is None is none: no account is named None."""
    one = setting("user.id", calls=9)
    with session("s", user_id=None, attributes={"user.id": None}):
        one.ask()
    attached(baggage.set_baggage("user.id", None), one.ask)
    attached(context.set_value("association_properties", {"user_id": None}), one.ask)
    assert one.accounts("user.id") == [NOBODY]


def test_spans_are_remembered_only_while_they_are_open(setting, monkeypatch):
    """An ended span is forgotten, and of spans that never end only so many are kept."""
    monkeypatch.setattr(live_spans, "MAX_OPEN", 20)
    monkeypatch.setattr(live_spans.LIVE_SPANS, "_spans", {})
    one = setting("user.id")
    with one.span("a") as span:
        assert live_spans.LIVE_SPANS.get(span.get_span_context().span_id) is span
    assert live_spans.LIVE_SPANS.get(span.get_span_context().span_id) is None
    tracer = TracerProvider()
    tracer.add_span_processor(one.rig.processor)
    kept = [tracer.get_tracer("t").start_span("x") for _ in range(100)]
    assert len(live_spans.LIVE_SPANS._spans) <= 20
    assert kept


def test_the_page_names_every_spelling():
    """docs/keys.md lists what the table has."""
    page = (Path(__file__).parents[1] / "docs" / "keys.md").read_text()
    for key, spellings in SPELLINGS.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{key}` |")]
        listed = set(re.findall("`([^`]+)`", "|".join(row.split("|")[1:3])))
        assert listed == {key, *spellings}


@pytest.mark.parametrize(
    ("key", "meant"),
    [("sesion", "session"), ("user", "user.id"), ("Session", "session"), ("models", "model"), ("user_id", "")]
    + [(one, "") for one in ("session", "user.id", "all", "team", "tenant", "customer.id", "gen_ai.agent.name")],
)
def test_which_key_a_misspelt_one_means(key, meant):
    """A key that is known is itself, and one that is like none is somebody's own."""
    assert meant_by(key) == meant
