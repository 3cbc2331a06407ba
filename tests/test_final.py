"""What a limit keeps for a last answer: only calls inside `final()` may use it."""

import threading
from contextlib import nullcontext

import openai
import pytest

import agent_fuse
from agent_fuse import Limit, SentinelBudgetExceeded, final, pre_flight, remaining, session
from agent_fuse.errors import ConfigurationError
from agent_fuse.testing import LoopbackProvider
from alone import leave_nobody


@pytest.mark.parametrize(
    "limit",
    [
        Limit(usd="0.03", reserve="0.01"),
        Limit(calls=3, reserve=1),
        Limit(tokens=4_500, reserve=1_500, per="user.id"),
        Limit(usd="0.03", reserve="0.01", per="all", window="day"),
        Limit(concurrent=3, reserve=1),
    ],
)
def test_the_last_slice_is_kept(box, limit):
    """Two calls fit beside what is kept; the third only as a final one; a fourth not at all."""
    box(limits=[limit])
    with session("run", user_id="ann"):
        for _ in range(2):
            pre_flight("gpt-4o", 1000, 500)
        with pytest.raises(SentinelBudgetExceeded, match="kept for agent_fuse") as caught:
            pre_flight("gpt-4o", 1000, 500)
        assert caught.value.budget_limit < limit.cap
        with final():
            pre_flight("gpt-4o", 1000, 500)
            with pytest.raises(SentinelBudgetExceeded) as caught:
                pre_flight("gpt-4o", 2000, 500)
        assert "kept" not in str(caught.value)


def test_what_is_left_is_told_without_what_is_kept(box):
    box(limits=[Limit(usd="0.03", reserve="0.01")])
    with session("run"):
        assert str(remaining().usd) == "0.02"
        with final():
            assert str(remaining().usd) == "0.03"
        assert str(remaining().usd) == "0.02"


def test_work_in_threads_and_of_sub_agents_is_final_too(box):
    """What the last answer starts belongs to it: threads, and sessions inside it."""
    box(limits=[Limit(calls=1, reserve=0), Limit(calls=2, reserve=1, per="all")])
    with session("run"):
        pre_flight("gpt-4o", 10, 5)
        failed = []

        def work():
            try:
                pre_flight("gpt-4o", 10, 5)
            except SentinelBudgetExceeded as trip:
                failed.append(trip)

        for inside in (nullcontext(), final()):
            with inside, session(f"helper-{len(failed)}", limits=Limit(calls=9)):
                pass
        with session("other"), pytest.raises(SentinelBudgetExceeded):
            pre_flight("gpt-4o", 10, 5)
        with final(), session("sub", limits=Limit(calls=9)), pytest.raises(SentinelBudgetExceeded, match="'run'"):
            pre_flight("gpt-4o", 10, 5)
    with final():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert not failed


def test_the_sdk_sends_its_last_answer(tmp_path):
    leave_nobody()
    agent_fuse.init(limits=Limit(calls=3, reserve=1), db_path=str(tmp_path / "l.db"))
    with LoopbackProvider() as provider:
        client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0)

        def ask():
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=9)

        with session("run"):
            try:
                while True:
                    ask()
            except SentinelBudgetExceeded:
                with final():
                    ask()
        assert len(provider.served) == 3
    leave_nobody()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"usd": 1, "reserve": 1}, "Limit reserve=1; it must be less than the limit itself"),
        ({"usd": 1, "reserve": "much"}, "Limit reserve is 'much'"),
        ({"calls": 3, "reserve": 0.5}, "Limit reserve=0.5; it must be a whole number"),
        ({"seconds": 3, "reserve": 1}, "time cannot be kept"),
    ],
)
def test_a_reserve_that_cannot_be(given, words):
    with pytest.raises(ConfigurationError) as caught:
        Limit(**given)
    assert words in str(caught.value)
