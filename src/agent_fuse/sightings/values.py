"""A sighting: what one layer saw of a call; and a call, with everything that saw it (values only)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto
from math import inf
from typing import Generic, TypeVar

from agent_fuse.calls import Entry, Usage

P = TypeVar("P")


class Layer(IntEnum):
    """Where a call was seen; the outer layer is the greater one."""

    WIRE = 0
    REQUEST = 1
    CLIENT = 2
    FRAMEWORK = 3


class Outcome(Enum):
    """How one layer saw the call end."""

    DONE = auto()
    FAILED = auto()
    """It cannot have cost anything: refused connection, 4xx, 429, 5xx, a trip."""
    BROKEN = auto()
    """It may have cost something: a stream broken off, a cancelled task, no answer in time."""


class CallState(Enum):
    """How the money of a call stands."""

    OPEN = auto()
    ESTIMATED = auto()
    EXACT = auto()
    RELEASED = auto()


@dataclass(slots=True, eq=False)
class Sighting(Generic[P]):
    """One layer's view of a call."""

    call: "Call[P]"
    layer: Layer
    source: str
    """The instrumentation scope, or `request`."""
    started_at: float
    """Seconds, UTC epoch, real time."""
    kind: str = ""
    """What stands before a colon in its source."""
    number: int = 0
    """Which it is of all, in the order in which they began to be seen."""
    model: str = ""
    names: tuple[str, ...] = ()
    """The models it tells: that was asked for, that answered; bare, each once."""
    ended_at: float | None = None
    outcome: Outcome = Outcome.DONE
    unsure: bool = False
    """BROKEN by an error that tells nothing of a request."""
    followed: bool = False
    """Every request that it makes is seen by a gate: where none was, none was made."""
    usage: Usage | None = None
    estimate: Usage | None = None
    response_id: str = ""
    tier: str | None = None
    """The service tier that the answer says it was served at."""
    opened_by: int = 0
    """The thread that is opening it; 0 once whoever wanted it open has it in hand, and will close it."""
    on_booked: Callable[[Entry], None] | None = None
    """Told what the call was booked at, if this is the innermost layer that still sees it."""


@dataclass(slots=True, eq=False)
class Call(Generic[P]):
    """One call, with everything that saw it."""

    payload: P
    """What the fuse knows of its money."""
    sightings: list[Sighting[P]] = field(default_factory=list["Sighting[P]"])
    state: CallState = CallState.OPEN
    over: float = inf
    """When the last of them ended, seconds, UTC epoch; infinite while one is open."""
    told: Sighting[P] | None = None
    """The layer that was told what it cost. One layer, so that costs on spans add up."""

    def booked(self, entry: Entry) -> None:
        """Tell the innermost layer that still sees the call, and that layer only, also when it is corrected."""
        if self.told is None:
            for one in self.sightings:
                listens = one.ended_at is None and one.on_booked is not None
                if listens and (self.told is None or one.layer < self.told.layer):
                    self.told = one
        told = self.told
        if told is not None and told.ended_at is None and told.on_booked is not None and told in self.sightings:
            told.on_booked(entry)


@dataclass(frozen=True, slots=True)
class Book(Generic[P]):
    """Settle the call by `usage`: a figure that was reported (exact), one that was counted, or None for the quote."""

    call: Call[P]
    usage: Usage | None
    exact: bool
    seen: Sighting[P]


@dataclass(frozen=True, slots=True)
class Release(Generic[P]):
    """Give the call's hold back: it cost nothing, or it turned out to be a sighting of another call."""

    call: Call[P]
