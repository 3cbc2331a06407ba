"""The tier at which an answer was served, told by a header alone: Bedrock's InvokeModel, Gemini."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from agent_fuse import init
from alone import leave_nobody

from .hosts import Asked, Told, host

NOVA = {"usage": {"inputTokens": 1000, "outputTokens": 100}}
GEMINI = {
    "candidates": [{"finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 100},
}


def answer(asked: Asked) -> Told:
    """At the tier that it is asked to name."""
    whole, header = (NOVA, "X-Amzn-Bedrock-Service-Tier") if "nova" in asked.path else (GEMINI, "x-gemini-service-tier")
    tier = asked.headers.get("tier")
    return Told(whole, headers={header: tier} if tier else {})


@pytest.fixture
def url() -> Iterator[str]:
    leave_nobody()
    with host(answer) as (at, _):
        yield at


@pytest.mark.parametrize(
    ("path", "tier", "cost"),
    [
        ("/model/amazon.nova-pro-v1:0/invoke", None, 1_120_000),
        ("/model/amazon.nova-pro-v1:0/invoke", "flex", 560_000),
        ("/model/amazon.nova-pro-v1:0/invoke", "priority", 1_960_000),
        ("/v1beta/models/gemini-3.5-flash:generateContent", None, 2_400_000),
        ("/v1beta/models/gemini-3.5-flash:generateContent", "FLEX", 1_200_000),
        ("/v1beta/models/gemini-3.5-flash:generateContent", "priority", 4_320_000),
    ],
)
def test_a_header_tells_the_tier(url: str, tmp_path: Any, path: str, tier: str | None, cost: int) -> None:
    """Whatever was asked for; without one it is the standard's."""
    fuse = init(budget=1, db_path=str(tmp_path / "ledger.db")).fuse
    asked = {"messages": [{"role": "user", "content": [{"text": "hi"}]}], "contents": [{"parts": [{"text": "hi"}]}]}
    httpx.post(url + path, json=asked, headers={"tier": tier} if tier else {})
    (entry,) = fuse.ledger.journal()
    assert entry.cost == cost
