"""Marks: what AgentFuse writes on a call's span when it is booked or refused, while the span can still take it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent_fuse.accounting.call_request import CLAMPED_FROM, CLAMPED_TO, DOWNGRADED_FROM, TOLD
from agent_fuse.calls import NANOS_PER_USD, Entry, Status

AMOUNT = "gen_ai.usage.cost.amount"
CURRENCY = "gen_ai.usage.cost.currency"
SOURCE = "gen_ai.usage.cost.source"
SESSION = "session.id"
ESTIMATED = "agent_fuse.cost.estimated"
REFUSED = "agent_fuse.refused"
REASON = "agent_fuse.refused.reason"
LIMIT = "agent_fuse.refused.limit"
PER = "agent_fuse.refused.limit.per"
KEY = "agent_fuse.refused.limit.key"
METER = "agent_fuse.refused.limit.meter"
CAP = "agent_fuse.refused.limit.cap"
SPENT = "agent_fuse.refused.limit.spent"
HELD = "agent_fuse.refused.limit.held"
REQUESTED = "agent_fuse.refused.requested"
ADVICE = "agent_fuse.refused.advice"
TOOL = "agent_fuse.refused.tool"
CUT_OFF = "agent_fuse.cut_off"
ERROR = "error.type"

_PATIENCE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One row of the table: a span attribute that AgentFuse sets."""

    name: str
    kind: str
    on: str
    meaning: str


_REASONS = "`budget`, `stopped`, `unanswered`, `denied`, `unpriced`, `loop` or `system`."

TABLE = (
    Mark(name=AMOUNT, kind="double", on="a booked call", meaning="What the call was booked at."),
    Mark(name=CURRENCY, kind="string", on="a booked call", meaning="`USD`."),
    Mark(
        name=SOURCE,
        kind="string",
        on="a booked call",
        meaning="`local`: AgentFuse priced it; `provider`: the answer told it, and is believed.",
    ),
    Mark(name=ESTIMATED, kind="boolean", on="a booked call", meaning="The provider told no usage, or none yet."),
    Mark(name=SESSION, kind="string", on="both", meaning="The session that pays; left alone where the span has one."),
    Mark(name=REFUSED, kind="boolean", on="a refused call", meaning="`true`: nothing (more) was sent."),
    Mark(
        name=REASON,
        kind="string",
        on="a refused call",
        meaning=_REASONS,
    ),
    Mark(name=LIMIT, kind="string", on="a refused call", meaning="The limit, in words, for the reason `budget`."),
    Mark(name=PER, kind="string", on="a refused call", meaning="What the limit is per: `session`, `all`, `user.id`, …"),
    Mark(name=KEY, kind="string", on="a refused call", meaning="Whose limit it was: the session, the user, …"),
    Mark(name=METER, kind="string", on="a refused call", meaning="What it counts: `usd`, `tokens`, `calls`, …"),
    Mark(name=CAP, kind="double", on="a refused call", meaning="The cap: USD for `usd`, else a count."),
    Mark(name=SPENT, kind="double", on="a refused call", meaning="What was settled on it, unit as the cap."),
    Mark(name=HELD, kind="double", on="a refused call", meaning="What open calls held of it, unit as the cap."),
    Mark(name=REQUESTED, kind="double", on="a refused call", meaning="What the call asked for, unit as the cap."),
    Mark(name=ADVICE, kind="string", on="a refused call", meaning="What to do, in words that fit the limit."),
    Mark(name=TOOL, kind="string", on="a refused call", meaning="The tool, for the reason `loop`."),
    Mark(name=CUT_OFF, kind="boolean", on="a cut-off call", meaning="`true`: it was sent, and its answer was ended."),
    Mark(name=CLAMPED_FROM, kind="int", on="an altered call", meaning="The most output tokens that were asked for."),
    Mark(name=CLAMPED_TO, kind="int", on="an altered call", meaning="The most that left, so that a limit admits it."),
    Mark(
        name=DOWNGRADED_FROM,
        kind="string",
        on="an altered call",
        meaning="The model asked for, dearer than the one used.",
    ),
    Mark(name=TOLD, kind="string", on="an altered call", meaning="The line that told the model what is left."),
    Mark(name=ERROR, kind="string", on="a refused call", meaning="The class of the trip."),
)
"""Every span attribute that AgentFuse sets.

The cost has the names of open-telemetry/semantic-conventions-genai pull request 443 (issue 287), not merged yet: model
spans only, `source` is `local` where whoever records it has priced it, `provider` where the answer told it.
"""


def mark_booked(live: Callable[[], Any], entry: Entry) -> None:
    """Write cost and session on a span, if it is still open. `live`: the span, None when it is gone."""
    span = live()
    if span is None or not span.is_recording() or not _free(span):
        return
    span.set_attributes(
        {
            AMOUNT: entry.cost / NANOS_PER_USD,
            CURRENCY: "USD",
            SOURCE: entry.source or "local",
            ESTIMATED: entry.status is not Status.SETTLED,
            **session_of(span, entry.session),
        }
    )


def session_of(span: Any, session: str) -> dict[str, str]:
    """The session's attribute, unless the span has one."""
    return {SESSION: session} if session and SESSION not in (span.attributes or {}) else {}


def _free(span: Any) -> bool:
    """Whether the span's lock can be had: a finaliser may run while its own thread holds it, and must not wait."""
    lock = getattr(span, "_lock", None)
    if lock is None:
        return True
    if lock.acquire(timeout=_PATIENCE):
        lock.release()
        return True
    return False
