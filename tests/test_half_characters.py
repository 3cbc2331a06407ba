"""Half a character (a lone surrogate, which JSON can tell) in any text of a call: no ledger keeps it, none fails by it."""

import json

import httpx
import openai
import pytest
from opentelemetry import baggage, context
from opentelemetry.sdk.trace import TracerProvider

import agent_fuse
from agent_fuse import (
    ConfigurationError,
    Limit,
    SentinelLoopError,
    check_loop,
    post_flight,
    pre_flight,
    session,
)
from agent_fuse.calls import Status
from agent_fuse.ledgers.base import Amounts
from agent_fuse.otel.context import AGENT
from agent_fuse.testing import LoopbackProvider, Reply, ToolCall

from .alone import leave_nobody

HALF = "x\ud800y"
WHOLE = "x\ufffdy"
HEADERS = {"agent-fuse-session": json.dumps([{"id": HALF, "limits": [], "attributes": {}}])}
PROMPT = [{"role": "user", "content": "hi"}]


@pytest.fixture
def provider():
    """A provider on loopback."""
    with LoopbackProvider() as one:
        yield one


@pytest.fixture
def alone():
    """Nothing else guards this process, and nothing does afterwards."""
    leave_nobody()
    yield
    leave_nobody()


@pytest.fixture(params=["sqlite", "postgresql", "memory"])
def guard(request, alone, tmp_path):
    """A guard with limits per whatever may be told, on each kind of ledger, alone in its process."""
    url = {"sqlite": str(tmp_path / "ledger.db"), "memory": "memory://"}.get(request.param)
    limits = [Limit(calls=9, per=key) for key in ("user.id", "agent", "model", "team")]
    return agent_fuse.init(
        budget=100,
        limits=[*limits, Limit(tool_calls=9, per="tool")],
        db_path=url or request.getfixturevalue("postgres").database(),
        loop_threshold=3,
    )


def ask(provider, **more):
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0, timeout=30) as client:
        asked = {"model": "gpt-4o", "messages": PROMPT, "max_tokens": 50, **more}
        return client.chat.completions.create(**asked)


def go_round(times):
    for _ in range(times):
        check_loop(HALF, {})


def spans(guard, scope="mine"):
    provider = TracerProvider()
    provider.add_span_processor(guard)
    return provider.get_tracer(scope)


def books(guard):
    """The journal, once it is seen that no text in the books is broken, and that nothing is held any more."""
    for name, balance in guard.fuse.ledger.accounts():
        assert name.encode()
        assert balance.held == Amounts(), name
    lines = list(guard.fuse.ledger.journal())
    assert not any("\\ud" in repr(one) for one in lines)
    return lines


def settled(guard, account):
    """What is booked on an account."""
    return guard.fuse.balances([account])[account].settled


@pytest.mark.parametrize(
    ("name", "field", "account"),
    [
        ("session.id", "session", "session"),
        ("user.id", "user_id", "user.id"),
        ("agent.name", "agent", "agent"),
        ("team", "", "team"),
    ],
)
def test_baggage_and_the_attributes_of_spans(guard, provider, name, field, account):
    """The calls go, and are booked under one text, with U+FFFD in it, on its account too."""
    token = context.attach(baggage.set_baggage(name, HALF))
    try:
        ask(provider)
    finally:
        context.detach(token)
    around = {"gen_ai.operation.name": "invoke_agent", name: HALF}
    with spans(guard).start_as_current_span("around", attributes=around):
        ask(provider)
    lines = books(guard)
    assert provider.count == len(lines) == 2
    assert not field or [getattr(one, field) for one in lines] == [WHOLE, WHOLE]
    assert settled(guard, f"{account}={WHOLE}").calls == 2


def test_a_frameworks_name_of_an_agent(guard, provider):
    """Adapters say whose turn it is in the framework's own words."""
    token = AGENT.set(HALF)
    try:
        ask(provider)
    finally:
        AGENT.reset(token)
    assert [one.agent for one in books(guard)] == [WHOLE]
    assert settled(guard, f"agent={WHOLE}").calls == 1


def test_a_span_of_a_model_call(guard):
    """Model, provider and answer of a span that is judged and booked by itself."""
    told = {"gen_ai.operation.name": "chat", "gen_ai.request.model": HALF, "gen_ai.provider.name": HALF}
    ended = {"gen_ai.response.id": HALF, "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 5}
    with spans(guard).start_as_current_span("chat", attributes=told) as span:
        span.set_attributes({**ended, "gen_ai.response.model": HALF})
    [line] = books(guard)
    assert (line.model, line.provider, line.response_id) == (WHOLE, WHOLE, WHOLE)
    assert (line.status, line.input_tokens, line.output_tokens) == (Status.SETTLED, 7, 5)
    assert settled(guard, f"model={WHOLE}").calls == 1


def test_a_span_of_a_tool(guard):
    """It runs, is one action by whatever name it is told, and its loop is still one."""
    told = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": HALF, "gen_ai.tool.call.arguments": "{}"}
    tracer = spans(guard)
    for _ in range(3):
        with tracer.start_as_current_span("execute_tool", attributes=told):
            pass
    assert [one.tool for one in books(guard)] == [WHOLE] * 3
    assert settled(guard, f"tool={WHOLE}").tool_calls == 3
    with pytest.raises(SentinelLoopError):
        tracer.start_span("execute_tool", attributes=told)


def test_a_tool_by_hand(guard):
    """`check_loop` and `loop_guard` take the name that a model made up; two layers that see it are one action."""
    check_loop(HALF, {HALF: HALF})

    @agent_fuse.loop_guard(HALF)
    def run(what):
        return what

    told = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": HALF}
    with spans(guard).start_as_current_span("execute_tool", attributes=told):
        assert run(HALF) == HALF
    assert [one.tool for one in books(guard)] == [WHOLE] * 2


def test_a_call_by_hand(guard):
    """`pre_flight` and `post_flight` take the model that a request or an answer names."""
    pre_flight(HALF, messages=PROMPT)
    post_flight(HALF, 7, 5)
    [line] = books(guard)
    assert (line.model, line.status, line.input_tokens) == (WHOLE, Status.SETTLED, 7)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_of_the_openai_sdk(guard, provider, stream):
    """Its id, its model and the tool that it calls: it is booked by its usage, whatever they hold."""
    provider.default = Reply(id=HALF, model=HALF, tool_calls=(ToolCall(name=HALF, arguments={"a": HALF}, id=HALF),))
    answer = ask(provider, stream=stream)
    if stream:
        assert HALF in [call.function.name for one in answer for call in one.choices[0].delta.tool_calls or ()]
    else:
        assert answer.choices[0].message.tool_calls[0].function.name == HALF
        check_loop(answer.choices[0].message.tool_calls[0].function.name, {"a": HALF})
    *_, line = books(guard)
    assert (line.status, line.response_id) == (Status.SETTLED, WHOLE)


def test_a_request_of_the_openai_sdk(guard, provider):
    """The SDK cannot send it, and says so itself: nothing is held for it, and the next call goes."""
    with pytest.raises(UnicodeEncodeError):
        ask(provider, model=HALF, user=HALF)
    assert books(guard) == []
    assert ask(provider)


def test_a_request_of_another_client(guard, provider):
    """JSON in ASCII can tell a model, a user and tools with it: it goes, and is the same tool at its gate and here."""
    tools = [{"type": "function", "function": {"name": HALF, "parameters": {"type": "object"}}}]
    history = list(PROMPT)
    for n in range(3):
        used = {"id": f"call_00000000{n}", "type": "function", "function": {"name": HALF, "arguments": "{}"}}
        history.append({"role": "assistant", "tool_calls": [used]})
        history.append({"role": "tool", "tool_call_id": used["id"], "content": HALF})
        body = {"model": HALF, "user": HALF, "max_tokens": 50, "messages": history, "tools": tools}
        answer = httpx.post(
            f"{provider.openai_base_url}/chat/completions",
            content=json.dumps(body),
            headers={"Content-Type": "application/json"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
    assert [(one.model, one.user_id) for one in books(guard)] == [(WHOLE, WHOLE)] * 3
    assert settled(guard, f"user.id={WHOLE}").calls == 3
    with pytest.raises(SentinelLoopError):
        go_round(3)  # by itself, only the fourth would be a loop


@pytest.mark.parametrize(
    ("give", "said"),
    [
        (lambda: session(HALF).__enter__(), r"session id is 'x\ud800y'; it holds half a character (a lone surrogate)"),
        (lambda: session("a", user_id=HALF).__enter__(), r"session attribute user.id is 'x\ud800y'; it holds half a"),
        (lambda: agent_fuse.agent(HALF).__enter__(), r"agent name is 'x\ud800y'; it holds half a character"),
        (lambda: check_loop("tool", {}, HALF), r"check_loop session_id is 'x\ud800y'; it holds half a character"),
        (lambda: agent_fuse.init(session_id=HALF), r"session_id is 'x\ud800y'; it holds half a character"),
        (lambda: agent_fuse.session_from(HEADERS).__enter__(), "session_from agent-fuse-session is '[{"),
        (lambda: Limit(calls=1, per=HALF), r"Limit per='x\ud800y'; it must be 'session', 'agent', ..."),
    ],
)
def test_an_id_given_by_hand(alone, give, said):
    """It is refused in one line, as one with NUL is."""
    with pytest.raises(ConfigurationError) as caught:
        give()
    assert str(caught.value).startswith(said)
