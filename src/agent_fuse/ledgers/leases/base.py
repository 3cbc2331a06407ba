"""The contract of a ledger that leases: one step books what was spent, gives a slice back and takes the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agent_fuse.calls import Entry
from agent_fuse.ledgers.base import Amounts, Balance, Hold, Ledger

PREFIX = "lease/"
"""Begins the names of holds that are slices."""


@dataclass(frozen=True, slots=True)
class LeasedCall:
    """A call that was spent out of a slice, and is to be booked on its accounts."""

    entry: Entry
    accounts: tuple[str, ...]
    amounts: Amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseStep:
    """What is done in one step, all or nothing."""

    before: Sequence[str]
    """Names that the slice until now may be held under; one that expired, and was presumed spent, is taken back."""
    ended: Entry
    """The journal line that takes it back."""
    lines: Sequence[LeasedCall] = ()
    opened: Sequence[Hold] = ()
    """Calls that leave the slice: each is a hold of its own from now on."""
    hold: Hold
    """The next slice: its amounts are those that calls hold of it already, which no cap is asked for any more."""
    unit: Amounts
    """One part of what is to be had beyond that, for calls to come."""
    most: int
    """Parts, at most."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The slice: so many parts beyond what calls hold already, and its accounts after the step."""

    parts: int
    balances: Mapping[str, Balance] = field(default_factory=dict[str, Balance])


class Lessor(Ledger, Protocol):
    """A ledger that leases."""

    def lease(self, step: LeaseStep, *, now: float) -> Taken:
        """Do the step, in one transaction.

        Parts are as many as fit under every cap: of what is left of it, its share by twice the slices on its account.
        Booking and holding are idempotent: a step may be done again, whether it was done or not.
        """
        ...
