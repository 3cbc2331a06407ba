"""Judging: whether an account's figures leave room under a cap."""

from collections.abc import Callable, Iterable, Sequence

from agent_fuse.account_names import rolling
from agent_fuse.ledgers.base import AMOUNTS, Cap, Meter, Place, Refusal, Stop
from agent_fuse.ledgers.codec import NO_ACCOUNT, NOTHING, PLACE, SINCE, WIDTH, Account, Figures
from agent_fuse.ledgers.controls import NONE, Controls

_USD = PLACE[Meter.USD]
CALLS = PLACE[Meter.CALLS]

Buckets = Callable[[str], Iterable[tuple[str, Sequence[int]]]]
"""An account's buckets, the oldest first: the interval, and what was settled in it."""


def short(
    cap: Cap,
    account: Account | None,
    asked: Figures | None,
    mine: Figures = NOTHING,
    *,
    now: float,
    buckets: Buckets,
    controls: Controls = NONE,
    stands: Place | None = None,
) -> Refusal | None:
    """Why a cap does not admit a call; None where it does.

    Args:
        account: the row of the cap's account, as it stands at `now`; None where there is none.
        asked: what the call asks of it; None where it only asks whether anything is left.
        mine: what the call holds on it already.
        controls: what is in force for the account: the cap may be topped up, and others wait for room under it.
        stands: where the call stands among those.
    """
    row = account or NO_ACCOUNT
    extra = controls.topped_up(cap.account, cap.meter, now)
    match cap.meter:
        case Meter.SECONDS:
            passed = max(int(now - row[SINCE]), 0) if row[SINCE] else 0
            return Refusal(cap, passed, 0, 0, extra=extra) if passed >= cap.amount + extra else None
        case Meter.CONCURRENT:
            settled, place = 0, CALLS
        case _:
            place = PLACE[cap.meter]
            settled = row[place]
    ahead = controls.ahead(cap, stands, now)
    held = row[WIDTH + place] - mine[place] + ahead
    requested = 0 if asked is None else asked[place]
    amount = cap.amount - cap.kept + extra
    if settled + held + (requested if asked is not None else 1) <= amount:
        return None
    frees_at = None if requested > amount else _frees_at(cap, settled + held + requested - amount, buckets, now)
    return Refusal(cap, settled, held, requested, frees_at, extra, ahead)


def stopped(controls: Controls, accounts: Iterable[str]) -> Refusal | None:
    """The refusal of a call on accounts of which one is stopped."""
    found = controls.stop(accounts)
    if found is None:
        return None
    return Refusal(Cap(found.account, Meter.CALLS, 0), 0, 0, 0, stop=Stop(who=found.who, why=found.why, at=found.at))


def _frees_at(cap: Cap, too_much: int, buckets: Buckets, now: float) -> float | None:
    window = rolling(cap.account) if cap.meter in AMOUNTS else None
    if window is None:
        return None
    too_much = max(too_much, 1)
    for interval, settled in buckets(cap.account):
        leaves = window.leaves(interval)
        if leaves <= now:
            continue  # what only reads does not drop what has left
        too_much -= settled[PLACE[cap.meter]]
        if too_much <= 0:
            return leaves
    return None


def used_usd(row: Account | None) -> int:
    """Settled and held nano-dollars of an account's row."""
    return int(row[_USD] + row[WIDTH + _USD]) if row else 0


def beside(mine: Figures, kept: int) -> Figures:
    """What a call holds on an account, for whoever takes what others hold to be the rest: fences are others'."""
    return (mine[0] - kept, *mine[1:]) if kept else mine


def used_after(
    row_of: Callable[[str], Account | None], asked: Figures, on: Iterable[str], mine: Figures, held_on: Iterable[str]
) -> Callable[[str], int]:
    """What accounts will have settled and held when a call is held `on` some, instead of what it holds already."""
    more, less = frozenset(on), frozenset(held_on)

    def used(name: str) -> int:
        return used_usd(row_of(name)) + asked[_USD] * (name in more) - mine[_USD] * (name in less)

    return used


def used_now(row_of: Callable[[str], Account | None]) -> Callable[[str], int]:
    """The same where nothing is asked."""
    return used_after(row_of, NOTHING, (), NOTHING, ())
