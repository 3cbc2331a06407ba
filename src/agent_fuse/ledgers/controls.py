"""Controls: what is in force for accounts while agents run: stopped, topped up, kept for some, waited for by others."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, cast

from agent_fuse.account_names import plain
from agent_fuse.ledgers.base import Cap, Ledger, LedgerError, Meter, Place

FARTHEST = 10.0
"""Seconds that whoever waits may be believed for at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """So much more on one meter of an account."""

    meter: Meter
    amount: int
    """Nano-dollars for usd, else a count."""
    until: float | None = None
    """Seconds, UTC epoch; None is for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """A slice of what an account may spend, kept for the calls of a session inside it.

    What is left of it, the slice without what the inner session's account has settled and held, counts as held there.
    So a call of that session takes from its slice what it puts on the account, in the step that holds it, and any other
    finds the account as full as if all were spent.
    """

    id: str
    child: str
    """The account that it is kept for."""
    amount: int
    """Nano-dollars, spent ones of the child included."""
    until: float
    """Seconds, UTC epoch, when it falls by itself."""
    host: str = ""
    """Whose process keeps it, with the two below (`owners.Owner`)."""
    pid: int = 0
    started: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """A call or a tool that waits for room under a cap: what it waits for is held, for those who come later."""

    since: float
    """When it began to wait, seconds, UTC epoch; with `id` its place."""
    id: str
    on: str
    """The cap's account, with its window."""
    meter: Meter
    amount: int
    until: float
    """When it waits no more unless it says so again: a process that was killed, or stands still, holds nobody up."""

    def waits_at(self, now: float) -> bool:
        """Whether it is to be believed. What is far ahead was written by a clock that is wrong."""
        return now < self.until <= now + FARTHEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What is in force for one account, and who decided it last."""

    account: str
    """`all`, `session=run-1`, `user.id=ann`; holds for its windows too."""
    stopped: bool = False
    top_ups: tuple[TopUp, ...] = field(default=())
    fences: tuple[Fence, ...] = field(default=())
    waiting: tuple[Waiter, ...] = field(default=())
    who: str = ""
    why: str = ""
    at: float = 0.0
    """Seconds, UTC epoch."""

    @property
    def is_decided(self) -> bool:
        """Whether any of it is more than who waits."""
        return self.stopped or bool(self.top_ups or self.fences)

    def in_force_at(self, now: float) -> "Control":
        """What of it is still in force: without what has ended, top-ups for good one for each meter."""
        lasting: dict[Meter, int] = {}
        for more in self.top_ups:
            if more.until is None:
                lasting[more.meter] = lasting.get(more.meter, 0) + more.amount
        top_ups = [TopUp(meter=meter, amount=amount) for meter, amount in lasting.items()]
        ending = [more for more in self.top_ups if more.until is not None and more.until > now]
        standing = tuple(one for one in self.fences if now < one.until)
        waiting = tuple(one for one in self.waiting if one.waits_at(now))
        return replace(self, top_ups=(*top_ups, *ending), fences=standing, waiting=waiting)

    def written(self) -> str | None:
        """As text; None where nothing is in force any more."""
        if not self.is_decided and not self.waiting:
            return None
        top_ups = [{"meter": more.meter, "amount": more.amount, "until": more.until} for more in self.top_ups]
        said: dict[str, Any] = {
            "stopped": self.stopped,
            "top_ups": top_ups,
            "who": self.who,
            "why": self.why,
            "at": self.at,
        }
        if self.fences:
            said["fences"] = [asdict(one) for one in self.fences]
        if self.waiting:
            said["waiting"] = [asdict(one) for one in self.waiting]
        return json.dumps(said)


def kept_of(those: Iterable[Fence], used: Callable[[str], int], now: float) -> int:
    """Nano-dollars that are left of these fences; `used` tells what a child's account has settled and held."""
    most: dict[str, int] = {}
    for one in those:
        if now < one.until:
            most[one.child] = max(one.amount, most.get(one.child, 0))
    return sum(max(amount - used(child), 0) for child, amount in most.items())


class Controls:
    """What is in force, by account."""

    def __init__(self, those: Iterable[Control] = ()) -> None:
        self.by_account: Mapping[str, Control] = MappingProxyType({one.account: one for one in those})

    def stop(self, accounts: Iterable[str]) -> Control | None:
        """What stops a call on these accounts, if anything does."""
        for name in accounts:
            found = self.by_account.get(plain(name))
            if found is not None and found.stopped:
                return found
        return None

    def topped_up(self, account: str, meter: Meter, now: float) -> int:
        """What a cap on the account is raised by."""
        found = self.by_account.get(plain(account))
        if found is None:
            return 0
        return sum(one.amount for one in found.top_ups if one.meter is meter and (one.until is None or now < one.until))

    def ahead(self, cap: Cap, place: Place | None, now: float) -> int:
        """What others wait for under the cap who stand before this place."""
        found = self.by_account.get(plain(cap.account)) if place is not None else None
        if found is None or place is None:
            return 0
        return sum(
            one.amount
            for one in found.waiting
            if one.on == cap.account and one.meter is cap.meter and (one.since, one.id) < place and one.waits_at(now)
        )

    def more_for(self, cap: Cap, place: Place | None, now: float) -> int:
        """What the cap is raised by, for a call at this place; below zero where those before it wait for more."""
        return self.topped_up(cap.account, cap.meter, now) - self.ahead(cap, place, now)

    def kept(self, account: str, used: Callable[[str], int], now: float, apart: Iterable[str] = ()) -> int:
        """Nano-dollars kept on the account for others; `used` tells what they have used, `apart` who is no other."""
        found = self.by_account.get(plain(account))
        if found is None or not found.fences:
            return 0
        mine = frozenset(apart)
        return kept_of((one for one in found.fences if one.child not in mine), used, now)

    def children(self) -> set[str]:
        """The accounts that anything is kept for."""
        return {fence.child for one in self.by_account.values() for fence in one.fences}


NONE = Controls()


def read(texts: Mapping[str, str]) -> Controls:
    """From texts by account. What a later version wrote and this one cannot read is in force for nobody."""
    return Controls(map(read_one, texts, texts.values())) if texts else NONE


def read_fences(said: object) -> tuple[Fence, ...]:
    """From JSON."""
    names = [one.name for one in fields(Fence)]
    found = (cast("dict[str, Any]", one) for one in cast("list[Any]", said or []))
    return tuple(Fence(**{name: one[name] for name in names if name in one}) for one in found)


def _read_waiting(said: object, meters: Mapping[str, Meter]) -> tuple[Waiter, ...]:
    names = [one.name for one in fields(Waiter)]
    found: list[Waiter] = []
    for one in cast("list[dict[str, Any]]", said or []):
        if one.get("meter") in meters:
            given: dict[str, Any] = {name: one[name] for name in names}
            given["meter"] = meters[one["meter"]]
            found.append(Waiter(**given))
    return tuple(found)


@lru_cache(maxsize=256)
def read_one(account: str, text: str | None) -> Control:
    """What is in force for one account; None is nothing."""
    found = cast("dict[str, Any]", json.loads(text)) if text else {}
    meters = {one.value: one for one in Meter}
    return Control(
        account=account,
        stopped=bool(found.get("stopped")),
        top_ups=tuple(
            TopUp(meter=meters[one["meter"]], amount=int(one["amount"]), until=one.get("until"))
            for one in cast("list[dict[str, Any]]", found.get("top_ups", []))
            if one.get("meter") in meters
        ),
        fences=read_fences(found.get("fences")),
        waiting=_read_waiting(found.get("waiting"), meters),
        who=str(found.get("who", "")),
        why=str(found.get("why", "")),
        at=float(found.get("at", 0.0)),
    )


def as_raised(ledger: Ledger, cap: Cap, now: float) -> int:
    """A cap's amount with what it was topped up by, which its own process asks for only where it comes to matter.

    Without it where the ledger cannot tell.
    """
    try:
        return cap.amount + read(ledger.controls((plain(cap.account),))).topped_up(cap.account, cap.meter, now)
    except LedgerError:
        return cap.amount
