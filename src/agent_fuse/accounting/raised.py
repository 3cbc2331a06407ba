"""A cap as it stands: what it was raised by while agents run is asked of the ledger, where it comes to matter."""

from agent_fuse.account_names import plain
from agent_fuse.ledgers.base import Cap, Ledger, LedgerError
from agent_fuse.ledgers.controls import read


def as_raised(ledger: Ledger, cap: Cap, now: float) -> int:
    """The cap's amount with its top-ups; without them where the ledger cannot tell."""
    try:
        return cap.amount + read(ledger.controls((plain(cap.account),))).topped_up(cap.account, cap.meter, now)
    except LedgerError:
        return cap.amount
