"""What must be true of the books after a storm of interrupts, cancellations or kills."""

from collections import Counter

from agent_fuse.calls import Entry, Status
from agent_fuse.ledgers.base import Ledger
from agent_fuse.testing import LoopbackProvider, assert_books_balance


def assert_served_once(provider: LoopbackProvider, ledger: Ledger, *, broken_off: int) -> list[Entry]:
    """Every request that was served is in the journal once, and nothing is held.

    A request that was broken off before its answer was read is booked without the answer's id, also where it never
    reached the provider; there is at most one such line for each of the `broken_off`.
    """
    assert [one.entry.id for one in ledger.holds()] == []
    booked = [one for one in ledger.journal() if one.status is not Status.REFUSED and one.provider == "openai"]
    known = Counter(one.response_id for one in booked if one.response_id)
    assert [one for one, times in known.items() if times > 1] == []
    served = {one.response_id for one in provider.served}
    assert set(known) <= served
    nameless = sum(not one.response_id for one in booked)
    assert len(served - set(known)) <= nameless <= broken_off
    assert_books_balance(ledger)
    return booked
