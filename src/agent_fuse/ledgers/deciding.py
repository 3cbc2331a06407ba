"""Changing what is in force for an account, on top of what others change at the same time."""

from collections.abc import Callable

from agent_fuse.ledgers.base import Ledger, LedgerError
from agent_fuse.ledgers.controls import Control, read_one

_TRIES = 1_000


def change(
    ledger: Ledger,
    account: str,
    how: Callable[[Control], Control],
    note: tuple[str, bytes] | None = None,
    *,
    now: float,
) -> Control:
    """Put in force what `how` makes of what is, with a note of it; what is in force then. What has ended goes.

    Raises:
        LedgerError: the ledger cannot do it, or others change it all the time.
    """
    for _ in range(_TRIES):
        before = ledger.controls((account,)).get(account)
        after = how(read_one(account, before)).in_force_at(now)
        written = after.written()
        if (written == before and note is None) or ledger.control(account, before, written, note, now=now):
            return after
    raise LedgerError("control", account, "others changed it all the time")
