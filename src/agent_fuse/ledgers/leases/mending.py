"""Booking calls one by one, where one of them cannot be written and all would wait for it."""

import logging
from collections.abc import Sequence

from agent_fuse.calls import Entry
from agent_fuse.ledgers.base import Ledger, Unwritable
from agent_fuse.ledgers.leases.base import LeasedCall

_log = logging.getLogger("agent_fuse")


def book_alone(ledger: Ledger, lines: Sequence[LeasedCall], now: float) -> None:
    """Book each; one whose texts cannot be written is booked without them, for what was spent was spent.

    Raises:
        LedgerError: the ledger cannot answer.
    """
    for line in lines:
        try:
            ledger.settle(line.entry, line.accounts, line.amounts, now=now)
        except Unwritable as bad:
            _log.warning("agent_fuse: a call was booked without its texts: %s", bad)
            one = line.entry
            plain = Entry(
                id=one.id,
                at=one.at,
                status=one.status,
                cost=one.cost,
                fee=one.fee,
                input_tokens=one.input_tokens,
                output_tokens=one.output_tokens,
            )
            ledger.settle(plain, line.accounts, line.amounts, now=now)
