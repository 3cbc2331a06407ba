"""A fuse box for tests: a processor on a ledger of its own, at work in this process for one test."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PRICE = 7_500_000
"""Nano-dollars of 1,000 tokens in and 500 out of gpt-4o."""


@dataclass
class Box:
    """What a test looks at."""

    processor: Any
    books: Any

    @property
    def fuse(self) -> Any:
        return self.processor.fuse

    def entries(self) -> list[Any]:
        """Calls that were booked, oldest first; no tool actions."""
        return [one for one in self.books.entries() if not one.tool and one.status != "refused"]

    def entry(self) -> Any:
        """The only one, with nothing left open."""
        assert self.books.open_holds() == []
        (one,) = self.entries()
        return one

    def spent(self, session: str = "test") -> int:
        return self.books.spent(f"session={session}")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Callable[..., Box]]:
    """Makes a fuse box with these options; the newest one guards."""
    from agent_fuse import AgentFuseSpanProcessor
    from agent_fuse.otel.opening import open_fuse
    from agent_fuse.settings import settings
    from agent_fuse.testing import LedgerReader

    made: list[Box] = []
    fuses: list[Any] = []

    def make(*, clock: Any = None, **options: Any) -> Box:
        options.setdefault("db_path", str(tmp_path / f"ledger{len(made)}.db"))
        options.setdefault("session_id", "test")
        options.setdefault("busy_wait", 0)
        found = settings({}, **options)
        fuse = open_fuse(found, clock=clock) if clock is not None else open_fuse(found)
        fuses.append(fuse)
        made.append(Box(AgentFuseSpanProcessor(fuse=fuse), LedgerReader(fuse.ledger)))
        return made[-1]

    yield make
    for one, fuse in zip(made, fuses, strict=True):
        one.processor.shutdown()
        fuse.ledger.close()
        backlog = fuse.accounting.retry.backlog
        backlog._rest.clear()  # a ledger that is away may never be back
        if (writer := backlog._thread) is not None and not backlog:
            backlog._stays = 0  # it need not wait for more to come
            backlog._wake.set()
            writer.join()
