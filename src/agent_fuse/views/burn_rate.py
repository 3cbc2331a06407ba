"""Pace: how fast money is spent just now, by whom, and when each cap is reached at this rate."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from agent_fuse.account_names import ALL, account
from agent_fuse.accounting.published_limits import PublishedLimit
from agent_fuse.ledgers.base import Balance, Meter
from agent_fuse.ledgers.reading import ANY, Reader, Selection, Sums
from agent_fuse.views.limit_status import LimitStatus, known_caps, standings

_SHORTEST = 10.0
LIMITS = 20
"""Accounts shown for each cap, at most."""
_PRESSING = 0.8
"""Share of a limit from which it is shown among the first, though nobody knows how fast it fills."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """A ledger at one moment."""

    at: float
    """Seconds, UTC epoch."""
    seconds: float
    """How far back the rates look: the window, or less in a young ledger."""
    total: Balance
    open_calls: int
    holding: int
    """Nano-dollars held by open calls."""
    recent: Sums
    """Everything in that time."""
    by: Mapping[str, list[tuple[str, Sums]]]
    """`session`, `agent` and `model`, each the dearest first."""
    limits: tuple[tuple[LimitStatus, float | None], ...]
    """Standings, the soonest reached first, with the seconds until the cap; None where nothing was spent on it lately,
    its key is not in the journal, or it is stopped. Of these, those that refused lately or are nearly used stand first
    too, and those that are stopped last."""

    def hourly(self, nanos: int) -> int:
        """Nano-dollars in the window as nano-dollars an hour."""
        return round(nanos * 3_600 / self.seconds)


def measure(
    reader: Reader,
    environ: Mapping[str, str],
    *,
    now: float,
    window: float,
    among: Selection = ANY,
    limit: int = LIMITS,
    caps: list[PublishedLimit] | None = None,
    cheap: bool = False,
) -> Pace:
    """Measure the pace of the last `window` seconds.

    Args:
        among: of which calls.
        limit: most accounts for each cap.
        caps: those that are known; asked for where None.
        cheap: of very many accounts with caps of their own, look at those alone whose session called lately.

    Raises:
        LedgerError, ConfigurationError: as `known_caps`.
    """
    which = replace(among, since=now - window)
    times = reader.times()
    seconds = min(window, max(now - times[0], _SHORTEST)) if times else window
    by = {one: reader.sums(which, one) for one in ("session", "agent", "model")}
    for found in by.values():
        found.sort(key=lambda one: (-one[1].cost, -one[1].calls - one[1].refused, one[0]))
    recent = _total([sums for _, sums in by["session"]])
    known = {"session": dict(by["session"]), "agent": dict(by["agent"]), ALL: {ALL: recent}}
    open_calls, holding = reader.open_calls()
    if caps is None:
        caps = known_caps(reader, environ)
    alive = {account("session", name) for name, _ in by["session"]} if cheap else None
    shown = standings(reader, caps, now=now, limit=limit, refused=reader.refused(which), alive=alive).shown
    timed = [(one, _until(one, known.get(one.cap.per, {}).get(one.value), seconds)) for one in shown]
    timed.sort(key=lambda one: (one[1] is None and not _presses(one[0]), one[1] or 0.0, -one[0].used))
    return Pace(
        at=now,
        seconds=seconds,
        total=reader.balances([ALL])[ALL],
        open_calls=open_calls,
        holding=holding,
        recent=recent,
        by=by,
        limits=tuple(timed),
    )


def _presses(one: LimitStatus) -> bool:
    return not one.stopped and (one.refused > 0 or one.used >= _PRESSING)


def _until(one: LimitStatus, recent: Sums | None, seconds: float) -> float | None:
    if one.stopped or (recent is None and not one.reached):
        return None
    if one.reached or recent is None:
        return 0.0
    match one.cap.meter:
        case Meter.USD:
            spent = recent.cost
        case Meter.TOKENS:
            spent = recent.input_tokens + recent.output_tokens
        case Meter.OUTPUT_TOKENS:
            spent = recent.output_tokens
        case Meter.CALLS:
            spent = recent.calls
        case Meter.TOOL_CALLS:
            spent = recent.tool_calls
        case Meter.SECONDS:
            return float(one.left)
        case Meter.CONCURRENT:  # calls end as well as begin
            return None
    return one.left * seconds / spent if spent else None


def _total(found: list[Sums]) -> Sums:
    return Sums(
        calls=sum(one.calls for one in found),
        tool_calls=sum(one.tool_calls for one in found),
        refused=sum(one.refused for one in found),
        cost=sum(one.cost for one in found),
        saved=sum(one.saved for one in found),
        input_tokens=sum(one.input_tokens for one in found),
        output_tokens=sum(one.output_tokens for one in found),
    )
