"""SDKs that have no gate of their own are stopped and booked on the wire, by a guard alone, with no span about them."""

import pytest

import agent_fuse
from agent_fuse import SentinelBudgetExceeded
from agent_fuse.calls import Status, Usage
from agent_fuse.testing import Reply

from .conftest import Rig
from .wire_kinds import CALLS, OLLAMA, gemini_embeddings

pytestmark = [
    pytest.mark.parametrize("wired", ["none"], indirect=True),
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),  # google-genai's
]

USED = Usage(input_tokens=1234, output_tokens=567)


@pytest.fixture(params=sorted(CALLS))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def test_nothing_leaves_with_the_budget_used_up(rig: Rig, kind: str) -> None:
    """The caller gets the trip, the provider nothing, and nothing stays held."""
    rig.use(budget="0.000000001", prices={OLLAMA: agent_fuse.Price(1, 1)})
    with pytest.raises(SentinelBudgetExceeded):
        CALLS[kind](rig.provider)
    assert rig.provider.requests == []
    assert rig.books.open_holds() == []
    assert [one.status for one in rig.books.entries()] == [Status.REFUSED]


def test_with_room_it_is_booked_by_what_the_answer_tells(rig: Rig, kind: str) -> None:
    """One request, one call, its usage to the token."""
    rig.use(budget="5")
    used = Usage(input_tokens=1234, output_tokens=0) if "embeddings" in kind else USED
    rig.provider.default = Reply(usage=used)
    CALLS[kind](rig.provider)
    assert rig.provider.count == 1
    (booked,) = rig.books.entries()
    assert booked.status is Status.SETTLED
    assert (booked.input_tokens, booked.output_tokens or 0) == (used.input_tokens, used.output_tokens)
    assert rig.books.open_holds() == []


def test_embeddings_without_usage_are_quoted_by_their_text(rig: Rig) -> None:
    """Gemini tells no usage with embeddings: the text is counted, and refused or booked by that."""
    rig.use(budget="0.000000001")
    with pytest.raises(SentinelBudgetExceeded):
        gemini_embeddings(rig.provider, "Hi", "ho")
    assert rig.provider.requests == []
    rig.use(budget="5", db_path="memory://")
    gemini_embeddings(rig.provider, "a lot of words " * 100)
    (booked,) = rig.books.entries()
    assert booked.status is Status.ESTIMATED
    assert 200 < (booked.input_tokens or 0) < 500
    assert booked.cost > 0
