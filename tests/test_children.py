"""Sessions inside sessions: a slice of what is left around them, and what a trip of one does to the other."""

import openai
import pytest

import agent_fuse
from agent_fuse import (
    Limit,
    SentinelBudgetExceeded,
    SentinelLoopError,
    call,
    check_loop,
    pre_flight,
    remaining,
    session,
)
from agent_fuse.errors import ConfigurationError
from agent_fuse.testing import LoopbackProvider
from alone import leave_nobody

# One call of gpt-4o with 1,000 tokens in and 500 out costs $0.0075.


def spend(times=1):
    for _ in range(times):
        with call("gpt-4o", 1000, 500):
            pass


def test_a_slice_is_of_what_is_left_as_it_is_opened(box):
    box(budget="0.10")
    with session("run"):
        spend(4)
        with session("child", budget="50%"):
            assert str(remaining().usd) == "0.035"
            spend(4)
            with pytest.raises(SentinelBudgetExceeded, match=r"\$0.035 per session 'child'"):
                spend()
        assert str(remaining().usd) == "0.04"
        with session("other", budget=" 12.5 % "):
            assert str(remaining().usd) == "0.005"


def test_of_several_limits_around_it_the_tightest_counts(box):
    box(budget=1, limits=[Limit(usd="0.04", per="user.id")])
    with session("run", user_id="ann"), session("child", budget="50%"):
        assert str(remaining().usd) == "0.02"


def test_a_slice_is_no_promise(box):
    """The limits around it bind too: what the parent spends meanwhile is not the child's."""
    box(budget="0.10")
    with session("run") as run:
        with session("child", budget="100%"):
            spend(13)
            with pytest.raises(SentinelBudgetExceeded) as caught:
                spend()
        assert caught.value.refused_by.value in {"child", run.id}


@pytest.mark.parametrize("given", ["0%", "101%", "%", "half%", "-5%", "nan%", "inf%"])
def test_a_share_that_cannot_be(box, given):
    box(budget=1)
    with pytest.raises(ConfigurationError, match="a share of what is left is above 0% and at most 100%"):
        session("child", budget=given)


def test_a_share_of_nothing(box):
    box(limits=[Limit(calls=3)])
    with pytest.raises(ConfigurationError, match="no limit in USD binds it"), session("child", budget="20%"):
        pass


def test_a_childs_trip_goes_on_unless_its_parent_ends_it(box):
    box(budget=1)
    with session("run"), pytest.raises(SentinelBudgetExceeded), session("child", budget="0.001"):
        pre_flight("gpt-4o", 1000, 500)
    with session("run", on_child_trip="end"):
        with session("child", budget="0.001") as child:
            pre_flight("gpt-4o", 1000, 500)
        assert isinstance(child.trip, SentinelBudgetExceeded)
        assert "per session 'child'" in str(child.trip)
        with session("looping") as looping:
            for _ in range(20):
                check_loop("search", {"q": "same"})
        assert isinstance(looping.trip, SentinelLoopError)
        with session("well", budget="0.5") as well:
            spend()
        assert well.trip is None


def test_what_trips_further_in_ends_the_child_that_it_leaves(box):
    """A helper's helper that stands by itself takes its own parent with it, and no more: the run goes on."""
    box(budget=1)
    with session("run", on_child_trip="end"):
        with session("child") as child, session("grandchild", budget="0.001"):
            pre_flight("gpt-4o", 1000, 500)
        assert "per session 'grandchild'" in str(child.trip)
        with session("child") as looping, session("grandchild"):
            for _ in range(20):
                check_loop("search", {"q": "same"})
        assert isinstance(looping.trip, SentinelLoopError)


def test_a_limit_of_its_own_per_another_key_ends_a_child(box):
    """Such as on one model, or on an agent in it: it binds nobody around."""
    box(limits=[Limit(calls=9, per="model")])
    with session("run", on_child_trip="end"):
        with session("child", limits=Limit(calls=1, per="model")) as child:
            spend()
            spend()
        assert child.trip is not None
        assert child.trip.limit == "1 call per model 'gpt-4o'"
        spend()


def test_only_its_own_limit_ends_a_child(box):
    """What binds the parent too, and what someone else's code raises, goes on to whoever is around."""
    box(budget="0.001")
    with session("run", on_child_trip="end"):
        with pytest.raises(SentinelBudgetExceeded, match="per session 'run'"), session("child", limits=Limit(usd=1)):
            pre_flight("gpt-4o", 1000, 500)
        with pytest.raises(ZeroDivisionError), session("child"):
            raise ZeroDivisionError


def test_the_sdk_of_a_child_that_ended_sends_nothing_more(tmp_path):
    leave_nobody()
    agent_fuse.init(budget="0.01", db_path=str(tmp_path / "l.db"))
    with LoopbackProvider() as provider:
        client = openai.OpenAI(base_url=provider.openai_base_url, api_key="x", max_retries=0)

        def ask():
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=90)

        with session("run", on_child_trip="end"):
            with session("child", budget="20%") as child:
                while True:
                    ask()
            sent = len(provider.served)
            assert child.trip is not None
            assert 0 < sent < 20
            ask()
            assert len(provider.served) == sent + 1
    leave_nobody()


def test_a_word_that_is_none_of_those(box):
    box(budget=1)
    with pytest.raises(ConfigurationError, match="session on_child_trip is 'stop'; it must be 'raise' or 'end'"):
        session("run", on_child_trip="stop")
