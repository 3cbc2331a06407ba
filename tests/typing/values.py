"""What a type checker must see of the values and the errors. Checked by mypy and pyright, never run."""

from datetime import datetime
from decimal import Decimal
from typing import assert_type

from agent_fuse.calls import Usage, to_nanos, to_usd
from agent_fuse.errors import SentinelBudgetExceeded, SentinelError, SentinelLoopError, soften
from agent_fuse.ledgers.base import Hold, Ledger, Refusal, Reservation


def money() -> None:
    """Money is int inside and Decimal at the edge."""
    assert_type(to_nanos("5.00"), int)
    assert_type(to_usd(1), Decimal)
    assert_type(Usage().total_tokens, int)
    assert_type(Usage().input_tokens, int | None)


def trips(trip: SentinelError) -> None:
    """A trip narrows by class to its fields, and softening keeps it a trip."""
    assert_type(soften(trip), SentinelError)
    assert_type(trip.message, str)
    if isinstance(trip, SentinelBudgetExceeded):
        assert_type(trip.overage, Decimal)
        assert_type(trip.resets_at, datetime | None)
    if isinstance(trip, SentinelLoopError):
        assert_type(trip.call_count, int)


def books(ledger: Ledger, hold: Hold) -> None:
    """A reserve answers with one of two values that `match` tells apart, and a note's answer keeps its type."""
    answer = ledger.reserve(hold, now=0.0)
    match answer:
        case Reservation():
            assert_type(answer.id, str)
        case Refusal():
            assert_type(answer.held, int)
    assert_type(ledger.update_note("key", lambda note: (note, 3), now=0.0), int)
