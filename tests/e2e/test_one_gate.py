"""One gate: the same session is refused at the same place whatever others did, and what is believed to follow must."""

import traceback
from typing import Any

import httpx
import openai
import pytest

import agent_fuse
from agent_fuse import SentinelBudgetExceeded
from agent_fuse.calls import Status, Usage
from agent_fuse.testing import Reply

from .conftest import Rig
from .kinds import MESSAGES, MODEL

pytestmark = pytest.mark.parametrize("wired", ["openai"], indirect=True)


class RequestsOfItsOwn(openai.OpenAI):
    """A client that builds its requests past the SDK's own method, so that no request gate sees them."""

    def _build_request(self, options: Any, **kwargs: Any) -> httpx.Request:
        del kwargs
        return self._client.build_request(
            options.method,
            self._prepare_url(options.url),
            json=options.json_data,
            headers={"authorization": f"Bearer {self.api_key}"},
        )


def ask(client: openai.OpenAI) -> str:
    """Where the call was refused; empty when it was let go."""
    try:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=150)
    except SentinelBudgetExceeded as trip:
        files = [frame.filename for frame in traceback.extract_tb(trip.__traceback__)]
        return "request" if any(name.endswith("request_gate.py") for name in files) else "span"
    return ""


def test_a_session_is_refused_at_the_same_gate_whatever_others_did(rig: Rig) -> None:
    """Used up, A is refused by the gate that knows the body, before and after a call of B, and after one by hand."""
    rig.use(budget="0.01")
    client = openai.OpenAI(base_url=rig.provider.openai_base_url, api_key="x", max_retries=0)
    places = []
    with agent_fuse.session("A"):
        agent_fuse.post_flight(MODEL, 5000, 5000)
        places += [ask(client), ask(client)]
    with agent_fuse.session("B"):
        assert ask(client) == ""
    with agent_fuse.session("A"):
        places.append(ask(client))
        with pytest.raises(SentinelBudgetExceeded):
            agent_fuse.pre_flight(MODEL, 10, 10)
        places.append(ask(client))
    assert places == ["request"] * 4
    assert rig.provider.count == 1


def test_where_no_exact_gate_follows_the_span_holds_from_the_second_call_on(rig: Rig, caplog: Any) -> None:
    """The first call is booked at its answer, and said; the budget admits what it can pay for and nothing more."""
    rig.use(budget="0.003", wire_gate=False)
    rig.provider.default = Reply(usage=Usage(input_tokens=100, output_tokens=100))
    client = RequestsOfItsOwn(base_url=rig.provider.openai_base_url, api_key="x", max_retries=0)
    answers = [ask(client) for _ in range(8)]
    # $0.00125 each, quoted at $0.0015 and a little: the first is held by nobody, the second by its span.
    assert answers[:2] == ["", ""]
    assert set(answers[2:]) == {"span"}
    assert rig.provider.count == 2
    assert [one.status for one in rig.books.entries() if one.status is not Status.REFUSED] == [Status.SETTLED] * 2
    assert "passed no request gate" in caplog.text
    assert rig.books.open_holds() == []
