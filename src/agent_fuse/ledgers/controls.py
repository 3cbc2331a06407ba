"""Controls: what a person has decided about accounts while agents run: stopped, or topped up."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, cast

from agent_fuse.account_names import plain
from agent_fuse.ledgers.base import AMOUNTS, Meter


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """So much more on one meter of an account."""

    meter: Meter
    amount: int
    """Nano-dollars for usd, else a count."""
    until: float | None = None
    """Seconds, UTC epoch; None is for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What is in force for one account, and who decided it last."""

    account: str
    """`all`, `session=run-1`, `user.id=ann`; holds for its windows too."""
    stopped: bool = False
    top_ups: tuple[TopUp, ...] = field(default=())
    who: str = ""
    why: str = ""
    at: float = 0.0
    """Seconds, UTC epoch."""

    def in_force_at(self, now: float) -> "Control":
        """What of it is still in force: without top-ups that have ended, those for good one for each meter."""
        lasting: dict[Meter, int] = {}
        for more in self.top_ups:
            if more.until is None:
                lasting[more.meter] = lasting.get(more.meter, 0) + more.amount
        top_ups = [TopUp(meter=meter, amount=amount) for meter, amount in lasting.items()]
        ending = [more for more in self.top_ups if more.until is not None and more.until > now]
        return replace(self, top_ups=(*top_ups, *ending))

    def written(self) -> str | None:
        """As text; None where nothing is in force any more."""
        if not self.stopped and not self.top_ups:
            return None
        top_ups = [{"meter": more.meter, "amount": more.amount, "until": more.until} for more in self.top_ups]
        said = {"stopped": self.stopped, "top_ups": top_ups, "who": self.who, "why": self.why, "at": self.at}
        return json.dumps(said)


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
        if found is None or meter not in AMOUNTS:
            return 0
        return sum(one.amount for one in found.top_ups if one.meter is meter and (one.until is None or now < one.until))


NONE = Controls()


def read(texts: Mapping[str, str]) -> Controls:
    """From texts by account. What a later version wrote and this one cannot read is in force for nobody."""
    return Controls(map(read_one, texts, texts.values())) if texts else NONE


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
        who=str(found.get("who", "")),
        why=str(found.get("why", "")),
        at=float(found.get("at", 0.0)),
    )
