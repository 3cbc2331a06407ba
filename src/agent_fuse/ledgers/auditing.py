"""Auditing: whether the accounts, the open calls and the journal of a ledger tell one story."""

from collections.abc import Iterator
from operator import add

from agent_fuse.account_names import ALL, OF, booked_on, rolling
from agent_fuse.calls import show_usd
from agent_fuse.ledgers import codec
from agent_fuse.ledgers.base import Meter
from agent_fuse.ledgers.codec import METERS, NOTHING, WIDTH, Figures
from agent_fuse.ledgers.copying import pages
from agent_fuse.ledgers.keeping import ACCOUNTS, WholeLedger

_BOOKED = "status NOT IN ('refused', 'would_refuse')"
_TWICE = "SELECT id, COUNT(*) FROM journal GROUP BY id HAVING COUNT(*) > 1 ORDER BY id LIMIT 20"
_OPEN = f"SELECT id FROM holds WHERE id IN (SELECT id FROM journal WHERE {_BOOKED}) ORDER BY id LIMIT 20"  # noqa: S608
_HELD = f"SELECT accounts, {', '.join(f'hold_{one}' for one in METERS)} FROM holds"  # noqa: S608 - columns
_JOURNAL = f"SELECT COALESCE(CAST(SUM(cost) FILTER (WHERE {_BOOKED}) AS BIGINT), 0), MIN(at) FROM journal"  # noqa: S608


def audit(whole: WholeLedger, now: float) -> Iterator[str]:
    """What does not fit, a line each. A journal that was pruned fits as far as it goes."""
    for call, times in whole.ask(_TWICE):
        yield f"the journal has call {call} {times} times"
    for (call,) in whole.ask(_OPEN):
        yield f"call {call} is booked, and open still"
    late, first = whole.ask("SELECT COUNT(*), MIN(expires_at) FROM holds WHERE expires_at <= ?", (now,))[0]
    if late:
        calls = "1 call is" if late == 1 else f"{late} calls are"
        yield f"{calls} open past the time, by {now - first:,.0f} s at most: no fuse has swept since"
    yield from _of_accounts(whole)


def _of_accounts(whole: WholeLedger) -> Iterator[str]:
    held, buckets = _held(whole), dict[str, Figures]()
    windows = dict[str, Figures]()
    everything: codec.Row | None = None
    for page in pages(whole, ACCOUNTS):
        for name, *row in page:
            settled, holds = tuple(row[:WIDTH]), tuple(row[WIDTH : 2 * WIDTH])
            if booked_on(name)[1]:
                base = name.partition(OF)[0]
                buckets[base] = tuple(map(add, buckets.get(base, NOTHING), settled))
                continue
            yield from _off(f"{name} holds", holds, held.pop(name, NOTHING), "its open calls hold")
            if min(settled) < 0:
                yield f"{name} has settled less than nothing"
            if rolling(name) is not None:
                windows[name] = settled
            elif name == ALL:
                everything = tuple(row)
    for name in held:
        yield f"open calls hold something on {name}, and there is no such account"
    for name in sorted(windows.keys() | buckets.keys()):
        yield from _off(f"{name} has settled", windows.get(name, NOTHING), buckets.get(name, NOTHING), "its parts have")
    if everything is not None:
        yield from _of_everything(whole, everything[0], everything[-1])


def _of_everything(whole: WholeLedger, settled: int, since: float | None) -> Iterator[str]:
    journal, oldest = whole.ask(_JOURNAL)[0]
    # Lines are dropped the oldest first: where the first call's is there, all are.
    complete = since is not None and oldest is not None and oldest < since
    if settled < journal or (complete and settled != journal):
        yield f"{ALL} has settled {show_usd(settled)}, and the journal says {show_usd(journal)}"
    query = "SELECT name FROM accounts WHERE settled_usd > ? ORDER BY name LIMIT 20"
    for (name,) in whole.ask(query, (settled,)):
        yield f"{name} has settled more than {ALL}"


def _held(whole: WholeLedger) -> dict[str, Figures]:
    """What open calls hold, by account."""
    found: dict[str, Figures] = {}
    for names, *figures in whole.ask(_HELD):
        for name in dict.fromkeys(booked_on(one)[0] for one in codec.unpack(names)):
            found[name] = tuple(map(add, found.get(name, NOTHING), figures))
    return found


def _off(what: str, has: Figures, says: Figures, who: str) -> Iterator[str]:
    for meter, one, other in zip(METERS, has, says, strict=True):
        if one != other:
            yield f"{what} {_figure(meter, one)}, {who} {_figure(meter, other)}"


def _figure(meter: str, value: int) -> str:
    return show_usd(value) if meter == Meter.USD else f"{value:,} {meter}"
