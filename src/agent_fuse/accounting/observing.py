"""Observe mode: what a limit or the loop rule would have refused is written down, and told once in a while."""

import logging
import time
from dataclasses import replace

from agent_fuse.accounting.ledger_retry import LedgerRetry
from agent_fuse.calls import Entry, Status
from agent_fuse.errors import SentinelError
from agent_fuse.quoting.recent import Recent
from agent_fuse.refusals import refused_by

OBSERVING = "observing what would be refused"

_SECONDS = 60.0
"""One limit is told of so often at most; the journal has every call."""
_told: Recent[tuple[str, str, str], float] = Recent(1_000)

log = logging.getLogger("agent_fuse")


def write_down(retry: LedgerRetry, entry: Entry, trip: SentinelError) -> None:
    """A call, or a tool action, goes that would have been refused by this trip."""
    by = refused_by(trip)
    retry.refuse(replace(entry, status=Status.WOULD_REFUSE, reason=trip.reason, refused_by=by), ())
    key, now = (trip.reason, by.limit, by.value), time.monotonic()
    last = _told.get(key)
    if last is None or now - last >= _SECONDS:
        _told.put(key, now)
        log.warning("observe mode, let go: %s", trip.message)
