"""Every call with room is booked once, at exactly what the provider reported times the price."""

from typing import Any

import pytest
from genai_prices import Usage as PricedUsage
from genai_prices import calc_price

from agent_fuse.calls import Status, Usage
from agent_fuse.testing import Reply, Request, ToolCall, assert_books_balance

from .conftest import Rig
from .kinds import KINDS, Kind

TOLD = Usage(input_tokens=1117, output_tokens=233, cache_read_tokens=512, reasoning_tokens=100)
CLAUDE_TOLD = Usage(input_tokens=2117, output_tokens=233, cache_read_tokens=512, cache_write_tokens=300)
EMBEDDED = Usage(input_tokens=1117, output_tokens=0)


def usage_for(request: Request) -> Usage:
    if "embeddings" in request.path:
        return EMBEDDED
    return CLAUDE_TOLD if "messages" in request.path else TOLD


def price(model: str, usage: Usage) -> int:
    """What genai-prices asks for it, in nano-dollars, rounded up."""
    told = PricedUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
    nanos = calc_price(told, model, provider_id="anthropic" if "claude" in model else "openai").total_price * 10**9
    return int(nanos.to_integral_value("ROUND_CEILING"))


def script(kind: Kind) -> Any:
    def answer(request: Request) -> Reply:
        messages: Any = request.body.get("messages") or []
        asked = isinstance(request.body.get("tools"), list) and not any(m.get("role") == "tool" for m in messages)
        if kind.agent and asked:
            return Reply(tool_calls=(ToolCall(name="weather", arguments={"city": "Bergen"}),), usage=usage_for(request))
        return Reply(usage=usage_for(request))

    return answer


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_call_is_booked_once_and_exactly(rig: Rig, kind: Kind) -> None:
    """Spend is the reported usage at its price, once, with no open hold."""
    books = rig.use(budget=100, stream_usage=False)
    rig.provider.default = script(kind)
    result = kind.call(rig.provider)
    assert result is not None
    served = list(rig.provider.served)
    assert len(served) == (2 if kind.agent else kind.requests)
    entries = books.entries(Status.SETTLED, Status.ESTIMATED, Status.PRESUMED)
    models = [entry for entry in entries if entry.operation != "execute_tool"]
    assert len(models) == len(served), "a call was counted twice, or lost"
    assert books.open_holds() == []
    assert_books_balance(rig.processor.fuse.ledger)
    if kind.usage_told:
        assert {entry.status for entry in models} == {Status.SETTLED}
        assert books.spent("session=test") == sum(price(one.model, one.usage) for one in served)
    else:
        assert {entry.status for entry in models} == {Status.ESTIMATED}
        assert books.spent("session=test") > 0
