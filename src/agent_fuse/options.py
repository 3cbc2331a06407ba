"""Every option, in one table: its name, its default, how it is read, and what it is."""

from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from agent_fuse import parsers, told_costs
from agent_fuse.parsers import Parser

PREFIX = "AGENTFUSE_"
DEFAULT_DB_PATH = "~/.agent_fuse/guard_v1.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One row of the table."""

    name: str
    parse: Parser
    default: Any
    doc: str
    """What it is, in one line of Markdown."""
    env: bool = True
    """Whether `AGENTFUSE_<NAME>` gives it too; the others can only come from code."""

    @property
    def variable(self) -> str:
        """Its environment variable; empty for options that only code can give."""
        return PREFIX + self.name.upper() if self.env else ""


OPTIONS = (
    Option(name="budget", parse=parsers.money, default=Decimal("1.00"), doc="Most that a session may spend, USD."),
    Option(
        name="total_budget",
        parse=parsers.money,
        default=None,
        doc="Most that everything in the ledger may spend, USD: all sessions of all processes together. Off by "
        "default; then one warning a day comes when all sessions together have spent more than 20 budgets.",
    ),
    Option(
        name="limits",
        parse=parsers.limits,
        default=(),
        doc="Further limits: one `Limit`, or several, or the path of a TOML file of them ([limits.md](limits.md)).",
    ),
    Option(
        name="mode",
        parse=parsers.choice("enforce", "observe"),
        default="enforce",
        doc="`enforce` limits, or `observe`: nothing is refused, waits or is altered; `agent-fuse status` tells what "
        "would have been refused ([limits](limits.md)).",
    ),
    Option(
        name="session_id",
        parse=parsers.words,
        default="",
        doc="Session of the calls that name none; by default one for each process.",
    ),
    Option(
        name="db_path",
        parse=parsers.words,
        default=DEFAULT_DB_PATH,
        doc="The ledger: a path, `sqlite:///path`, `postgresql://…` (many machines), or `memory://`, which forgets.",
    ),
    Option(
        name="fail_safe",
        parse=parsers.truth,
        default=True,
        doc="When the ledger fails, or a call cannot be judged for a fault of AgentFuse's own: block calls (true), or "
        "let them go, count on, and book later (false).",
    ),
    Option(
        name="max_retries",
        parse=parsers.whole(0, 100),
        default=3,
        doc="Tries after the first when the ledger cannot answer.",
    ),
    Option(
        name="lock_timeout",
        parse=parsers.seconds(0.1, 600),
        default=4.0,
        doc="Seconds that a call waits for others to be done with the ledger, all its tries together.",
    ),
    Option(
        name="synchronous",
        parse=parsers.choice("normal", "full"),
        default="normal",
        doc="`normal` survives the death of any process, `full` the loss of power as well (SQLite), or a crash of the"
        " server with what was booked last (PostgreSQL).",
    ),
    Option(
        name="lease",
        parse=parsers.truth,
        default=False,
        doc="PostgreSQL: take slices of limits and spend them in this process, a round trip a slice and not a call "
        "([fleets](fleets.md)).",
    ),
    Option(
        name="strict",
        parse=parsers.truth,
        default=False,
        doc="Quote upper bounds, so that no text call can pass a limit.",
    ),
    Option(
        name="prices",
        parse=parsers.prices,
        default=MappingProxyType({}),
        doc="Prices of your own: model names or patterns to `Price` or to another model's name, or the path of a TOML "
        "or JSON file of them ([prices.md](prices.md)).",
    ),
    Option(
        name="unknown_model",
        parse=parsers.choice("fallback", "block", "free"),
        default="fallback",
        doc="A model without a price: bill it at a conservative `fallback`, `block` it, or let it go `free`.",
    ),
    Option(
        name="unknown_endpoint",
        parse=parsers.choice("estimate", "block", "free"),
        default="estimate",
        doc="A request of a gated SDK, or to a model host, at an endpoint that AgentFuse does not know: hold an "
        "`estimate`, `block` it, or let it go `free` ([wire-gate.md](wire-gate.md#paths-that-are-not-known)).",
    ),
    Option(
        name="hold_seconds",
        parse=parsers.seconds(1, 30 * 86400),
        default=3600.0,
        doc="Age at which an open hold is presumed spent, seconds.",
    ),
    Option(
        name="busy_wait",
        parse=parsers.seconds(0, 600),
        default=2.0,
        doc="Seconds that a model call waits where it would fit if the open calls cost less than they hold.",
    ),
    Option(
        name="on_tight",
        parse=parsers.choice("refuse", "pause", "clamp", "downgrade"),
        default="refuse",
        doc="A call that a limit does not admit: `refuse` it, or `pause` it (as a tool) until a person answers, "
        "`clamp` its max output so that it fits, or `downgrade` its model ([limits](limits.md)).",
    ),
    Option(
        name="pause_for",
        parse=parsers.seconds(0.1, 86400),
        default=300.0,
        doc="Seconds that a paused call waits for an answer.",
    ),
    Option(
        name="clamp_floor",
        parse=parsers.whole(1, 1_000_000),
        default=256,
        doc="Tokens of output that `on_tight='clamp'` leaves a call at least; with less it is refused.",
    ),
    Option(
        name="downgrade",
        parse=parsers.ladder,
        default=MappingProxyType({}),
        doc="The cheaper model of each for `on_tight='downgrade'`; in the environment `gpt-4o=gpt-4o-mini`.",
    ),
    Option(
        name="downgrade_at",
        parse=parsers.share,
        default=0.8,
        doc="Share of a limit from which on `on_tight='downgrade'` begins turns with the cheaper model.",
    ),
    Option(
        name="tell_model",
        parse=parsers.truth,
        default=False,
        doc="Whether the model is told, in one line at each share of `warn_at`, what is left ([limits](limits.md)).",
    ),
    Option(
        name="warn_at",
        parse=parsers.shares,
        default=(0.5, 0.8, 0.95),
        doc="Shares of a limit at which to warn, once each; `none` for never.",
    ),
    Option(
        name="on_warning",
        parse=parsers.callback,
        default=None,
        doc="Called with an `Alert` when a limit passes a share of `warn_at`, or a tool is about to be stopped.",
        env=False,
    ),
    Option(
        name="webhook",
        parse=parsers.webhook,
        default=None,
        doc="Where trips, warnings and pauses are posted as JSON, with a `text` for Slack: an https URL, or http to "
        "this machine ([alerts](howto/webhook.md)). Off by default.",
    ),
    Option(name="loop_detection_enabled", parse=parsers.truth, default=True, doc="Whether tool loops trip."),
    Option(
        name="loop_threshold",
        parse=parsers.whole(1, 1_000_000),
        default=5,
        doc="Identical tool calls that pass; the next one trips.",
    ),
    Option(
        name="loop_tool_thresholds",
        parse=parsers.thresholds,
        default=MappingProxyType({}),
        doc="Other thresholds by tool name; as text `search=3,fetch=10`.",
    ),
    Option(
        name="loop_ignore_args",
        parse=parsers.texts,
        default=(),
        doc="Names of arguments that do not make a tool call another one, such as timestamps and ids.",
    ),
    Option(
        name="tool_prices",
        parse=parsers.tool_prices,
        default=MappingProxyType({}),
        doc="What a run of a tool costs, US dollars by tool name, or a function of its arguments and result; as text "
        "`search=0.01,fetch=0.002` ([limits](limits.md)).",
    ),
    Option(name="loop_allow", parse=parsers.texts, default=(), doc="Tools that never trip."),
    Option(
        name="metrics_session",
        parse=parsers.truth,
        default=False,
        doc="Whether metrics tell sessions, users, … apart; there are as many series then.",
    ),
    Option(
        name="cost_on_spans",
        parse=parsers.truth,
        default=True,
        doc="Whether a booked call's span gets its cost and session. A refused call's span says so in any case.",
    ),
    Option(
        name="stream_usage",
        parse=parsers.truth,
        default=None,
        doc="Whether a chat that the openai SDK streams without asking for its usage asks for it, unseen by its "
        "caller, so that it is booked exactly. By default at OpenAI's own endpoints and on this machine (loopback), "
        "since some other servers refuse `stream_options`.",
    ),
    Option(
        name="request_gate",
        parse=parsers.truth,
        default=True,
        doc="Whether the openai and anthropic SDKs are gated too.",
    ),
    Option(
        name="wire_gate",
        parse=parsers.truth,
        default=True,
        doc="Whether model requests of any other library are judged where they leave the process (httpx, requests, "
        "urllib3, aiohttp, botocore, urllib); with `request_gate=False` they are not either.",
    ),
    Option(
        name="endpoints",
        parse=parsers.endpoints,
        default=(),
        doc="Your own model endpoints for the wire gate (a gateway, vLLM, Ollama): hosts or URLs, divided by commas.",
    ),
    Option(
        name="trusted_costs",
        parse=parsers.hosts,
        default=told_costs.TRUSTED,
        doc="Whose own figure is booked as the cost: hosts whose `usage.cost` is US dollars, and `litellm` for the "
        "header `x-litellm-response-cost` of any LiteLLM proxy; `none` for nobody's ([prices.md](prices.md)).",
    ),
)
