"""What a fuse tells its webhook: each trip, warning and pause; the same trip over and over once a minute."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from agent_fuse.accounting.call_request import Event
from agent_fuse.alert import Alert
from agent_fuse.calls import RefusedBy
from agent_fuse.fuse import Fuse
from agent_fuse.quoting.recent import Recent
from agent_fuse.seams import GOES_ON, quietly
from agent_fuse.webhook.messages import of_alert, of_trip, text_of
from agent_fuse.webhook.poster import POSTING, Poster
from agent_fuse.webhook_address import WebhookAddress

NOTE = "webhook/failed"
"""The ledger's note of the last failure, for `doctor`, which runs in another process."""

_REMEMBERED = 1_000
_SECONDS = 60.0
"""A limit that refuses all the time is told of so often, for each whose it is; so is a loop, for each session."""


class Announcer:
    """Turns what happens in a fuse into messages."""

    def __init__(
        self, fuse: Fuse, address: WebhookAddress, suppressed: Callable[[], AbstractContextManager[object]]
    ) -> None:
        self._ledger = fuse.ledger
        self._clock = fuse.clock
        self._host = address.host
        self._told: Recent[tuple[str, ...], tuple[float, int]] = Recent(_REMEMBERED)
        """When a trip was told of last (time.monotonic), and how many like it there were since."""
        self._poster = Poster(address, suppressed, self._failed)

    def refused(self, event: Event) -> None:
        """A listener of refusals."""
        trip = event.trip
        if trip is None:
            return
        by = event.entry.refused_by or RefusedBy()
        whose = (by.limit, by.value) if by.limit else (event.entry.session, event.entry.tool)
        key = (trip.reason, *whose)
        now = time.monotonic()
        last, more = self._told.get(key) or (0.0, 0)
        if last and now - last < _SECONDS:
            self._told.put(key, (last, more + 1))
            return
        self._told.put(key, (now, 0))
        message = of_trip(event, trip)
        if more:
            message |= {"text": text_of(trip.message, more=more), "more": more}
        self._poster.put(message)

    def warned(self, alert: Alert) -> None:
        """A listener of warnings and pauses."""
        self._poster.put(of_alert(alert, self._clock()))

    def _failed(self, why: str) -> None:
        """Note it for `doctor`; "" says that posts go through again."""
        now = self._clock()
        note = json.dumps({"at": now, "host": self._host, "why": why}).encode() if why else None
        quietly(POSTING, GOES_ON, lambda: self._ledger.update_note(NOTE, lambda _: (note, None), now=now))


def start(fuse: Fuse, address: WebhookAddress, suppressed: Callable[[], AbstractContextManager[object]]) -> None:
    """Have the fuse tell its webhook from now on."""
    teller = Announcer(fuse, address, suppressed)
    fuse.accounting.on_refused.add(teller.refused)
    fuse.alerts.on_alert.add(teller.warned)
