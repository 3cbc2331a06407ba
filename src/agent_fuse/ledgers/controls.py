"""Controls: what a person has decided about accounts while agents run: stopped, or topped up."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
    """When it was decided, seconds, UTC epoch."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in force any more."""
        return not self.stopped and not self.top_ups


class Controls:
    """All that is in force in one ledger."""

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

    def written(self) -> str | None:
        """As text; None where nothing is in force."""
        found = [
            {
                "account": one.account,
                "stopped": one.stopped,
                "top_ups": [{"meter": more.meter, "amount": more.amount, "until": more.until} for more in one.top_ups],
                "who": one.who,
                "why": one.why,
                "at": one.at,
            }
            for one in self.by_account.values()
            if not one.is_idle
        ]
        return json.dumps(found) if found else None


@lru_cache(maxsize=16)
def read(text: str | None) -> Controls:
    """From text. What a later version wrote and this one cannot read is in force for nobody."""
    found = cast("list[object]", json.loads(text)) if text else []
    return Controls(_read(cast("dict[str, Any]", one)) for one in found if isinstance(one, dict))


def _read(found: Mapping[str, Any]) -> Control:
    meters = {one.value: one for one in Meter}
    return Control(
        account=str(found.get("account", "")),
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
