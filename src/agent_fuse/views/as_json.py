"""What a ledger holds, as JSON: one schema for the command line's `--json` and for the dashboard (docs/cli.md)."""

from datetime import UTC, datetime
from typing import Any

from agent_fuse.accounting.paused_calls import PausedCall
from agent_fuse.accounting.published_limits import PublishedLimit
from agent_fuse.calls import WOULD, Entry, RefusedBy, to_usd
from agent_fuse.ledgers.base import Balance, Meter
from agent_fuse.ledgers.controls import Control
from agent_fuse.ledgers.reading import Refused, Saved, Sums
from agent_fuse.views.burn_rate import Pace
from agent_fuse.views.limit_status import LimitStatus

Json = dict[str, Any]


def usd(nanos: int) -> str:
    """Dollars: an exact decimal text."""
    return f"{to_usd(nanos):f}"


def exact(meter: Meter, value: int) -> str | int:
    """An amount: dollars as an exact decimal text, counts as integers."""
    return usd(value) if meter is Meter.USD else value


def iso(at: float) -> str:
    """A time: ISO 8601, UTC, milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def call(one: Entry) -> Json:
    """A journal line."""
    return {
        "id": one.id,
        "at": iso(one.at),
        "status": str(one.status),
        "reason": one.reason,
        "refused_by": refused_by(one.refused_by),
        "session": one.session,
        "agent": one.agent,
        "user": one.user_id,
        "provider": one.provider,
        "model": one.model,
        "operation": one.operation,
        "tool": one.tool,
        "cost_usd": usd(one.cost),
        "fee_usd": usd(one.fee),
        "source": one.source or "prices",
        "computed_usd": None if one.computed is None else usd(one.computed),
        "saved_usd": None if one.saved is None else usd(one.saved),
        "saved_by": one.saved_by,
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
        "cache_read_tokens": one.cache_read_tokens,
        "cache_write_tokens": one.cache_write_tokens,
        "reasoning_tokens": one.reasoning_tokens,
        "response_id": one.response_id,
        "trace_id": one.trace_id,
        "span_id": one.span_id,
    }


def refused_by(by: RefusedBy | None) -> Json | None:
    """What refused a call; without a limit, advice alone."""
    if by is None:
        return None
    names = ("cap", "spent", "held", "requested")
    figures = {name: exact(Meter(by.meter), getattr(by, name)) if by.limit else None for name in names}
    of_limit = {name: getattr(by, name) or None for name in ("limit", "per", "value", "meter")}
    return {**of_limit, **figures, "advice": by.advice}


def refusals(one: Refused) -> Json:
    """Refused calls of one limit or reason."""
    return {
        "reason": one.reason,
        "refused_by": refused_by(one.by),
        "calls": one.count,
        "saved_usd": usd(one.saved),
        "last": iso(one.last),
        "tool": one.tool,
    }


def savings(one: Saved) -> Json:
    """What calls saved that were altered, or, in observe mode, would have."""
    return {"by": one.by.removeprefix(WOULD), "calls": one.count, "usd": usd(one.saved)}


def total(everything: Balance) -> Json:
    """The account of everything."""
    settled = everything.settled
    return {
        "usd": usd(settled.usd),
        "tokens": settled.tokens,
        "output_tokens": settled.output_tokens,
        "calls": settled.calls,
        "tool_calls": settled.tool_calls,
        "refused": everything.refused,
    }


def standing(one: LimitStatus) -> Json:
    """One account against one cap."""
    meter = one.cap.meter
    return {
        "account": one.account,
        "per": one.cap.per,
        "value": one.value,
        "meter": str(meter),
        "window": one.cap.window,
        "cap": exact(meter, one.amount),
        "spent": exact(meter, one.spent),
        "held": exact(meter, one.held),
        "left": exact(meter, one.left),
        "used": round(one.used, 6),
        "refused": one.refused,
        "reached": one.reached,
        "stopped": one.stopped,
        "source": one.cap.source,
    }


def session(name: str, one: Sums) -> Json:
    """What a session came to."""
    return {
        "session": name,
        "cost_usd": usd(one.cost),
        "saved_usd": usd(one.saved),
        "calls": one.calls,
        "tool_calls": one.tool_calls,
        "refused": one.refused,
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
        "agents": list(one.agents),
        "models": list(one.models),
        "first": iso(one.first),
        "last": iso(one.last),
    }


def pace(found: Pace, *, most: int | None = None) -> Json:
    """Who spends how fast, and when each limit is reached; of sessions, agents and models `most` each."""
    return {
        "at": iso(found.at),
        "window_seconds": round(found.seconds, 3),
        "usd_per_hour": usd(found.hourly(found.recent.cost)),
        "total_usd": usd(found.total.settled.usd),
        "refused": found.recent.refused,
        "open": {"calls": found.open_calls, "held_usd": usd(found.holding)},
        "limits": [
            {**standing(one), "seconds_until_cap": None if until is None else round(until)}
            for one, until in found.limits
        ],
        **{
            f"{kind}s": [
                {
                    "name": name,
                    "usd_per_hour": usd(found.hourly(one.cost)),
                    "cost_usd": usd(one.cost),
                    "calls": one.calls,
                    "tool_calls": one.tool_calls,
                    "refused": one.refused,
                }
                for name, one in lines[:most]
            ]
            for kind, lines in found.by.items()
        },
    }


def limit(one: PublishedLimit) -> Json:
    """A limit that is enforced."""
    return {
        "limit": str(one),
        "per": one.per,
        "meter": str(one.meter),
        "cap": exact(one.meter, one.amount),
        "window": one.window,
        "account": one.account,
    }


def control(one: Control) -> Json:
    """What is stopped or topped up."""
    return {
        "account": one.account,
        "stopped": one.stopped,
        "top_ups": [
            {
                "meter": str(each.meter),
                "amount": exact(each.meter, each.amount),
                "until": None if each.until is None else iso(each.until),
            }
            for each in one.top_ups
        ],
        "kept": [{"for": each.child, "usd": usd(each.amount), "until": iso(each.until)} for each in one.fences],
        "who": one.who,
        "why": one.why,
    }


def paused(one: PausedCall) -> Json:
    """A call that waits for an answer."""
    return {
        "id": one.id,
        "at": iso(one.at),
        "until": iso(one.until),
        "account": one.account,
        "limit": one.limit,
        "meter": str(one.meter),
        "short": exact(one.meter, one.short),
        "session": one.session,
        "agent": one.agent,
        "model": one.model,
        "tool": one.tool,
    }
