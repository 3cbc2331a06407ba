"""Refusals in words: which limit refused a call, how it stood, and what to do about it that fits this limit."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from agent_fuse.account_names import ALL, NOBODY, key_of
from agent_fuse.calls import RefusedBy, to_usd
from agent_fuse.errors import SentinelBudgetExceeded, SentinelError, SentinelLoopError, UnknownModelError
from agent_fuse.foreign_text import name, quoted, shell_word
from agent_fuse.ledgers.base import Meter, Refusal, Stop
from agent_fuse.limits import Limit, counted
from agent_fuse.windows import Calendar

BEFORE_SENT = "refused before it was sent"
"""What became of nearly every call that is refused."""

_RAISE: dict[Meter, tuple[str, ...]] = {
    Meter.USD: ("raise the limit",),
    Meter.TOKENS: ("raise the limit on tokens",),
    Meter.OUTPUT_TOKENS: ("raise the limit on output tokens",),
    Meter.CALLS: ("raise the limit on calls",),
    Meter.TOOL_CALLS: ("let the agent answer with what it has", "raise the limit on tool calls"),
    Meter.CONCURRENT: ("raise the limit on open calls",),
    Meter.SECONDS: ("raise the limit on seconds",),
}
_SMALLER: dict[Meter, tuple[str, ...]] = {
    Meter.USD: ("lower its max_tokens", "shorten its prompt", "choose a cheaper model"),
    Meter.TOKENS: ("lower its max_tokens", "shorten its prompt"),
    Meter.OUTPUT_TOKENS: ("lower its max_tokens",),
}
"""What makes one call ask for less; nothing does where every call asks for one."""
_ANEW = {"session": "start a new session", "trace": "begin a new trace", "process": "start a new process"}
"""What begins a fresh account; of every other key the account outlives the session."""
_NO_LIMIT: dict[str, Any] = {
    "limit": "",
    **dict.fromkeys(("spent", "held", "requested", "budget_limit"), Decimal(0)),
    **dict.fromkeys(("resets_at", "retry_after")),
}
"""The fields of a trip where it was no limit that refused."""
_LOOP = {"error": "mend what fails"}
_LOOP_ELSE = "change what the agent does"


def advice(refusal: Refusal, limit: Limit, now: float, alone: tuple[str, ...] | None = None) -> str:
    """What to do about a refusal, in words that fit the limit: only what would let the call go.

    Args:
        alone: what makes it ask for less; None for a model call.
    """
    meter, cap = limit.meter, refusal.amount
    ways = _RAISE[meter]
    if not cap:
        return f"the limit admits nothing; {_either(ways)}"
    if meter is Meter.CONCURRENT:
        return f"try again when one of them has ended, or {_either(ways)}"
    if refusal.requested > cap:
        smaller = _SMALLER.get(meter, ()) if alone is None else alone
        return f"the call alone asks for more than the whole limit; {_either((*smaller, *ways))}"
    if refusal.held and refusal.settled + max(refusal.requested, 1) <= cap:
        return f"it fits if the open calls cost less than they hold: try again when they have ended, or {_either(ways)}"
    frees = frees_at(refusal, limit, now)
    if frees is not None:
        return _either((f"wait until {_moment(frees, limit, now)}", *ways))
    return _of_key(limit.key, key_of(refusal.cap.account)[1], ways)


def frees_at(refusal: Refusal, limit: Limit, now: float) -> float | None:
    """When the limit's window has room for the call again, seconds, UTC epoch; None where it never has, or has none."""
    if refusal.requested > refusal.amount or not refusal.amount:
        return None
    return limit.over.ends(now) if isinstance(limit.over, Calendar) else refusal.frees_at


def _moment(at: float, limit: Limit, now: float) -> str:
    if isinstance(limit.over, Calendar):
        zone = limit.over.zone
        return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M} ({zone})"
    there = datetime.fromtimestamp(at, UTC)
    day = "" if there.date() == datetime.fromtimestamp(now, UTC).date() else "%Y-%m-%d "
    return f"{there:{day}%H:%M:%S} (UTC)"


def _of_key(per: str, value: str, ways: tuple[str, ...]) -> str:
    """What to do where the account is used up: a fresh one, where the key lets one begin one."""
    if per in _ANEW:
        return _either((*ways, _ANEW[per]))
    if per == ALL:
        return f"{_either(ways)}; a new session does not help, for this limit counts all sessions of the ledger"
    if value == NOBODY:
        return f"calls without {per.replace(',', ' or ')} share this account: name it on each, or {_either(ways)}"
    return f"{_either(ways)}; a new session does not help, for this limit counts {per} {value!r} in all sessions"


def explain(
    refusal: Refusal,
    limit: Limit,
    what: str,
    now: float,
    how: str = BEFORE_SENT,
    *,
    alone: tuple[str, ...] | None = None,
) -> tuple[str, dict[str, object]]:
    """The message and the fields of the trip for a refusal; `alone` as of `advice`.

    `what` names the call, `how` says what became of it.
    """
    meter = refusal.cap.meter
    money = meter is Meter.USD

    def edge(amount: int) -> Decimal:
        return to_usd(amount) if money else Decimal(amount)

    _, value = key_of(refusal.cap.account)
    words = whose(refusal, limit)
    if refusal.cap.kept:
        kept, one = counted(meter, refusal.cap.kept), money or refusal.cap.kept == 1
        words += f", of which {kept} {'is' if one else 'are'} kept for agent_fuse.final()"
    words += f" topped up by {counted(meter, refusal.extra)}" if refusal.extra else ""
    what_to_do = advice(refusal, limit, now, alone)
    message = f"{what} {how}: {_figures(refusal)} of the limit of {words}; {what_to_do}"
    frees = frees_at(refusal, limit, now)
    return message, {
        "kind": "busy" if refusal.busy else "exceeded",
        "limit": words,
        "meter": str(meter),
        "spent": edge(refusal.settled),
        "held": edge(refusal.held),
        "requested": edge(refusal.requested),
        "budget_limit": edge(refusal.amount),
        "resets_at": None if frees is None else datetime.fromtimestamp(frees, UTC),
        "retry_after": None if frees is None else max(frees - now, 0.0),
        "refused_by": RefusedBy(
            limit=str(limit),
            per=limit.key,
            value=value,
            meter=str(meter),
            cap=refusal.amount,
            spent=refusal.settled,
            held=refusal.held,
            requested=refusal.requested,
            advice=what_to_do,
        ),
    }


def whose(refusal: Refusal, limit: Limit) -> str:
    """The limit, and whose it is: `$5.00 per session 'run-1'`."""
    _, value = key_of(refusal.cap.account)
    if value == NOBODY:
        return f"{limit}, for calls without one"
    return f"{limit} {value!r}" if value else str(limit)


def of_stop(
    refusal: Refusal, stop: Stop, *, what: str, model: str, session: str, how: str = BEFORE_SENT
) -> SentinelBudgetExceeded:
    """The trip for a call on an account that someone stopped."""
    per, value = key_of(refusal.cap.account)
    whose = "everything" if per == ALL else f"{per} {value!r}"
    by = f" by {name(stop.who)}" if stop.who else ""
    why = f" ({name(stop.why)})" if stop.why else ""
    at = datetime.fromtimestamp(stop.at, UTC)
    go_on = f"let it go on with agent-fuse resume {shell_word(refusal.cap.account)}"
    return SentinelBudgetExceeded(
        f"{what} {how}: {whose} was stopped{by} at {at:%Y-%m-%d %H:%M:%S} (UTC){why}; {go_on}",
        reason="stopped",
        kind="stopped",
        meter="calls",
        model=model,
        session=session,
        refused_by=RefusedBy(per=per, value=value, advice=go_on),
        **_NO_LIMIT,
    )


def _figures(refusal: Refusal) -> str:
    meter = refusal.cap.meter
    if meter is Meter.CONCURRENT:
        return f"{refusal.held:,} {'call is' if refusal.held == 1 else 'calls are'} open"
    if meter is Meter.SECONDS:
        return f"{counted(meter, refusal.settled)} since the first call"
    money = meter is Meter.USD
    held = f" and {counted(meter, refusal.held)} held by open calls" if refusal.held else ""
    asks = "may cost" if money else "asks for" if meter in {Meter.CALLS, Meter.TOOL_CALLS} else "may use"
    asked = f"it {asks} {counted(meter, refusal.requested)}, with " if refusal.requested else ""
    return f"{asked}{counted(meter, refusal.settled)} {'spent' if money else 'used'}{held}"


def unpriced(unknown: UnknownModelError, *, model: str, session: str) -> SentinelBudgetExceeded:
    """The trip for a call that no limit could judge, since its model has no price: no limit refused it."""
    return SentinelBudgetExceeded(
        str(unknown),
        reason="unpriced",
        kind="exceeded",
        meter="usd",
        model=model,
        session=session,
        refused_by=RefusedBy(advice=f"give the model a price with prices={{{quoted(model)}: Price(...)}}"),
        **_NO_LIMIT,
    )


def refused_by(trip: SentinelError) -> RefusedBy:
    """What the journal keeps of a trip: the limit behind it, or for a loop what to do."""
    found = trip.__dict__.get("refused_by")
    if isinstance(found, RefusedBy):
        return found
    if isinstance(trip, SentinelLoopError):
        first = _LOOP.get(getattr(trip, "kind", ""), _LOOP_ELSE)
        tool = name(getattr(trip, "tool", "the tool"))
        return RefusedBy(advice=f"{first}, or give {tool} a higher threshold (loop_tool_thresholds)")
    return RefusedBy()


def _either(ways: tuple[str, ...]) -> str:
    *first, last = ways
    return f"{', '.join(first)} or {last}" if first else last
