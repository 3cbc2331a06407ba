"""Savings: what clamping and downgrading saved, or in observe mode would have, call by call and in `status`."""

import json

import openai
import pytest

from agent_fuse import Limit
from agent_fuse.calls import Usage
from agent_fuse.cli import main
from agent_fuse.testing import LoopbackProvider, Reply

USED = Usage(input_tokens=1_000, output_tokens=500)
GPT_4O, MINI, OUT = 7_500_000, 450_000, 10_000
"""Nano-dollars of such a call, and of one token that gpt-4o writes."""
ASK = [{"role": "user", "content": "Go on."}]
LADDER = {"gpt-4o": "gpt-4o-mini"}


@pytest.fixture
def provider():
    with LoopbackProvider(usage=USED) as one:
        yield one


def chat(provider, **more):
    client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0)
    return client.chat.completions.create(**{"model": "gpt-4o", "messages": ASK, "max_tokens": 500, **more})


def told(one):
    return [(entry.model, entry.cost, entry.saved, entry.saved_by) for entry in one.entries()]


def status(one, capsys):
    """What `agent-fuse status` tells, as JSON and in words."""
    path = one.fuse.settings.db_path
    for more in (["--json"], []):
        with pytest.raises(SystemExit):
            main(["status", "--db", str(path), *more])
        yield " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_a_cheaper_model_saves_the_difference_of_the_same_answer(box, provider, capsys, mode) -> None:
    one = box(limits=[Limit(usd=0.03)], on_tight="downgrade", downgrade=LADDER, downgrade_at=0.5, mode=mode)
    for _ in range(4):
        chat(provider)
    first = ("gpt-4o", GPT_4O, None, "")
    words, found = {
        "enforce": ("Downgrade saved $0.0141 on 2 calls", ("gpt-4o-mini", MINI, GPT_4O - MINI, "downgrade")),
        "observe": (
            "Downgrade would have saved $0.0141 on 2 calls",
            ("gpt-4o", GPT_4O, GPT_4O - MINI, "would downgrade"),
        ),
    }[mode]
    assert told(one) == [first, first, found, found]
    assert [request.body["model"] for request in provider.requests][2:] == [found[0]] * 2
    data, text = status(one, capsys)
    sums = {key: json.loads(data)[key] for key in ("saved", "would_save", "would_refuse")}
    saved = [{"by": "downgrade", "calls": 2, "usd": "0.0141"}]
    assert sums == {
        "saved": saved if mode == "enforce" else [],
        "would_save": saved if mode == "observe" else [],
        "would_refuse": [],
    }
    assert words in text


@pytest.mark.parametrize(("words", "saved"), [(8_000, (9_000 - 700) * OUT), (10, 0)])
def test_a_clamp_saves_at_most_what_the_answer_was_not_allowed(box, words, saved) -> None:
    """An answer that did not use up what it was left would have been no longer anyway."""
    one = box(limits=[Limit(output_tokens=700, on_tight="clamp")])
    with LoopbackProvider(Reply(text="word " * words)) as provider:
        chat(provider, max_tokens=9_000)
    assert [(entry.saved, entry.saved_by) for entry in one.entries()] == [(saved, "clamp")]


@pytest.mark.parametrize("stream", [False, True])
def test_an_observed_clamp_would_have_saved_what_was_written_beyond_it(box, capsys, stream) -> None:
    one = box(limits=[Limit(output_tokens=700, on_tight="clamp")], mode="observe")
    with LoopbackProvider(usage=Usage(input_tokens=10, output_tokens=1_000)) as provider:
        more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        list(chat(provider, max_tokens=9_000, **more))
        (request,) = provider.requests
    assert request.body["max_tokens"] == 9_000, "it leaves as it was asked for"
    assert [(entry.saved, entry.saved_by, entry.reason) for entry in one.entries()] == [(300 * OUT, "would clamp", "")]
    data, text = status(one, capsys)
    assert json.loads(data)["would_refuse"] == [], "clamped it would have gone"
    assert "Clamp would have saved $0.0030 on 1 call in the last hour." in text
    assert one.books.open_holds() == []


def test_what_not_even_a_clamp_lets_go_is_still_told_as_refused(box, provider) -> None:
    one = box(limits=[Limit(output_tokens=100, on_tight="clamp")], mode="observe")
    chat(provider, max_tokens=9_000)
    assert sorted((str(entry.status), entry.saved) for entry in one.books.entries()) == [
        ("settled", None),
        ("would_refuse", None),
    ]


def test_a_call_that_is_downgraded_and_clamped_saves_both(box) -> None:
    """The answer as it is, at the cheaper price, beside what was asked for at the dearer one."""
    limits = [Limit(usd=0.005), Limit(output_tokens=700, on_tight="clamp")]
    one = box(limits=limits, on_tight="downgrade", downgrade=LADDER)
    with LoopbackProvider(usage=Usage(input_tokens=0, output_tokens=700)) as provider:
        chat(provider, max_tokens=2_000)
    (entry,) = one.entries()
    assert (entry.model, entry.saved_by) == ("gpt-4o-mini", "downgrade and clamp")
    assert entry.saved == 2_000 * OUT - 700 * 600


def test_a_cheaper_model_that_would_be_refused_too_would_have_saved_nothing(box, provider) -> None:
    one = box(limits=[Limit(usd="0.0001")], on_tight="downgrade", downgrade=LADDER, mode="observe")
    chat(provider)
    assert sorted((str(entry.status), entry.model, entry.saved) for entry in one.books.entries()) == [
        ("settled", "gpt-4o", None),
        ("would_refuse", "gpt-4o", None),
    ]
    assert one.books.open_holds() == []
