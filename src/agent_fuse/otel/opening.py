"""Opens the ledger that the settings name, and a fuse on it."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from weakref import ref

from opentelemetry.instrumentation.utils import suppress_instrumentation

from agent_fuse import prices
from agent_fuse.accounting.booking import Clock
from agent_fuse.accounting.call_request import Event
from agent_fuse.accounting.published_limits import LimitPublisher
from agent_fuse.calls import Entry
from agent_fuse.errors import SentinelSystemError
from agent_fuse.fuse import Fuse
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Ledger, LedgerError
from agent_fuse.ledgers.fallback import FallbackLedger
from agent_fuse.otel.blind import changed, on_change
from agent_fuse.seams import GOES_ON, quietly
from agent_fuse.settings import Settings

_watchers: tuple[Callable[[Fuse], None], ...] = ()


def on_open(watcher: Callable[[Fuse], None]) -> None:
    """Tell `watcher` of every fuse that this process opens from now on."""
    global _watchers
    _watchers = (*_watchers, watcher)


def _drop_fences(ledger: Ledger, now: float) -> None:
    """What processes that died kept for sessions, or waited for, is for everybody again."""
    if any('"fences"' in text or '"waiting"' in text for text in ledger.controls().values()):
        from agent_fuse.ring_fences import drop_dead  # noqa: PLC0415  few ledgers have any

        drop_dead(ledger, now)


def open_fuse(settings: Settings, *, clock: Clock = time.time) -> Fuse:
    """A fuse on the settings' ledger, holds of dead owners turned into presumed spend.

    Raises:
        ConfigurationError: the ladder of models to downgrade to leads up, or to one that may not be called.
        SentinelSystemError: the ledger cannot be opened, and fail_safe=True. With fail_safe=False calls are let go,
            counted in memory, and booked when the ledger is back.
    """
    ledger: Ledger
    presumed: list[Entry] = []
    if settings.downgrade:
        from agent_fuse.accounting import downgrading  # noqa: PLC0415  few have a ladder

        downgrading.check(settings)
    wait = settings.lock_timeout / (settings.max_retries + 1)

    def opened() -> Ledger:
        return open_ledger(settings.db_path, synchronous=settings.synchronous, lock_timeout=wait, lease=settings.lease)

    if not settings.fail_safe:
        ledger = FallbackLedger(opened)
    else:
        try:
            ledger = opened()
            presumed = ledger.sweep(now=clock())
            _drop_fences(ledger, clock())
        except LedgerError as failed:
            raise SentinelSystemError(
                f"AgentFuse cannot start: {failed}; mend the ledger, choose another db_path, or set fail_safe=False",
                operation="open",
                original_error=failed,
                retry_count=0,
            ) from failed
    quietly("reading the price data", GOES_ON, prices.load)  # some milliseconds that the first gate need not take
    fuse = Fuse(settings, ledger, clock=clock)
    fuse.presumed = tuple(presumed)
    poster = LimitPublisher(ledger, fuse.limits, clock)
    poster.post(now=clock())
    fuse.listen(poster.heard)
    fuse.accounting.on_refused.add(_write_down)
    fuse.keys.on_absent = changed
    on_change(_note_blind)
    fails = partial(_note_failure, ref(fuse))
    fuse.accounting.retry.on_error.add(fails)
    if isinstance(ledger, FallbackLedger):
        ledger.listen(lambda error: fails(error.operation))
    if settings.webhook is not None:
        from agent_fuse.webhook import telling  # noqa: PLC0415  few have one

        telling.start(fuse, settings.webhook, _unseen)
    for watcher in _watchers:
        watcher(fuse)
    return fuse


@contextmanager
def _unseen() -> Generator[None]:
    """What is sent inside is AgentFuse's own: nothing makes a span of it, and the wire gate does not judge it."""
    from agent_fuse.otel.request_gate import FLIGHT, Flight  # noqa: PLC0415  few have a webhook

    token = FLIGHT.set(Flight(""))
    try:
        with suppress_instrumentation():
            yield
    finally:
        FLIGHT.reset(token)


def _note_blind() -> None:
    from agent_fuse.otel import noting  # noqa: PLC0415  most processes see all

    noting.changed()


def _note_failure(of: "ref[Fuse]", operation: str) -> None:
    from agent_fuse.otel import noting  # noqa: PLC0415  most ledgers never fail

    fuse = of()
    if fuse is not None:
        noting.failed(fuse, operation)


def _write_down(event: Event) -> None:
    from agent_fuse.otel.refusal_log import record  # noqa: PLC0415  most runs meet no refusal

    if event.trip is not None:
        record(event, event.trip)
