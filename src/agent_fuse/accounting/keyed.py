"""Keyed limits whose key no call tells: their calls share one account, which few expect. Said once, and kept to ask."""

import logging
from collections.abc import Callable

from agent_fuse.account_names import is_nobodys
from agent_fuse.accounting.call_request import Event
from agent_fuse.ledgers.base import Meter
from agent_fuse.limits import Limit, keys_of

log = logging.getLogger("agent_fuse")


class KeyWatch:
    """Listens to what is booked and refused, and knows which keys have never had a value in this process."""

    def __init__(self) -> None:
        self.on_absent: Callable[[], None] | None = None
        """Told when another key is missed."""
        self._seen: set[str] = set()
        self._absent: dict[str, Limit] = {}

    def met(self, event: Event) -> None:
        """A call met its limits."""
        if not event.due.keyed:
            return
        for cap, limit in zip(event.due.caps, event.due.limits, strict=True):
            if limit.key in self._seen or not keys_of((limit,)):
                continue
            if (limit.meter is Meter.TOOL_CALLS) is not bool(event.entry.tool):
                continue  # a tool action has no model, and need not have one
            if not is_nobodys(cap.account):
                self._seen.add(limit.key)
                self._absent.pop(limit.key, None)
            elif limit.key not in self._absent:
                self._absent[limit.key] = limit
                log.warning("%s; %s", missing(limit), how(limit))
                if self.on_absent is not None:
                    self.on_absent()

    def absent(self) -> tuple[Limit, ...]:
        """Limits whose key no call of this process has told so far."""
        return tuple(self._absent.values())


def missing(limit: Limit) -> str:
    """What is wrong, in words."""
    return (
        f"the limit of {limit}: no call has told its {' and '.join(limit.keys)} yet, so all its calls share one account"
    )


def how(limit: Limit) -> str:
    """How to tell the key."""
    said = ", ".join("user_id=…" if key == "user.id" else f'attributes={{"{key}": …}}' for key in limit.keys)
    return f"tell it with agent_fuse.session(…, {said}), in baggage, or on a span around the call (docs/keys.md)"
