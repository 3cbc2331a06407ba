"""A slice: what a worker may spend by itself, what calls hold of it, and what was spent and is not booked yet."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import add, sub

from agent_fuse.account_names import booked_on
from agent_fuse.calls import Entry
from agent_fuse.ledgers import codec
from agent_fuse.ledgers.base import Balance, Cap, Hold, Meter
from agent_fuse.ledgers.codec import NOTHING, PLACE, Figures
from agent_fuse.ledgers.leases.base import LeasedCall
from agent_fuse.ledgers.leases.sizes import Sizes
from agent_fuse.locks import Lock

Key = tuple[tuple[str, ...], tuple[tuple[str, str, int], ...]]
"""The accounts of a call, without buckets, and its caps: account, meter, what is for this call."""

_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Opened:
    """A call that holds some of a slice."""

    hold: Hold
    figures: Figures
    since: float
    """Monotonic seconds."""


def key_of(hold: Hold) -> Key | None:
    """Which slice a call may be taken from; None where none can tell whether it fits.

    Calls at once and seconds since the first are no amounts that could be parted, a cap on another account is judged by
    figures that others change, and a call that outlives its process is nobody's to lease for.
    """
    if not hold.caps or hold.outlives:
        return None
    names = tuple(dict.fromkeys(booked_on(name)[0] for name in hold.accounts))
    if any(cap.meter not in PLACE or cap.account not in names for cap in hold.caps):
        return None
    figures: Figures = codec.figures_of(hold.amounts)
    if min(figures) < 0 or max(figures) > _LARGEST:
        return None
    return names, tuple((cap.account, cap.meter.value, cap.amount - cap.kept) for cap in hold.caps)


@dataclass(slots=True)
class Snapshot:
    """What a step carries over."""

    lines: list[LeasedCall]
    opened: list[Opened]
    """Calls that leave the slice."""
    kept: Figures
    """Held by those that stay."""


@dataclass(slots=True)
class Slice:
    """One slice. `lock` is held for moments; `stepping` while the ledger is asked."""

    key: Key
    caps: tuple[Cap, ...]
    accounts: tuple[str, ...]
    """As the last call named them, with buckets."""
    names: list[str] = field(default_factory=list[str])
    """Names that it is held under in the ledger, or may be."""
    unsure: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    """Names of steps that failed, which the server may yet do, and when, monotonic seconds."""
    lock: threading.Lock = field(default_factory=Lock)
    stepping: threading.Lock = field(default_factory=Lock)
    sizes: Sizes = field(default_factory=Sizes)
    maybe: set[str] = field(default_factory=set[str])
    """Open calls that may be holds of their own by now: the answer to the step was lost."""
    used_at: float = 0.0
    """Monotonic seconds."""
    stepped_at: float = 0.0
    cold_until: float = 0.0
    """There was no room for a slice: until then calls go one by one."""
    _places: frozenset[int] = frozenset()
    _left: Figures = NOTHING
    _until: float = 0.0
    _opened: dict[str, Opened] = field(default_factory=dict[str, Opened])
    _leaving: set[str] = field(default_factory=set[str])
    _done: dict[str, LeasedCall] = field(default_factory=dict[str, LeasedCall])
    _base: Mapping[str, Balance] = field(default_factory=dict[str, Balance])
    _spent: Figures = NOTHING

    def __post_init__(self) -> None:
        self._places = frozenset(PLACE[cap.meter] for cap in self.caps)

    def fits(self, hold: Hold) -> bool:
        """Whether so much is left."""
        asked: Figures = codec.figures_of(hold.amounts)
        with self.lock:
            before = self._opened.get(hold.entry.id)
            change = asked if before is None else tuple(map(sub, asked, before.figures))
            return self._fits(change)

    def _fits(self, change: Figures) -> bool:
        return time.monotonic() < self._until and all(self._left[place] >= change[place] for place in self._places)

    def take(self, hold: Hold) -> bool:
        """Hold some of it for a call, in place of what the call holds already, if there is so much left."""
        asked: Figures = codec.figures_of(hold.amounts)
        with self.lock:
            at = time.monotonic()
            before = self._opened.get(hold.entry.id)
            change = asked if before is None else tuple(map(sub, asked, before.figures))
            if not self._fits(change):
                return False
            self._left = tuple(map(sub, self._left, change))
            self._opened[hold.entry.id] = Opened(hold, asked, at if before is None else before.since)
            self.used_at = at
            self.accounts = hold.accounts
        return True

    def has_left(self, meter: Meter) -> bool:
        """Whether anything of a meter is left to be spent."""
        return time.monotonic() < self._until and self._left[PLACE[meter]] > 0

    def finish(self, entry: Entry, line: LeasedCall) -> bool:
        """A call that holds some of it is over: whether it was one."""
        with self.lock:
            found = None if entry.id in self._leaving else self._opened.pop(entry.id, None)
            if found is None:
                return False
            spent: Figures = codec.figures_of(line.amounts)
            self._left = tuple(map(add, self._left, map(sub, found.figures, spent)))
            self._spent = tuple(map(add, self._spent, spent))
            self._done[entry.id] = LeasedCall(entry, found.hold.accounts, line.amounts)
        return True

    def drop(self, call: str) -> bool:
        """A call that holds some of it did not happen: whether it was one."""
        with self.lock:
            found = None if call in self._leaving else self._opened.pop(call, None)
            if found is None:
                return False
            self._left = tuple(map(add, self._left, found.figures))
        return True

    def waiting(self) -> int:
        """Lines that are not booked yet."""
        return len(self._done)

    def is_empty(self) -> bool:
        """Whether there is nothing that a step would change."""
        return not (self._opened or self._done or self.names)

    def has_any(self) -> bool:
        """Whether anything of it is left that could be given back."""
        return time.monotonic() < self._until and any(self._left[PLACE[cap.meter]] > 0 for cap in self.caps)

    def balance(self, name: str) -> Balance:
        """An account as it stands as far as is known here."""
        with self.lock:
            held = NOTHING
            for one in self._opened.values():
                held = tuple(map(add, held, one.figures))
            found, spent = self._base.get(name, Balance()), self._spent
        return Balance(
            codec.amounts(tuple(map(add, codec.figures_of(found.settled), spent))),
            codec.amounts(tuple(map(add, codec.figures_of(found.held), held))),
            found.refused,
            found.since,
        )

    def carry_over(self, since: float) -> Snapshot:
        """Nothing more is taken from it; calls that are open since before then are to leave it."""
        with self.lock:
            self._until = 0.0
            self._leaving = {call for call, one in self._opened.items() if one.since <= since}
            kept = NOTHING
            for call, one in self._opened.items():
                if call not in self._leaving:
                    kept = tuple(map(add, kept, one.figures))
            return Snapshot(list(self._done.values()), [self._opened[call] for call in self._leaving], kept)

    def renew(self, carried: Snapshot, beyond: Figures, until: float, base: Mapping[str, Balance]) -> None:
        """It was held anew: what is `beyond` is left, and what calls that ended meanwhile held and did not spend."""
        with self.lock:
            for line in carried.lines:
                self._done.pop(line.entry.id, None)
            for call in self._leaving:
                self._opened.pop(call, None)
            self.maybe &= self._opened.keys()
            self._leaving = set()
            open_now = spent = NOTHING
            for one in self._opened.values():
                open_now = tuple(map(add, open_now, one.figures))
            for line in self._done.values():
                spent = tuple(map(add, spent, codec.figures_of(line.amounts)))
            self._left = tuple(
                kept + more - still - gone
                for kept, more, still, gone in zip(carried.kept, beyond, open_now, spent, strict=True)
            )
            self._spent = spent
            whole = tuple(map(add, carried.kept, beyond))
            self._base = {name: _without(one, whole) for name, one in base.items()}
            self._until = until

    def stay(self) -> None:
        """The step failed, or nobody knows: nothing is taken until one is done, and no call has left."""
        with self.lock:
            self.maybe |= self._leaving
            self._leaving = set()


def _without(one: Balance, whole: Sequence[int]) -> Balance:
    held = tuple(map(sub, codec.figures_of(one.held), whole))
    return Balance(one.settled, codec.amounts(held), one.refused, one.since)
