"""Nothing leaves once refused: for every kind of call the provider receives no request, and the caller gets the trip."""

from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from agent_fuse import SentinelBudgetExceeded
from agent_fuse.calls import Entry, Status, to_nanos
from agent_fuse.ledgers.base import Amounts
from agent_fuse.testing import assert_books_balance

from .conftest import Rig
from .kinds import KINDS, Kind


def spend(rig: Rig, usd: str) -> None:
    """Book something on the session, as an earlier call would have."""
    entry = Entry(id="earlier", at=1.0, status=Status.SETTLED, session="test", cost=to_nanos(usd))
    rig.processor.fuse.ledger.settle(entry, ["all", "session=test"], Amounts(usd=to_nanos(usd), calls=1), now=1.0)


def assert_refused(rig: Rig, kind: Kind) -> None:
    with pytest.raises(SentinelBudgetExceeded) as caught:
        kind.call(rig.provider)
    assert rig.provider.count == 0, "a request left"
    assert caught.value.session == "test"
    assert rig.books.open_holds() == []
    assert len(rig.books.entries(Status.REFUSED)) >= 1
    assert_books_balance(rig.processor.fuse.ledger)
    for span in rig.spans():
        attributes: Any = span.attributes or {}
        if attributes.get("gen_ai.operation.name") in ("chat", "embeddings", "text_completion"):
            assert span.status.status_code is StatusCode.ERROR, span.name
            assert attributes.get("agent_fuse.refused.reason") == "budget", span.name
    assert len(rig.processor.gates.nodes) == 0, "a span was never ended"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_refused_when_the_budget_is_used_up(rig: Rig, kind: Kind) -> None:
    """With nothing left, no request leaves, whatever the kind of call."""
    rig.use(budget=1)
    spend(rig, "1")
    assert_refused(rig, kind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_refused_when_the_call_is_too_big(rig: Rig, kind: Kind) -> None:
    """With something left, but less than this very call is quoted at, no request leaves."""
    rig.use(budget="0.00000001")
    assert_refused(rig, kind)
