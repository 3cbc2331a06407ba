"""Notes in the ledger what this process cannot see, and when the ledger failed it: for who looks from another one."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from weakref import WeakKeyDictionary, WeakMethod

from opentelemetry.instrumentation.utils import suppress_instrumentation

from agent_fuse.accounting import process_notes
from agent_fuse.accounting.call_request import Event
from agent_fuse.accounting.process_notes import ProcessNote
from agent_fuse.errors import SentinelSystemError
from agent_fuse.fuse import Fuse
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.ledgers.fallback import FallbackLedger
from agent_fuse.ledgers.owners import this_process
from agent_fuse.ledgers.waiting import without_waiting
from agent_fuse.otel import active
from agent_fuse.otel.survey import blind_spots

_EVERY = 3_600.0
"""Seconds between two notes of the same: who reads them on another machine cannot ask whether we are still there."""


class Noting:
    """What one fuse's ledger is told of this process. Listens to its calls only where there is something to tell."""

    def __init__(self, fuse: Fuse) -> None:
        self._ledger, self._clock = fuse.ledger, fuse.clock
        self._account = WeakMethod(fuse.reentrancy.account)  # it knows its fuse, which is not to be kept
        self._failing = WeakMethod(fuse.accounting.retry.failing)
        self._failed_at, self._failed = 0.0, ""
        self._next, self._pid = 0.0, os.getpid()
        fuse.listen(self.heard)

    def changed(self) -> None:
        """There is something new: say so now, or at the next call where the ledger cannot take it."""
        self._next = 0.0
        self._do(self._tell)

    def failing(self, operation: str) -> None:
        """The ledger could not do this; it is told so once it can be."""
        self._failed_at, self._failed, self._next = self._clock(), operation, 0.0

    def heard(self, event: Event) -> None:
        """A call was booked or refused: the ledger is at work, unless it failed just now."""
        failing = self._failing()
        if isinstance(event.trip, SentinelSystemError) or (failing is not None and failing()):
            return
        if self._clock() >= self._next or os.getpid() != self._pid:
            self._tell()

    def ends(self) -> None:
        """This process guards no more."""
        self._do(self._forget)

    def _do(self, work: Callable[[], None]) -> None:
        account = self._account()
        if account is not None:
            account(work)

    def _tell(self) -> None:
        if isinstance(self._ledger, FallbackLedger) and self._ledger.owes():
            return  # what it is told now would be lost
        now, here = self._clock(), this_process()
        told = ProcessNote(
            host=here.host,
            pid=here.pid,
            started=here.started,
            program=Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python",
            at=now,
            spots=tuple((one.what, one.fix) for one in blind_spots()),
            failed_at=self._failed_at,
            failed=self._failed,
        )
        try:
            with suppress_instrumentation():
                without_waiting(lambda: process_notes.tell(self._ledger, told, now=now))
        except LedgerError:
            return  # the calls tell of a broken ledger; this is told at the next one that it takes
        self._next, self._pid = now + _EVERY, here.pid

    def _forget(self) -> None:
        try:
            with suppress_instrumentation():
                process_notes.forget(self._ledger, this_process(), now=self._clock())
        except LedgerError:
            return  # it dies out


_those: "WeakKeyDictionary[Fuse, Noting]" = WeakKeyDictionary()


def changed() -> None:
    """Something is found blind in this process: the ledgers of all its guards are told."""
    for one in _of_guards():
        one.changed()


def failed(fuse: Fuse, operation: str) -> None:
    """A fuse's ledger could not do this."""
    _of(fuse).failing(operation)


def ends(fuse: Fuse) -> None:
    """A fuse guards no more."""
    if fuse in _those:
        _those.pop(fuse).ends()


def _of_guards() -> Iterator[Noting]:
    for fuse in dict.fromkeys(guard.fuse for guard in active.guards()):
        yield _of(fuse)


def _of(fuse: Fuse) -> Noting:
    if fuse not in _those:
        _those[fuse] = Noting(fuse)
    return _those[fuse]
