"""Calls that the short way may take: what each asks of its accounts, and what several ask of them together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_fuse.account_names import ALL
from agent_fuse.ledgers import codec
from agent_fuse.ledgers.base import Cap, Hold
from agent_fuse.ledgers.codec import METERS, Figures
from agent_fuse.ledgers.postgres import rows
from agent_fuse.ledgers.postgres.rows import Places

Share = dict[str, Any]
"""What is asked of one account, as `agent_fuse.reserve_together` reads it."""

_MOST = {meter: f"max_{meter}" for meter in ("concurrent", "seconds", *METERS)}


@dataclass(frozen=True, slots=True)
class Plain:
    """A new call."""

    hold: Hold
    line: dict[str, Any]
    shares: Sequence[Share]
    """In the order of the accounts."""
    now: float


@dataclass(frozen=True, slots=True)
class CallResult:
    """What became of a call: `held`, `booked`, `short`, `controlled` …; its accounts after it, and why not, as JSON."""

    state: str
    after: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])
    facts: str | None = None


def shares(hold: Hold, places: Places, asked: Figures) -> list[Share] | None:
    """What a call asks of its accounts; None where a cap is on another account."""
    each = dict(zip(METERS, asked, strict=True))
    found: dict[str, Share] = {}
    for name, seconds in zip(places.accounts, places.windows, strict=True):
        found[name] = {"name": name, "seconds": seconds, "capped": False, **each}
    for cap in hold.caps:
        share = found.get(rows.put(cap.account))
        if share is None:
            return None
        _cap(share, cap)
    return list(found.values())


def _cap(share: Share, cap: Cap) -> None:
    most, amount = _MOST[cap.meter], min(cap.amount - cap.kept, 2**63 - 1)
    share["capped"] = True
    share[most] = min(share.get(most, amount), amount)


def together(all_shares: Sequence[Sequence[Share]]) -> list[Share]:
    """What several calls ask of each account in all: a sum that fits under the lowest of their caps fits each."""
    if len(all_shares) == 1:
        return list(all_shares[0])
    found: dict[str, Share] = {}
    for share in (one for those in all_shares for one in those):
        so_far = found.get(share["name"])
        if so_far is None:
            found[share["name"]] = dict(share)
            continue
        for meter in METERS:
            so_far[meter] += share[meter]
        so_far["capped"] |= share["capped"]
        for most in _MOST.values():
            if most in share:
                so_far[most] = min(so_far.get(most, share[most]), share[most])
    return [found[name] for name in sorted(found)]


def after(asked: Sequence[Share], figures: Sequence[int]) -> Mapping[str, Sequence[int]]:
    """The accounts' figures by name, from all in a row. Of the account of everything only where it was judged."""
    width = codec.SINCE + 1
    parts = (figures[at : at + width] for at in range(0, len(figures), width))
    return {
        share["name"]: part for share, part in zip(asked, parts, strict=True) if share["name"] != ALL or share["capped"]
    }


def by_name(names: Sequence[str], figures: Sequence[int]) -> Mapping[str, Sequence[int]]:
    """The same of rows: of the account of everything they are a part."""
    width = codec.SINCE + 1
    return {name: figures[at * width : (at + 1) * width] for at, name in enumerate(names) if name != ALL}
