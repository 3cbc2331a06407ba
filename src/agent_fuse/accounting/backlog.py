"""The backlog: accounting that the ledger could not take, or that nobody waits for, written by one thread."""

import atexit
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from weakref import WeakSet

from agent_fuse.calls import Entry, show_usd
from agent_fuse.ledgers import forks
from agent_fuse.ledgers.base import Amounts, Ledger, LedgerError
from agent_fuse.ledgers.owed_entries import Owed
from agent_fuse.ledgers.turns import Nested, Turn
from agent_fuse.locks import RLock, begin
from agent_fuse.seams import GOES_ON, HELD_AT_QUOTE, fault, quietly

log = logging.getLogger("agent_fuse")

TRY_AGAIN_SECONDS = 1.0

_REMEMBERED = 10_000
"""Calls kept one by one; of more, the older half is summed into one line for each set of accounts."""

_REST = 1_000
_ROUNDS = 10
"""Times that a thread that stays looks again."""
_EXIT_SECONDS = 5.0


class Backlog:
    """Keeps within bounds what must not be lost, in order, and writes it once the ledger can take it.

    Args:
        inside: runs work as the fuse's own, so that a finaliser that comes in between waits.
    """

    _stays = 0
    """Times that the thread looks again though nothing waits."""

    def __init__(
        self, ledger: Ledger, clock: Callable[[], float], inside: Callable[[Callable[[], None]], None]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._inside = inside
        self._thread: threading.Thread | None = None
        self._renew()
        forks.watch(self)
        _all.add(self)

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._rest) or not self._owed.is_empty()

    def settle(self, entry: Entry, accounts: Sequence[str], amounts: Amounts, *, held: bool) -> None:
        """Book a call later, and free its hold if it has one."""
        with self._owed.lock:
            if held:
                self._owed.held_there.add(entry.id)
            self._owed.twin.settle(entry, accounts, amounts, now=self._clock())
            self._owed.came()

    def release(self, id: str) -> None:
        """Give a hold back later."""
        with self._owed.lock:
            self._owed.held_there.add(id)
            self._owed.give_back(id)

    def refuse(self, entry: Entry, accounts: Sequence[str]) -> None:
        """Write a refused call down later."""
        with self._owed.lock:
            self._owed.twin.refuse(entry, accounts, now=self._clock())
            self._owed.came()

    def do(self, work: Callable[[], object]) -> None:
        """Do `work` later; of very much, the oldest is forgotten. It raises LedgerError to be tried again."""
        self._rest.append(work)

    def start(self, *, soon: bool = False, stays: bool = False) -> None:
        """See to it that there is a thread that writes: after a while, or as soon as others let it.

        It ends when nothing waits; `stays`: some time later, since more is likely to come.
        """
        with self._lock:
            if stays:
                self._stays = _ROUNDS
            if soon:
                self._wake.set()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="agent_fuse backlog", daemon=True)
                with suppress(RuntimeError):  # the process ends: what waits is presumed spent by the next one
                    begin(self._thread)

    def flush(self) -> None:
        """Write what waits, now. Raises LedgerError."""
        try:
            with self._writing:
                self._inside(self._write)
        except (Nested, TimeoutError):
            return  # the thread is at it, and waits for others as long as it may

    def lost_usd(self) -> int:
        """Nano-dollars that wait."""
        return self._owed.usd()

    def before_fork(self) -> None:
        """Wait for the thread that is counting."""
        self._resting = self._owed.lock.acquire(timeout=_EXIT_SECONDS)

    def after_fork(self, *, child: bool) -> None:
        """What waits stays the parent's to write; a child has nothing."""
        if child:
            self._renew()
        elif self._resting:
            self._owed.lock.release()

    def _renew(self) -> None:
        self._owed = Owed(_REMEMBERED)
        self._rest: deque[Callable[[], object]] = deque(maxlen=_REST)
        self._lock = RLock()
        self._writing = Turn(lambda: _EXIT_SECONDS)
        self._wake = threading.Event()
        self._thread = None
        self._resting = False
        self._stays = 0
        self.failed = False
        """Whether the ledger was away: else it was only not waited for."""

    def _run(self) -> None:
        while True:
            self._wake.wait(TRY_AGAIN_SECONDS)
            self._wake.clear()
            try:
                self.flush()
            except LedgerError as failed:
                log.debug("%s; tried again in %g s", failed, TRY_AGAIN_SECONDS)
            except Exception as error:  # noqa: BLE001  the thread must not end while anything waits
                fault("booking what the ledger could not take", error, HELD_AT_QUOTE)
            with self._lock:
                if not self:
                    self._stays -= 1
                    if self._stays < 0:
                        self._stays, self._thread = 0, None
                        return

    def _write(self) -> None:
        owed, written = self._owed, 0
        while not owed.is_empty():
            written += owed.write(self._ledger, now=self._clock())
        owed.clear()
        while self._rest:
            work = self._rest[0]
            try:
                work()
            except LedgerError:
                raise
            except Exception as error:  # noqa: BLE001  it would fail again
                fault("doing what the ledger could not take", error, GOES_ON)
            self._rest.popleft()
        if written and self.failed:
            log.warning("the ledger is back: %d calls that waited are booked", written)
        self.failed = False


_all: "WeakSet[Backlog]" = WeakSet()


def _at_exit() -> None:
    for one in list(_all):
        if one:
            quietly("booking at exit", HELD_AT_QUOTE, _last_chance, one)


def _last_chance(one: Backlog) -> None:
    try:
        one.flush()
    except LedgerError as failed:
        lost = f", and {show_usd(one.lost_usd())} cannot be booked" if one.lost_usd() else ""
        log.error("%s; the process ends%s", failed, lost)  # noqa: TRY400


atexit.register(_at_exit)
