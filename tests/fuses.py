"""A fuse alone, for tests of the path of a call: on a ledger in memory that remembers what it was asked."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from agent_fuse.accounting import waits
from agent_fuse.accounting.call_request import CallRequest, Event
from agent_fuse.fuse import Fuse, Seen
from agent_fuse.ledgers.memory import MemoryLedger
from agent_fuse.limits import Caller, Session
from agent_fuse.otel.opening import open_fuse
from agent_fuse.settings import settings
from agent_fuse.sightings import Layer
from agent_fuse.testing import FakeClock, LedgerReader

PRICE = 7_500_000
"""Nano-dollars of gpt-4o with 1,000 tokens in and 500 out."""


class Desk:
    """A fuse with its ledger, and what both were asked and told."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock(1_800_000_000.0)
        self.fuse: Fuse = open_fuse(
            settings({}, **{"db_path": "memory://", "session_id": "s", "busy_wait": 0, **options}), clock=self.clock
        )
        assert isinstance(self.fuse.ledger, MemoryLedger)
        self.ledger = self.fuse.ledger
        self.books = LedgerReader(self.ledger)
        self.asked: Counter[str] = Counter()
        self.before: dict[str, Callable[[], None]] = {}
        """Run inside the ledger, in the middle of a piece of fuse work."""
        self.events: list[Event] = []
        self.slept: list[float] = []
        """Its waits, seconds."""
        self.meanwhile: Callable[[Desk], object] = lambda _: None
        self.fuse.listen(self.events.append)
        for name in ("reserve", "settle", "release", "refuse", "balances", "used_up", "update_note"):
            setattr(self.ledger, name, self._watched(name, getattr(self.ledger, name)))

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.asked[name] += 1
            work = self.before.pop(name, None)
            if work is not None:
                work()
            return real(*args, **kwargs)

        return call

    def sleeping(self, monkeypatch: pytest.MonkeyPatch) -> "Desk":
        """Itself; from now on waits move its clock and take no time. `meanwhile` runs in each."""

        def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            self.clock.advance(seconds)
            self.meanwhile(self)

        monkeypatch.setattr(waits.time, "sleep", sleep)
        return self

    def ask(self, session: str = "s", **facts: Any) -> CallRequest:
        """A call of gpt-4o quoted at PRICE, unless these facts say otherwise."""
        limits = facts.pop("limits", ())
        given: dict[str, Any] = {
            "layer": Layer.CLIENT,
            "source": "openai",
            "caller": Caller(session=Session(id=session, limits=limits)),
            "model": "gpt-4o",
            "estimate": (1000, 500),
        }
        return CallRequest(**{**given, **facts})

    def open(self, session: str = "s", *, around: Any = (), **facts: Any) -> Seen:
        return self.fuse.open_call(self.ask(session, **facts), around)

    def spent(self, account: str = "session=s") -> int:
        return self.books.spent(account)

    def held(self, account: str = "session=s") -> int:
        return self.ledger.balances([account])[account].held.usd

    def statuses(self) -> list[str]:
        return [str(one.status) for one in self.books.entries()]
