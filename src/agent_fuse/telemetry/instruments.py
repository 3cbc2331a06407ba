"""The table of instruments: name, kind, unit, attributes and meaning of each. docs/metrics.md is made from it."""

from dataclasses import dataclass
from enum import StrEnum


class InstrumentKind(StrEnum):
    """What sort of instrument it is, as OpenTelemetry names them."""

    COUNTER = "observable counter"
    UP_DOWN = "observable up-down counter"
    GAUGE = "observable gauge"
    HISTOGRAM = "histogram"


PROVIDER = "gen_ai.provider.name"
MODEL = "gen_ai.request.model"
AGENT = "gen_ai.agent.name"
OPERATION = "gen_ai.operation.name"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105  a name, no secret
SESSION = "session.id"
STATUS = "agent_fuse.call.status"
REASON = "agent_fuse.refused.reason"
LIMIT = "agent_fuse.limit"
PER = "agent_fuse.limit.per"
METER = "agent_fuse.limit.meter"
KEY = "agent_fuse.limit.key"
GATE = "agent_fuse.gate"
KIND = "agent_fuse.warning.kind"
SHARE = "agent_fuse.warning.share"
LEDGER_OPERATION = "agent_fuse.ledger.operation"
SPOT = "agent_fuse.blind.spot"

ATTRIBUTES = {
    PROVIDER: "The provider that was called, such as `openai`.",
    MODEL: "The model that was asked for.",
    AGENT: "The agent that called, where a span names one.",
    OPERATION: "`chat`, `embeddings`, …; `execute_tool` for a tool action.",
    TOKEN_TYPE: "`input` (cached input included) or `output` (reasoning included).",
    SESSION: "The session; with `metrics_session=True` only.",
    STATUS: "`settled` (by usage that the provider told), `estimated` (it told none), `presumed` (its process died).",
    REASON: "`budget`, `unpriced` (no price is known), `loop` or `system` (the ledger failed).",
    LIMIT: "The limit in words: `$5.00 per session`. A limit that `session(...)` brought: `usd per session, its own`.",
    PER: "What the limit is per: `session`, `agent`, `all`, …",
    METER: "What it counts: `usd`, `tokens`, `output_tokens`, `calls`, `tool_calls`.",
    KEY: "Which agent (for limits per agent), or with `metrics_session=True` which session, user, …, the figure is of.",
    KIND: "`limit` (a share of a limit was passed), `loop` (a tool is about to be stopped), "
    "`total` (20 budgets in a day).",
    SHARE: "Which share of the limit was passed: `0.8`.",
    GATE: "`framework` or `client` (a span's start), `request` (the SDK's request), `tool`, ...",
    LEDGER_OPERATION: "What failed: `reserve`, `settle`, `balances`, …",
    SPOT: "The blind spot in words (`the sampler TraceIdRatioBased{0.1} drops spans`); `none` where there is none.",
}
"""Every attribute of a metric, and what it means."""

SECONDS = (
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5,
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
)  # fmt: skip
"""Bucket boundaries for work that takes tens of microseconds, and seconds when a ledger is in trouble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One row of the table."""

    name: str
    kind: InstrumentKind
    unit: str
    """UCUM; in braces it is an annotation, which no translation to Prometheus puts into the name."""
    meaning: str
    attributes: tuple[str, ...] = ()

    @property
    def prometheus(self) -> str:
        """Its name in PromQL."""
        name = self.name.replace(".", "_") + {"s": "_seconds"}.get(self.unit, "")
        return name + "_total" if self.kind is InstrumentKind.COUNTER else name


COST = Instrument(
    name="agent_fuse.cost",
    kind=InstrumentKind.COUNTER,
    unit="{USD}",
    meaning="Spend that this process booked.",
    attributes=(PROVIDER, MODEL, AGENT, SESSION),
)
TOKENS = Instrument(
    name="agent_fuse.tokens",
    kind=InstrumentKind.COUNTER,
    unit="{token}",
    meaning="Tokens that this process booked.",
    attributes=(PROVIDER, MODEL, AGENT, SESSION, TOKEN_TYPE),
)
CALLS = Instrument(
    name="agent_fuse.calls",
    kind=InstrumentKind.COUNTER,
    unit="{call}",
    meaning="Model calls and tool actions that this process booked.",
    attributes=(PROVIDER, MODEL, AGENT, SESSION, OPERATION, STATUS),
)
TRIPS = Instrument(
    name="agent_fuse.trips",
    kind=InstrumentKind.COUNTER,
    unit="{call}",
    meaning="Calls and tool actions that were refused, by the limit that refused them.",
    attributes=(REASON, LIMIT, PER, METER, KEY, SESSION),
)
WARNINGS = Instrument(
    name="agent_fuse.warnings",
    kind=InstrumentKind.COUNTER,
    unit="{warning}",
    meaning="Warnings that were given, once each in all processes that share the ledger.",
    attributes=(KIND, LIMIT, SHARE),
)
OPEN = Instrument(
    name="agent_fuse.calls.open",
    kind=InstrumentKind.UP_DOWN,
    unit="{call}",
    meaning="Model calls of this process that are under way.",
)
SPENT_IN_ALL = Instrument(
    name="agent_fuse.ledger.spent",
    kind=InstrumentKind.GAUGE,
    unit="{USD}",
    meaning="Spend in the whole ledger, by every process that ever wrote to it. Take the max over processes.",
)
_OF_LIMIT = (LIMIT, PER, METER, KEY)
_FULLEST = " Without a key: of the fullest account of that limit which this process touched in the last 15 minutes."
CAP = Instrument(
    name="agent_fuse.limit.cap",
    kind=InstrumentKind.GAUGE,
    unit="{amount}",
    meaning="The cap, top-ups included: USD for the meter `usd`, else a count." + _FULLEST,
    attributes=_OF_LIMIT,
)
SPENT = Instrument(
    name="agent_fuse.limit.spent",
    kind=InstrumentKind.GAUGE,
    unit="{amount}",
    meaning="What the ledger has settled on it, unit as the cap.",
    attributes=_OF_LIMIT,
)
HELD = Instrument(
    name="agent_fuse.limit.held",
    kind=InstrumentKind.GAUGE,
    unit="{amount}",
    meaning="What open calls hold of it, unit as the cap.",
    attributes=_OF_LIMIT,
)
UTILIZATION = Instrument(
    name="agent_fuse.limit.utilization",
    kind=InstrumentKind.GAUGE,
    unit="{ratio}",
    meaning="(spent + held) / cap; 1 where the cap is 0.",
    attributes=_OF_LIMIT,
)
DURATION = Instrument(
    name="agent_fuse.gate.duration",
    kind=InstrumentKind.HISTOGRAM,
    unit="s",
    meaning="Time that a gate took to let a call go or refuse it.",
    attributes=(GATE,),
)
LEDGER_ERRORS = Instrument(
    name="agent_fuse.ledger.errors",
    kind=InstrumentKind.COUNTER,
    unit="{error}",
    meaning="Times that the ledger could not answer.",
    attributes=(LEDGER_OPERATION,),
)
BLIND = Instrument(
    name="agent_fuse.blind",
    kind=InstrumentKind.GAUGE,
    unit="{spot}",
    meaning="1 for each blind spot that this process knows of; one 0 with the spot `none` when there is none.",
    attributes=(SPOT,),
)

TABLE = (
    COST, TOKENS, CALLS, TRIPS, WARNINGS, OPEN, SPENT_IN_ALL, CAP, SPENT, HELD, UTILIZATION, DURATION, LEDGER_ERRORS,
    BLIND,
)  # fmt: skip
"""Every instrument."""
