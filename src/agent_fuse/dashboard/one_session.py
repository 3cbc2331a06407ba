"""One session: what it spent and may still spend, its calls in time, its tools, and the sessions inside it."""

from collections.abc import Iterable
from itertools import islice

from agent_fuse.account_names import ALL, NOBODY, account
from agent_fuse.accounting.children import children_of
from agent_fuse.calls import Entry, Status
from agent_fuse.dashboard.filters import Filter
from agent_fuse.dashboard.state import Caps, hold, loops, waiting
from agent_fuse.ledgers.reading import TOOL, Reader, Selection, Sums, literal
from agent_fuse.views import as_json
from agent_fuse.views.as_json import Json, exact, iso, usd
from agent_fuse.views.limit_status import standings

_CALLS = 500
_MET = 20
"""Users and agents of a session, at most, whose limits are looked at, and limits of its own."""
_BEFORE = 3_600.0
"""Seconds: a call begins before it is admitted, long before where it waits for room or for an answer."""


def one_session(reader: Reader, caps: Caps, session: str, *, now: float) -> Json | None:
    """All of it, None where the ledger knows no such session. Raises LedgerError, ConfigurationError."""
    name = account("session", session)
    balance = reader.balances([name], now=now)[name]
    which = Selection(since=max(balance.since - _BEFORE, 0), session=literal(session))
    lines = list(islice(reader.entries(which, limit=_CALLS + 1), _CALLS + 1))
    held = [one for one in reader.holds(_CALLS) if Filter(session=literal(session)).hold(one)]
    if not lines and not held and not reader.has_account(name):
        return None
    calls = lines[:_CALLS]
    entries = (*calls, *(one.entry for one in held))
    users = sorted({one.user_id for one in entries} - {""})
    met = {"session": [session], "agent": sorted({one.agent for one in entries} - {""}), "user.id": users or [NOBODY]}
    limits = list(standings(reader, caps.on(reader, ALL, ""), now=now, limit=_MET).shown)
    for per, value in ((per, value) for per, values in met.items() for value in values[:_MET]):
        own = caps.on(reader, per, value)
        limits += standings(reader, own, now=now, limit=_MET, account=account(per, value)).shown
    binding = [one for one in limits if len(met.get(one.cap.per, ())) <= 1]
    left = {one.cap.meter: one.left for one in sorted(binding, key=lambda one: -one.left)}
    return {
        "schema": "agent-fuse/dashboard-session/1",
        "ledger": reader.name,
        "at": iso(now),
        "session": session,
        "account": name,
        "users": users,
        "spent_usd": usd(balance.settled.usd),
        "held_usd": usd(balance.held.usd),
        "calls_made": balance.settled.calls,
        "tool_calls": balance.settled.tool_calls,
        "refused": balance.refused,
        "tokens": balance.settled.tokens,
        "left": {str(meter): exact(meter, amount) for meter, amount in left.items()},
        "limits": [{**as_json.standing(one), "words": one.words} for one in sorted(limits, key=lambda one: -one.used)],
        "paused": [one for one in waiting(reader, now) if one["session"] == session],
        "calls": [as_json.call(one) for one in calls],
        "more": len(lines) > _CALLS,
        "tools": [{"name": tool, **sums} for tool, sums in _by_tool(calls).items()],
        "children": [
            {"session": child, "spent_usd": usd(sums.cost)} for child, sums in _children(reader, session, now)
        ],
        "holds": [hold(one) for one in held],
        "loops": list(loops(reader, session)),
        "in_force": [as_json.control(one) for one in reader.controls() if one.account in (name, "all")],
    }


def _by_tool(calls: Iterable[Entry]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for one in calls:
        if one.operation == TOOL:
            sums = found.setdefault(one.tool, {"calls": 0, "refused": 0})
            sums["refused" if one.status is Status.REFUSED else "calls"] += 1
    return dict(sorted(found.items(), key=lambda one: -one[1]["calls"]))


def _children(reader: Reader, session: str, now: float) -> list[tuple[str, Sums]]:
    names = {account("session", one): one for one in children_of(reader, session)}
    found = reader.balances(list(names), now=now)
    return [(names[name], Sums(cost=balance.settled.usd)) for name, balance in found.items()]
