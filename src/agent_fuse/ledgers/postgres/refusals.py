"""Why a call was not held, from the facts that the database gives with its answer."""

import json
from collections.abc import Iterable, Iterator, Sequence
from operator import sub

from agent_fuse.account_names import OF, booked_on, rolling
from agent_fuse.ledgers import codec
from agent_fuse.ledgers.base import Hold, Refusal, tightest
from agent_fuse.ledgers.codec import NOTHING, WIDTH, Account, Figures
from agent_fuse.ledgers.controls import Controls, Fence, kept_of, read_fences
from agent_fuse.ledgers.judging import beside, short, used_after
from agent_fuse.ledgers.postgres import rows


def tightest_of(hold: Hold, controls: Controls, now: float, facts: str) -> Refusal | None:
    """The refusal that binds; None where by these facts there is room.

    Args:
        facts: what `agent_fuse.facts` said.
    """
    told = json.loads(facts)
    asked: Figures = codec.figures_of(hold.amounts)
    on = {booked_on(name)[0] for name in hold.accounts}
    found = {one[0]: tuple(one[1:]) for one in map(rows.got, told["accounts"] or ())}
    gone = [rows.got(one) for one in told["buckets"] or ()]
    mine = told["mine"]
    standing: dict[str, list[Fence]] = {}
    fenced: dict[str, dict[str, Account]] = {}
    for name, fence, used in told["fences"] or ():
        (one,) = read_fences([fence])
        standing.setdefault(rows.unput(name), []).append(one)
        fenced.setdefault(rows.unput(name), {})[one.child] = (used, *NOTHING[1:], *NOTHING)
    held_on = set(map(rows.unput, mine[0])) if mine else set[str]()

    def buckets(name: str) -> Iterator[tuple[str, Sequence[int]]]:
        for account, bucket, *settled in gone:
            if account == name:
                yield bucket.partition(OF)[2], settled

    def kept(name: str) -> int:
        held = tuple(mine[1:]) if mine else NOTHING
        used = used_after(fenced.get(name, {}).get, asked, on, held, held_on)
        return kept_of(standing.get(name, ()), used, now)

    return tightest(
        short(
            cap,
            as_of(cap.account, found.get(cap.account), buckets(cap.account), now),
            asked if cap.account in on else NOTHING,
            beside(tuple(mine[1:]) if cap.account in held_on else NOTHING, kept(cap.account)),
            now=now,
            buckets=buckets,
            controls=controls,
            stands=hold.place,
        )
        for cap in hold.caps
    )


def as_of(
    name: str, account: Account | None, buckets: Iterable[tuple[str, Sequence[int]]], now: float
) -> Account | None:
    """An account as it stands, without what has left its rolling window."""
    window = rolling(name)
    if account is None or window is None:
        return account
    oldest = window.oldest(now)
    for interval, settled in buckets:
        if interval < oldest:
            account = (*map(sub, account[:WIDTH], settled), *account[WIDTH:])
    return account
