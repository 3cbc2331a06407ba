"""The state of a ledger at one moment, as the page and machines are told it: one JSON object."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from agent_fuse import control
from agent_fuse.account_names import account, plain
from agent_fuse.accounting import paused_calls
from agent_fuse.accounting.day_sum import NOTE, spent_today
from agent_fuse.accounting.published_limits import PREFIX, PublishedLimit, read_published
from agent_fuse.dashboard.filters import Filter
from agent_fuse.ledgers.base import Hold
from agent_fuse.ledgers.reading import Reader
from agent_fuse.loops import state_note
from agent_fuse.loops.repeating import repeating
from agent_fuse.views import as_json
from agent_fuse.views.as_json import Json, iso, usd
from agent_fuse.views.burn_rate import LIMITS, Pace, measure
from agent_fuse.views.limit_status import with_budget
from agent_fuse.views.other_processes import told_by_processes

WINDOW = 300.0
"""Seconds over which rates look back."""
LINES = 5_000
"""Journal lines at most that are looked at for rates and refusals, however many came lately: a look stays cheap."""
_HOUR = 3_600.0
_SHOWN, _MANY = 50, 500
_LOOPING = 30
"""Sessions, the busiest with tools first, of which loops that are near are looked for."""


class Caps:
    """The caps that are known, read anew only where the ledger's notes of them have changed: there may be very many."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._stand: tuple[int, float] | None = None
        self._known: list[PublishedLimit] = []
        self.general: list[PublishedLimit] = []
        """Those that are no account's own."""
        self._own: dict[str, list[PublishedLimit]] = {}

    def on(self, reader: Reader, per: str, value: str) -> list[PublishedLimit]:
        """Those that one account may meet: its own, and the general ones of its key. As `of`."""
        self.of(reader)
        return [one for one in (*self.general, *self._own.get(account(per, value), ())) if one.per == per]

    def of(self, reader: Reader) -> list[PublishedLimit]:
        """Those in this ledger. Raises LedgerError, ConfigurationError."""
        stand = reader.notes_stand(PREFIX)
        if stand != self._stand:
            self._known = with_budget(read_published(reader.notes(PREFIX)), self._environ)
            self.general, self._own = [], {}
            for cap in self._known:
                (self._own.setdefault(plain(cap.account), []) if cap.account else self.general).append(cap)
            self._stand = stand
        return self._known


def state(reader: Reader, caps: Caps, *, now: float, among: Filter, blind: Iterable[Json] = ()) -> Json:
    """Everything that the page shows. Raises LedgerError, ConfigurationError."""
    earliest = reader.since_last(LINES)
    window = now - max(now - WINDOW, min(earliest, now - 1))
    most = _MANY if among != Filter() else LIMITS
    found = measure(
        reader,
        {},
        now=now,
        window=window,
        among=among.selection,
        limit=most,
        caps=caps.of(reader),
        cheap=True,
    )
    limits = [(one, until) for one, until in found.limits if among.standing(one)][:_SHOWN]
    holds = [one for one in reader.holds(_MANY) if among.hold(one)]
    refused = replace(among.refusals, since=max(now - _HOUR, earliest))
    refusals = islice(filter(among.refusal, reader.entries(refused, limit=_MANY)), _SHOWN)
    today = spent_today(reader.notes(NOTE).get(NOTE), found.total.settled.usd, now)
    pace = as_json.pace(found, most=_SHOWN)
    met = {one.cap for one, _ in found.limits}
    whole = among == Filter() and len(found.limits) < most
    return {
        "schema": "agent-fuse/dashboard/1",
        "ledger": reader.name,
        **pace,
        "total": as_json.total(found.total),
        "today_usd": None if today is None else usd(today),
        "limits": [
            {**as_json.standing(one), "words": one.words, "seconds_until_cap": None if until is None else round(until)}
            for one, until in limits
        ],
        "unmet": [str(cap) for cap in caps.general if cap not in met][:_SHOWN] if whole else [],
        "sessions": _running(found, holds),
        "more_sessions": max(len(found.by["session"]) - _SHOWN, 0),
        "holds": [hold(one) for one in holds[:_SHOWN]],
        "refusals": [as_json.call(one) for one in refusals],
        "loops": list(_loops(reader, found)),
        "paused": waiting(reader, now),
        "in_force": [as_json.control(one) for one in reader.controls()],
        "decisions": decisions(reader, now),
        "blind": [*blind, *({"what": one.what, "fix": one.fix} for one in told_by_processes(reader, now=now))],
    }


def waiting(reader: Reader, now: float) -> list[Json]:
    """Calls that wait for an answer, the longest waiting first."""
    noted = reader.notes(paused_calls.NOTE).get(paused_calls.NOTE)
    found = [one for one in paused_calls.read(noted, now).values() if not one.denied]
    return [as_json.paused(one) for one in sorted(found, key=lambda one: one.at)]


def hold(one: Hold) -> Json:
    """An open call."""
    call = one.entry
    return {
        "id": call.id,
        "at": iso(call.at),
        "session": call.session,
        "agent": call.agent,
        "user": call.user_id,
        "model": call.model,
        "tool": call.tool,
        "held_usd": usd(one.amounts.usd),
    }


def decisions(reader: Reader, now: float) -> list[Json]:
    """What people decided this month and the last, the latest first."""
    month = datetime.fromtimestamp(now, UTC).replace(day=1)
    notes = [reader.notes(f"{control.LOG}{one:%Y-%m}") for one in (month, month - timedelta(days=1))]
    found = control.read_log(notes[0] | notes[1])
    return [{**asdict(one), "at": iso(one.at)} for one in found[:_SHOWN]]


def loops(reader: Reader, session: str) -> Iterator[Json]:
    """Tools that a session calls again and again with nothing new, and will be stopped soon."""
    key = state_note(session)
    for tool, times in repeating(reader.notes(key).get(key)):
        yield {"session": session, "tool": tool, "times": times}


def _loops(reader: Reader, found: Pace) -> Iterator[Json]:
    busy = sorted(found.by["session"], key=lambda one: -one[1].tool_calls)
    for session, sums in busy[:_LOOPING]:
        if sums.tool_calls > 1:
            yield from loops(reader, session)


def _running(found: Pace, holds: list[Hold]) -> list[Json]:
    """Sessions of the last minutes, the dearest first, those with open calls among them."""
    opened: dict[str, int] = {}
    for one in holds:
        opened[one.entry.session] = opened.get(one.entry.session, 0) + 1
    shown: list[Json] = []
    for name, sums in found.by["session"][:_SHOWN]:
        rate = {"usd_per_hour": usd(found.hourly(sums.cost)), "open": opened.pop(name, 0)}
        shown.append(as_json.session(name, sums) | rate)
    known = {name for name, _ in found.by["session"]}
    waiting: dict[str, Any] = {"cost_usd": "0", "calls": 0, "tool_calls": 0, "refused": 0, "usd_per_hour": "0"}
    waiting |= {"agents": [], "models": []}
    return [
        *({"session": name, **waiting, "open": calls} for name, calls in opened.items() if name not in known),
        *shown,
    ]
