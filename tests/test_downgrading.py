"""Downgrading: from a share of a limit on, a turn is begun with the next model down a ladder, and goes on with it."""

import anthropic
import openai
import pytest

from agent_fuse import Limit, Price, SentinelBudgetExceeded, control, session
from agent_fuse.calls import Usage
from agent_fuse.errors import ConfigurationError
from agent_fuse.settings import settings
from agent_fuse.testing import LoopbackProvider

LADDER = {"gpt-4o": "gpt-4o-mini", "claude-opus-4-6": "claude-sonnet-5"}
USED = Usage(input_tokens=1_000, output_tokens=500)
GPT_4O, MINI = 7_500_000, 450_000
"""Nano-dollars of such a call."""
ASK = {"role": "user", "content": "Go on."}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
LOOKED = [ASK, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "call_1", "content": "1"}]


@pytest.fixture
def provider():
    with LoopbackProvider(usage=USED) as one:
        yield one


def asked(provider):
    return [one.body["model"] for one in provider.requests]


def chat(provider, messages, **more):
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0)
    return client.chat.completions.create(**{"model": "gpt-4o", "messages": messages, "max_tokens": 500, **more})


def box_with(box, **options):
    return box(**{"limits": [Limit(usd=0.03)], "on_tight": "downgrade", "downgrade": LADDER, **options})


def test_turns_begin_with_the_cheaper_model_from_the_share_on(box, provider) -> None:
    one = box_with(box, downgrade_at=0.5)
    for _ in range(4):
        chat(provider, [ASK])
    assert asked(provider) == ["gpt-4o", "gpt-4o", "gpt-4o-mini", "gpt-4o-mini"]
    assert one.spent() == 2 * GPT_4O + 2 * MINI, "held and booked at its own price"
    assert [entry.model for entry in one.entries()] == asked(provider)
    assert [entry.reason for entry in one.entries()] == ["", "", *["downgraded from gpt-4o"] * 2]


def test_the_share_is_of_the_limit_as_it_was_raised(box, provider) -> None:
    box_with(box, downgrade_at=0.5, session_id="s")
    for _ in range(3):
        chat(provider, [ASK])
    control.top_up("s", 1)
    chat(provider, [ASK])
    assert asked(provider) == ["gpt-4o", "gpt-4o", "gpt-4o-mini", "gpt-4o"]


def test_a_turn_goes_on_with_the_model_that_it_began_with(box, provider) -> None:
    box_with(box, downgrade_at=0.2)
    chat(provider, [ASK])
    chat(provider, LOOKED)
    assert asked(provider) == ["gpt-4o", "gpt-4o"], "the share was passed in the middle of a turn"
    again = {"role": "user", "content": "And now?"}
    chat(provider, [*LOOKED, {"role": "assistant", "content": "1"}, again])
    chat(provider, [*LOOKED, {"role": "assistant", "content": "1"}, again, *LOOKED[1:]])
    assert asked(provider)[2:] == ["gpt-4o-mini", "gpt-4o-mini"], "what was begun with it goes on with it"


def test_what_does_not_fit_begins_with_the_cheaper_model(box, provider) -> None:
    one = box_with(box, limits=[Limit(usd=0.004)])
    chat(provider, [ASK])
    assert asked(provider) == ["gpt-4o-mini"]
    assert one.spent() == MINI
    with pytest.raises(SentinelBudgetExceeded):
        chat(provider, [*LOOKED[:2], {"role": "tool", "tool_call_id": "call_1", "content": "2"}], max_tokens=9_000)


def test_the_ladder_is_climbed_down_until_a_rung_fits(box, provider) -> None:
    box_with(box, limits=[Limit(usd=0.00025)], downgrade={"gpt-4o": "gpt-4o-mini", "gpt-4o-mini": "gpt-4.1-nano"})
    chat(provider, [ASK])
    assert asked(provider) == ["gpt-4.1-nano"]


def test_a_turn_that_began_two_rungs_down_goes_on_there(box, provider) -> None:
    """Though what it asks next would fit one rung higher."""
    box_with(box, limits=[Limit(usd=0.0006)], downgrade={"gpt-4o": "gpt-4o-mini", "gpt-4o-mini": "gpt-4.1-nano"})
    chat(provider, [ASK], max_tokens=1_200)
    chat(provider, LOOKED, max_tokens=5)
    assert asked(provider) == ["gpt-4.1-nano"] * 2


def test_a_turn_is_known_in_a_history_that_is_cut_short_or_marked_elsewhere(box, provider) -> None:
    """Agents drop their oldest messages, and move the mark of Anthropic's cache from message to message."""
    box_with(box, limits=[Limit(calls=100)], downgrade_at=0.01)
    chat(provider, [ASK])
    chat(provider, [{"role": "assistant", "content": "Well."}, ASK])
    chat(provider, LOOKED)
    claude = anthropic.Anthropic(base_url=provider.anthropic_base_url, api_key="x")
    opus = {"model": "claude-opus-4-6", "max_tokens": 100}
    mark = {"cache_control": {"type": "ephemeral"}}
    claude.messages.create(**opus, messages=[{"role": "user", "content": [{"type": "text", "text": "hi", **mark}]}])
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    back = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "1", **mark}
    turn = [{"role": "assistant", "content": [use]}, {"role": "user", "content": [back]}]
    for said in ([{"type": "text", "text": "hi"}], "hi"):
        claude.messages.create(**opus, messages=[{"role": "user", "content": said}, *turn])
    assert asked(provider) == ["gpt-4o", *["gpt-4o-mini"] * 2, *["claude-sonnet-5"] * 3]


@pytest.mark.parametrize("streamed", ["", "read", "left"])
def test_a_turn_that_the_provider_keeps_goes_on_with_its_model(box, provider, streamed) -> None:
    """From the answer that a request names (`previous_response_id`), and in a conversation; not from another one.

    A stream that is left at its last event, and closed by nobody, is such an answer too.
    """
    left = []
    box_with(box, limits=[Limit(calls=100)], downgrade_at=0.01)
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x")

    def ask(said, **more):
        made = client.responses.create(model="gpt-4o", input=said, stream=bool(streamed), **more)
        if streamed == "left":
            left.append(made)
            return next(event.response.id for event in made if event.type == "response.completed")
        *_, last = made if streamed else [made]
        return last.response.id if streamed else last.id

    result = [{"type": "function_call_output", "call_id": "call_1", "output": "1"}]
    dear = ask("hi")
    cheap = ask("hi")
    ask(result, previous_response_id=dear)
    cheap = ask(result, previous_response_id=cheap)
    ask(result, previous_response_id=cheap)
    ask("hi", conversation="conv_1")
    ask(result, conversation={"id": "conv_1"})
    assert asked(provider) == ["gpt-4o", "gpt-4o-mini", "gpt-4o", *["gpt-4o-mini"] * 4]


def test_each_api_tells_where_a_turn_begins(box, provider) -> None:
    box_with(box, limits=[Limit(calls=100)], downgrade_at=0.01)
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x")
    claude = anthropic.Anthropic(base_url=provider.anthropic_base_url, api_key="x")
    result = {"type": "function_call_output", "call_id": "call_1", "output": "1"}
    chat(provider, [ASK])
    client.responses.create(model="gpt-4o", input="hi")
    client.responses.create(model="gpt-4o", input=[result], previous_response_id="resp_1")
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    back = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "1"}
    opus = {"model": "claude-opus-4-6", "max_tokens": 100}
    claude.messages.create(**opus, messages=[{"role": "user", "content": "hi"}])
    claude.messages.create(
        **opus,
        messages=[
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [back, {"type": "text", "text": "there"}]},
        ],
    )
    assert asked(provider) == ["gpt-4o", "gpt-4o-mini", "gpt-4o", "claude-sonnet-5", "claude-opus-4-6"]


def test_only_limits_that_say_so_downgrade(box, provider) -> None:
    box_with(box, on_tight="refuse", downgrade_at=0.1)
    for _ in range(3):
        chat(provider, [ASK])
    assert set(asked(provider)) == {"gpt-4o"}


def test_a_model_that_the_address_names_stays(box, provider) -> None:
    box_with(box, limits=[Limit(calls=100)], downgrade_at=0.01)
    client = openai.AzureOpenAI(azure_endpoint=provider.azure_endpoint, api_key="x", api_version="2024-10-21")
    for _ in range(3):
        client.chat.completions.create(model="gpt-4o", messages=[ASK])
    assert {one.deployment for one in provider.requests} == {"gpt-4o"}
    assert set(asked(provider)) == {"gpt-4o"}


def test_the_caller_s_own_request_is_not_changed(box, provider) -> None:
    box_with(box, limits=[Limit(usd=0.004)])
    given = {"model": "gpt-4o", "messages": [ASK], "max_tokens": 500}
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0)
    client.post("/chat/completions", body=given, cast_to=object)
    assert asked(provider) == ["gpt-4o-mini"]
    assert given == {"model": "gpt-4o", "messages": [ASK], "max_tokens": 500}


SPAN = """
import sys
import openai
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter, tracing = InMemorySpanExporter(), TracerProvider()
tracing.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(tracing)
import agent_fuse
agent_fuse.init(budget=0.004, on_tight="downgrade", downgrade={"gpt-4o": "gpt-4o-mini"}, db_path="memory://")
client = openai.OpenAI(base_url=sys.argv[1], api_key="x", max_retries=0)
client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=500)
for span in exporter.get_finished_spans():
    print(span.name, span.attributes["agent_fuse.downgraded_from"], span.attributes["gen_ai.usage.cost.amount"])
"""


def test_the_span_of_the_call_tells_it(elsewhere, provider) -> None:
    assert "openai.chat gpt-4o 0.00045" in elsewhere(SPAN, provider.openai_base_url).splitlines()


@pytest.mark.parametrize(
    ("ladder", "words"),
    [({"a": ""}, "must map models"), ({"a": "b", "b": "a"}, "comes back to 'a'"), ("gpt-4o", "must map models")],
)
def test_a_ladder_leads_down(ladder, words) -> None:
    with pytest.raises(ConfigurationError, match=words):
        settings({}, downgrade=ladder)
    assert settings({"AGENTFUSE_DOWNGRADE": "gpt-4o=gpt-4o-mini"}).downgrade == {"gpt-4o": "gpt-4o-mini"}


def test_only_what_a_cheaper_model_helps_can_downgrade() -> None:
    with pytest.raises(ConfigurationError, match="no cheaper model helps"):
        Limit(concurrent=3, on_tight="downgrade")


def test_a_ladder_to_a_dearer_model_is_none(box) -> None:
    """Where both have a price, one's own too; what has none may be cheaper."""
    with pytest.raises(ConfigurationError, match=r"^downgrade leads from gpt-4o-mini to gpt-4o, which is dearer"):
        box_with(box, downgrade={"gpt-4o-mini": "gpt-4o"})
    with pytest.raises(ConfigurationError, match="gpt-4o to mine, which is dearer"):
        box_with(box, downgrade={"gpt-4o": "mine"}, prices={"mine": Price(20, 20)})
    box_with(box, downgrade={"gpt-4o": "mine"}, prices={"mine": Price(0, 0)})
    box_with(box, downgrade={"gpt-4o": "nobody-knows-it"})


def test_a_ladder_leads_to_no_model_that_would_be_refused_for_want_of_a_price(box) -> None:
    """It would end every turn at the share from which it is to help; said at the start."""
    block = {"downgrade": {"gpt-4o": "nobody-knows-it"}, "unknown_model": "block"}
    with pytest.raises(
        ConfigurationError, match="to nobody-knows-it, which has no price, and unknown_model is 'block'"
    ):
        box_with(box, **block)
    box_with(box, **block, prices={"nobody-knows-it": Price(0, 0)})
    box_with(box, **{**block, "downgrade": LADDER})


def test_a_session_s_own_limit_that_downgrades_needs_a_ladder_too(box) -> None:
    """Without one it would refuse as if nothing had been said."""
    own = Limit(usd=1, on_tight="downgrade")
    box(budget=5)
    with pytest.raises(
        ConfigurationError, match=r"^session limits: on_tight is 'downgrade' and no model has a cheaper"
    ):
        session("s", limits=[own])
    box(budget=5, downgrade=LADDER)
    with session("s", limits=[own]) as inner:
        assert inner.limits == (own,)


@pytest.mark.parametrize("given", [{"on_tight": "downgrade"}, {"limits": [Limit(usd=1, on_tight="downgrade")]}])
def test_a_downgrade_needs_a_ladder(given) -> None:
    with pytest.raises(ConfigurationError, match=r"^on_tight is 'downgrade' and no model has a cheaper one; add "):
        settings({}, **given)
