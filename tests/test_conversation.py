"""Loops seen in the conversation: an agent with no instrumentation of its tools is stopped by what it sends."""

import json

import anthropic
import openai
import pytest

import agent_fuse
from agent_fuse import SentinelLoopError
from agent_fuse.conversation import last_turn
from agent_fuse.testing import LoopbackProvider, Reply, ToolCall

from .alone import leave_nobody

TOOLS = [{"type": "function", "function": {"name": "ls", "parameters": {"type": "object", "properties": {}}}}]
SAME = {"p": "."}


@pytest.fixture
def provider():
    """A model that always asks for what `ask` holds."""
    with LoopbackProvider(lambda _: Reply(tool_calls=tuple(provider.ask))) as provider:
        provider.ask = [ToolCall(name="ls", arguments=SAME)]
        yield provider


@pytest.fixture(autouse=True)
def guard(tmp_path, provider):
    """A guard without limits that matter, alone in its process."""
    leave_nobody()
    yield agent_fuse.init(budget=100, db_path=tmp_path / "ledger.db")
    leave_nobody()


def chat_agent(provider, result=lambda n: "same", turns=12, history=None):
    """A plain loop over chat completions."""
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0)
    history = [{"role": "user", "content": "go"}] if history is None else history
    for n in range(turns):
        answer = client.chat.completions.create(model="gpt-4o", messages=history, tools=TOOLS, max_tokens=20)
        message = answer.choices[0].message
        history.append(message.model_dump(exclude_none=True))
        history += [{"role": "tool", "tool_call_id": call.id, "content": result(n)} for call in message.tool_calls]
    return history


def anthropic_agent(provider, turns=12):
    """A plain loop over messages."""
    client = anthropic.Anthropic(base_url=provider.url, api_key="x", max_retries=0)
    history = [{"role": "user", "content": "go"}]
    tools = [{"name": "ls", "input_schema": {"type": "object"}}]
    for _ in range(turns):
        answer = client.messages.create(model="claude-opus-4-6", messages=history, tools=tools, max_tokens=20)
        uses = [part for part in answer.content if part.type == "tool_use"]
        history.append({"role": "assistant", "content": answer.content})
        back = [{"type": "tool_result", "tool_use_id": use.id, "content": "same"} for use in uses]
        history.append({"role": "user", "content": back})


def responses_agent(provider, turns=12, *, kept=False):
    """A plain loop over responses; `kept`: the provider keeps the history."""
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0)
    tools = [{"type": "function", "name": "ls", "parameters": {"type": "object"}, "strict": False}]
    history, extra = [{"role": "user", "content": "go"}], {}
    for _ in range(turns):
        answer = client.responses.create(model="gpt-4o", input=history, tools=tools, max_output_tokens=20, **extra)
        calls = [item for item in answer.output if item.type == "function_call"]
        back = [{"type": "function_call_output", "call_id": call.call_id, "output": "same"} for call in calls]
        if kept:
            history, extra = back, {"previous_response_id": answer.id}
        else:
            history = [*history, *answer.output, *back]


@pytest.mark.parametrize(
    "agent",
    [chat_agent, anthropic_agent, responses_agent, lambda provider: responses_agent(provider, kept=True)],
    ids=["chat", "messages", "responses", "responses, history kept"],
)
def test_a_loop_is_stopped_before_the_next_request(provider, agent):
    """The model asks six times for the same; the request that tells the sixth result does not leave."""
    with pytest.raises(SentinelLoopError) as trip:
        agent(provider)
    assert (trip.value.tool, trip.value.call_count, trip.value.kind) == ("ls", 6, "repeat")
    assert provider.count == 6


def test_progress_is_no_loop(provider):
    """Results that change are progress."""
    chat_agent(provider, result=lambda n: f"{n} files")
    assert provider.count == 12


def test_parallel_calls_are_one_step(provider):
    """Eight equal calls asked for at once are one step, as are eight failing ones."""
    provider.ask = [ToolCall(name="ls", arguments=SAME) for _ in range(8)]
    chat_agent(provider, turns=2)
    provider.ask = [ToolCall(name="cat", arguments={"f": n}) for n in range(8)]
    chat_agent(provider, result=lambda _: "Error: no such file", turns=2)
    assert provider.count == 4


def test_a_history_sent_again_is_no_loop(provider, tmp_path):
    """A retry, a branch, a second agent and a process that takes a checkpoint up send what was counted before."""
    history = chat_agent(provider, turns=2)
    for n in range(12):
        chat_agent(provider, turns=1, history=list(history))
        if n % 4 == 3:
            leave_nobody()
            agent_fuse.init(budget=100, db_path=tmp_path / "ledger.db")
    assert provider.count == 14


def test_an_id_that_is_given_again_is_another_call(provider, tmp_path):
    """Recorded runs (tau-bench) hold ids twice: each time counts, wherever its history begins; sent again it does not."""
    provider.ask = [ToolCall(name="ls", arguments=SAME, id="call_of_a_cache_that_answers_twice")]
    history = chat_agent(provider, turns=3)
    system = {"role": "system", "content": "another agent"}
    for _ in range(8):
        chat_agent(provider, turns=1, history=[system, *history])
    with pytest.raises(SentinelLoopError) as trip:
        chat_agent(provider, history=history)
    assert trip.value.call_count == 6


def test_what_a_tool_gate_saw_counts_once(provider):
    """A guarded tool's calls are told of by the conversation as well: the gate trips at the sixth, no request before."""

    @agent_fuse.loop_guard("ls")
    def ls(p):
        return "same"

    with pytest.raises(SentinelLoopError) as trip:
        chat_agent(provider, result=lambda _: ls(**SAME))
    assert trip.value.call_count == 6
    assert provider.count == 6


def test_what_a_tool_gate_saw_counts_once_in_the_process_that_goes_on(provider, tmp_path):
    """A checkpoint is taken after the tool ran; whoever takes it up sends a history whose end no request told of."""
    history = [{"role": "user", "content": "go"}]

    def step():
        @agent_fuse.loop_guard("ls")
        def ls(p):
            return "same"

        chat_agent(provider, result=lambda _: ls(**SAME), turns=1, history=history)
        leave_nobody()
        agent_fuse.init(budget=100, db_path=tmp_path / "ledger.db")

    for _ in range(5):
        step()
    with pytest.raises(SentinelLoopError) as trip:
        step()
    assert (trip.value.call_count, provider.count) == (6, 6)


def test_a_trip_stands_until_something_is_said(provider):
    """The same request is refused again; with a word to the trip behind it, the conversation goes on."""
    history = [{"role": "user", "content": "go"}]
    for _ in range(2):
        with pytest.raises(SentinelLoopError):
            chat_agent(provider, history=history)
        assert provider.count == 6
    provider.ask = [ToolCall(name="look", arguments={})]
    chat_agent(provider, turns=1, history=[*history, {"role": "user", "content": "try another way"}])
    assert provider.count == 7


def test_sessions_are_apart(provider):
    """What one session called is nothing to another."""
    for n in range(3):
        with agent_fuse.session(f"run-{n}"):
            chat_agent(provider, turns=5)
    assert provider.count == 15


def test_loop_detection_can_be_off(provider, tmp_path):
    """Where loops do not matter, nothing is read."""
    leave_nobody()
    agent_fuse.init(budget=100, db_path=tmp_path / "off.db", loop_detection_enabled=False)
    chat_agent(provider)
    assert provider.count == 12


TURNS = {
    "bedrock": [
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "tooluse_aaaaaaa", "name": "ls", "input": SAME}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "tooluse_aaaaaaa", "content": [{"text": "same"}]}}]},
    ],
    "gemini": [
        {"role": "model", "parts": [{"functionCall": {"name": "ls", "args": SAME}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "ls", "response": "same"}}]},
    ],
    "chat, a word behind": [
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "ls", "arguments": json.dumps(SAME)}}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "same"}]},
        {"role": "user", "content": "go on"},
    ],
}


@pytest.mark.parametrize("kind", TURNS)
def test_other_forms_are_read(kind):
    """The last turn is found at the end of a history of any form, and nothing where the model has answered since."""
    turn = TURNS[kind]
    field = "contents" if kind == "gemini" else "messages"
    (use,) = last_turn({field: [{"role": "user", "content": "x"}] * 50 + turn * 2})
    assert (use.tool, use.result, use.failed) == ("ls", "same", False)
    assert use.arguments in (SAME, json.dumps(SAME))
    assert last_turn({field: [*turn, {"role": "assistant", "content": "done"}, {"role": "user", "content": "x"}]}) == []
    assert last_turn({field: [*turn[:1]]}) == last_turn({field: 7}) == last_turn({}) == []


@pytest.mark.parametrize("odd", [[], {}, 5, None])
def test_a_role_or_a_type_that_is_no_text(odd):
    """Found by fuzzing: what cannot be looked up in a table is none of its rows, and what else is there is read."""
    use = {
        "role": "assistant",
        "content": [{"type": odd}, {"type": "tool_use", "id": "a" * 12, "name": "ls", "input": {}}],
    }
    result = {
        "role": "user",
        "type": odd,
        "content": [{"type": "tool_result", "tool_use_id": "a" * 12, "content": "x"}],
    }
    assert [one.tool for one in last_turn({"messages": [use, result]})] == ["ls"]
    assert last_turn({"messages": [{"role": odd, "type": odd, "content": [{"type": odd}]}]}) == []
