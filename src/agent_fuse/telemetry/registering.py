"""Registering: makes the instruments of the table at a meter, and notices when a provider takes them."""

from collections.abc import Callable, Iterable, Sequence
from typing import overload

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from agent_fuse.telemetry import instruments as table
from agent_fuse.telemetry.instruments import Instrument, InstrumentKind

Callback = Callable[[CallbackOptions], Iterable[Observation]]


class _Callbacks(Sequence[Callback]):
    """One callback, and a word to `taken` when a provider takes it: the API's stand-ins for a missing one do not."""

    def __init__(self, taken: Callable[[], None], callback: Callback) -> None:
        self._taken = taken
        self._callback = callback

    def __len__(self) -> int:
        return 1

    @overload
    def __getitem__(self, index: int) -> Callback: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Callback]: ...
    def __getitem__(self, index: int | slice) -> Callback | Sequence[Callback]:
        self._taken()
        return (self._callback,)[index]


def register(meter: Meter, callbacks: Iterable[tuple[Instrument, Callback]], taken: Callable[[], None]) -> Histogram:
    """Make every instrument; the histogram, the only one that is written to, comes back.

    Args:
        taken: called when a provider takes the callbacks, now, or when the user sets one later. Never, while there is
            none but the API's stand-ins.
    """
    for instrument, callback in callbacks:
        of = (instrument.name, _Callbacks(taken, callback), instrument.unit, instrument.meaning)
        match instrument.kind:
            case InstrumentKind.COUNTER:
                meter.create_observable_counter(*of)
            case InstrumentKind.UP_DOWN:
                meter.create_observable_up_down_counter(*of)
            case _:
                meter.create_observable_gauge(*of)
    one = table.DURATION
    return meter.create_histogram(one.name, one.unit, one.meaning, explicit_bucket_boundaries_advisory=table.SECONDS)
