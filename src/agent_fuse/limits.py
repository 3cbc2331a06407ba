"""Limits: caps on what a session, an agent, a user may spend, and which accounts and caps a call meets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agent_fuse import limit_checks
from agent_fuse.account_names import ALL, NOBODY, account, as_value, joined, within
from agent_fuse.calls import Usd, show_usd
from agent_fuse.errors import ConfigurationError, SentinelError
from agent_fuse.keys import FACTS, key_named, spellings, told
from agent_fuse.ledgers.base import Cap, Meter
from agent_fuse.mistakes import checked
from agent_fuse.windows import Calendar, Window, window

OnTight = Literal["refuse", "pause", "clamp", "downgrade"]

_SHARED = frozenset({"session", "trace", "process", ALL})
_USER = "user.id"
_LASTING = frozenset({Meter.CONCURRENT, Meter.SECONDS})
"""Meters that no window can begin anew."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A cap on one meter, per a key, for as long as the key lives. Exactly one meter is given.

    Args:
        usd: US dollars.
        tokens: input plus output tokens.
        output_tokens: output tokens.
        calls: model calls.
        tool_calls: tool actions.
        concurrent: model calls that are open at the same time.
        seconds: wall clock since the key's first call was admitted.
        per: `"session"` (default), `"trace"`, `"agent"`, `"model"`, `"provider"`, `"tool"`, `"user.id"`, `"process"`,
            `"all"`, or the name of any span attribute or baggage key; a pair of them counts each combination. The
            well-known spellings of one thing are one key (`gen_ai.agent.name` is `agent`; docs/keys.md). Calls without
            the key share one account, named `(none)`.
        window: the time over which it counts. Rolling, `"30s"`, `"15m"`, `"24h"`, `"30d"`: in any interval of that
            length the cap holds. By the calendar, `"hour"`, `"day"`, `"week"` (from Monday), `"month"`. None is
            without end.
        timezone: whose midnight ends a calendar's window, such as `"Europe/Berlin"`; UTC when left out.
        reserve: the part of the cap, in its unit, that only calls inside `with agent_fuse.final():` may use.
        on_limit: `"refuse"`, or `"wait"`: a call that will fit later (its window moves on, open calls end) waits for
            that, and so does a tool. A thread sleeps; a call of the SDKs' async clients is awaited longer, and no
            event loop stands still. What only an event loop could wait for (a span, a callback, a tool) is refused.
        max_wait: seconds that a call waits at most; one that would need more is refused at once.
        on_tight: what becomes of a call that it does not admit: `"refuse"`, or `"pause"` it, as a tool action, until a
            person tops up, stops or denies it. None is the setting of the fuse.
        pause_for: seconds that a paused call waits for an answer. None is the setting of the fuse.

    Raises:
        ConfigurationError: no meter, more than one, or a figure that cannot be a cap.
    """

    usd: Usd | None = None
    tokens: int | None = None
    output_tokens: int | None = None
    calls: int | None = None
    tool_calls: int | None = None
    concurrent: int | None = None
    seconds: int | None = None
    per: str | tuple[str, ...] = "session"
    window: str | None = None
    timezone: str | None = None
    reserve: Usd | None = None
    on_limit: Literal["refuse", "wait"] = "refuse"
    max_wait: float = 120.0
    on_tight: OnTight | None = None
    pause_for: float | None = None
    meter: Meter = field(init=False)
    cap: int = field(init=False)
    """Nano-dollars for usd, else a count."""
    kept: int = field(init=False, repr=False)
    """The reserve, in the cap's unit; 0 without one."""
    keys: tuple[str, ...] = field(init=False, repr=False)
    """What it is per: one key, or each of a pair."""
    key: str = field(init=False, repr=False)
    """The same in one text: `user.id`, or `user.id,model` for a pair."""
    over: Window | None = field(init=False, repr=False)
    """The window, read."""

    def __post_init__(self) -> None:
        given = [meter for meter in Meter if getattr(self, meter.value) is not None]
        if len(given) != 1:
            names = ", ".join(given) or "none"
            raise ConfigurationError(f"Limit takes exactly one of {', '.join(Meter)}; got {names}")
        meter = given[0]
        keys = limit_checks.keys(self.per)
        if self.window is None and self.timezone is not None:
            raise ConfigurationError(
                f"Limit timezone={self.timezone!r} without a window; add window='day', 'week', 'month' or 'hour'"
            )
        if self.window is not None and meter in _LASTING:
            raise ConfigurationError(
                f"Limit {meter}={getattr(self, meter)!r} with window={self.window!r}; "
                f"only {', '.join(one for one in Meter if one not in _LASTING)} are counted over a window"
            )
        limit_checks.waiting(meter, self.on_limit, self.max_wait)
        limit_checks.tight(meter, self.on_tight, self.pause_for)
        cap = limit_checks.cap(meter, getattr(self, meter.value))
        for name, value in (
            ("per", keys[0] if len(keys) == 1 else keys),
            ("keys", keys),
            ("key", ",".join(keys)),
            ("meter", meter),
            ("cap", cap),
            ("kept", limit_checks.reserve(meter, self.reserve, cap)),
            ("over", None if self.window is None else window(self.window, self.timezone)),
        ):
            object.__setattr__(self, name, value)

    def __str__(self) -> str:
        return in_words(self.meter, self.cap, self.key, self.over)


def in_words(meter: Meter, cap: int, key: str, over: Window | None) -> str:
    """A limit: `$5.00 per session`, `60 calls in all in any 1m`, `$100.00 per user.id a month (Europe/Berlin)`."""
    of = "in all" if key == ALL else f"per {key.replace(',', ' and ')}"
    return f"{counted(meter, cap)} {of}{f' {over.words}' if over is not None else ''}"


def counted(meter: Meter, amount: int) -> str:
    """An amount on a meter, in words: `$5.00`, `1 tool call`, `40 tool calls`, `8 open calls`."""
    if meter is Meter.USD:
        return show_usd(amount)
    unit = "open calls" if meter is Meter.CONCURRENT else meter.replace("_", " ")
    return f"{amount:,} {unit.removesuffix('s') if amount == 1 else unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One run of one or more agents, with limits of its own; its parents' limits bind too."""

    id: str
    limits: tuple[Limit, ...] = ()
    """Limits of this very session; where one has the same meter as a per-session limit of the fuse, it replaces it."""
    parent: "Session | None" = None
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further keys, such as `user.id`, for limits per such a key."""
    on_child_trip: Literal["raise", "end"] = "raise"
    """What a trip of a session inside, by its own limit or its own loop, does where that one is left."""
    trip: SentinelError | None = field(default=None, init=False, repr=False, compare=False)
    """What ended it, where the session around it has `on_child_trip="end"`."""
    plan: "_Plan | None" = field(default=None, init=False, repr=False, compare=False)
    """What each of its calls demands, kept from the first one on."""

    def chain(self) -> "list[Session]":
        """This session and those around it, innermost first."""
        found: list[Session] = [self]
        one = self.parent
        while one is not None:
            found.append(one)
            one = one.parent
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """On whose account a call goes."""

    session: Session
    agent: str = ""
    trace: str = ""
    """Trace id, 32 hex digits."""
    process: str = ""
    final: bool = False
    """It may use what limits keep for a last answer."""
    nameless: bool = False
    """Nothing named a session: it is the one of all such calls."""
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """Span attributes and baggage, by the keys that limits ask for."""
    resource: Mapping[str, str] = field(default_factory=dict[str, str])
    """The same of the tracer provider's resource, which counts last."""
    user: str = ""
    """Whose call it is, as its context says, whatever limits ask for."""

    def value(self, per: str) -> str:
        """The value of a limit's key for this call."""
        match per:
            case "session":
                found = self.session.id
            case "trace":
                found = self.trace
            case "process":
                found = self.process
            case _:
                found = self.keys.get(per, "") or (self.agent if per == "agent" else "")
                found = found or told(spellings(per), *(session.attributes for session in self.session.chain()))
                found = found or self.resource.get(per, "")
        return as_value(found)


@dataclass(frozen=True, slots=True)
class Demand:
    """Which accounts a call is booked on, and the caps that must admit it."""

    accounts: tuple[str, ...]
    caps: tuple[Cap, ...]
    limits: tuple[Limit, ...]
    """The limit behind each cap, in the caps' order."""
    vague: bool = False
    """Whether a limit's key has no value (yet)."""
    keyed: bool = False
    """Whether a limit has a key that calls may lack."""
    subjects: tuple[str, ...] = ()
    """Accounts of the keys that its sessions bring, whatever limits ask for: what someone may stop it by."""
    user: str = ""
    """Whose call it is, by the key `user.id` of its limits or sessions; empty where they tell none."""
    until: float = float("inf")
    """When the first interval of its windows ends, seconds, UTC epoch: then other accounts are due."""


def nothing(key: str) -> str:
    """What a call that tells no facts has for a key."""
    del key
    return ""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What calls of one session demand under one fuse's limits."""

    limits: Sequence[Limit]
    """The fuse's own, by which it was made."""
    always: Demand
    """What every call demands."""
    keyed: tuple[Limit, ...]
    """Limits whose account depends on the call."""
    final: bool
    """Whether for calls that may use what limits keep."""


def demand(limits: Sequence[Limit], caller: Caller, fact: Callable[[str], str] = nothing, *, now: float) -> Demand:
    """Accounts and caps of one call: every session of the chain and `all` are always booked.

    Args:
        fact: what the call itself tells of a key; empty where it tells nothing.
        now: seconds, UTC epoch; says which intervals of windows it is booked on.
    """
    plan = caller.session.plan
    if plan is None or plan.limits is not limits or now >= plan.always.until or plan.final is not caller.final:
        plan = _plan(limits, caller.session, now, final=caller.final)
        object.__setattr__(caller.session, "plan", plan)
    if not plan.keyed:
        return plan.always
    vague, user, until = False, plan.always.user, plan.always.until
    accounts, caps = list(plan.always.accounts), list(plan.always.caps)
    for limit in plan.keyed:
        values = [_value(key, caller, fact) for key in limit.keys]
        vague = vague or (NOBODY in values and limit.key != ALL)
        if _USER in limit.keys and (found := values[limit.keys.index(_USER)]) != NOBODY:
            user = found
        name = account(limit.key, joined(values), limit.over)
        until = min(until, _add(accounts, caps, limit, name, now=now, final=caller.final))
    return Demand(
        tuple(accounts),
        tuple(caps),
        plan.always.limits + plan.keyed,
        vague,
        keyed=True,
        subjects=plan.always.subjects,
        user=user,
        until=until,
    )


def _value(key: str, caller: Caller, fact: Callable[[str], str]) -> str:
    said = fact(key) if key in FACTS else ""
    return as_value(said) if said else caller.value(key)


def _add(accounts: list[str], caps: list[Cap], limit: Limit, name: str, *, now: float, final: bool) -> float:
    """A limit's account and cap; when the interval that it is booked on ends.

    A calendar's interval is an account, and so bears the cap. A rolling window is one, whatever buckets it has.
    """
    over = limit.over
    booked = name if over is None else within(name, over.interval(now))
    if booked not in accounts:
        accounts.append(booked)
    on = booked if isinstance(over, Calendar) else name
    caps.append(Cap(on, limit.meter, limit.cap, 0 if final else limit.kept))
    return float("inf") if over is None else over.ends(now)


def _plan(limits: Sequence[Limit], of: Session, now: float, *, final: bool) -> _Plan:
    accounts = [ALL]
    caps: list[Cap] = []
    sources: list[Limit] = []
    until = float("inf")
    keyed = [limit for limit in limits if limit.key != "session"]
    for session in of.chain():
        accounts.append(account("session", session.id))
        own = [limit for limit in session.limits if limit.key == "session"]
        replaced = {(limit.meter, limit.over) for limit in own}
        own += [limit for limit in limits if limit.key == "session" and (limit.meter, limit.over) not in replaced]
        for limit in own:
            name = account("session", session.id, limit.over)
            until = min(until, _add(accounts, caps, limit, name, now=now, final=final))
        sources += own
        keyed += [limit for limit in session.limits if limit.key != "session"]
    brought = [(key_named(key), value) for session in of.chain() for key, value in session.attributes.items()]
    subjects = tuple(dict.fromkeys(account(key, as_value(value)) for key, value in brought))
    user = next((value for key, value in brought if key == _USER), "")
    always = Demand(tuple(accounts), tuple(caps), tuple(sources), subjects=subjects, user=user, until=until)
    return _Plan(limits, always, tuple(keyed), final)


def subjects_of(due: Demand, caller: Caller, *, model: str = "", provider: str = "", tool: str = "") -> tuple[str, ...]:
    """Every account that someone may have stopped a call by."""
    said = {"agent": caller.value("agent"), "process": caller.process, "trace": caller.trace}
    said |= {"model": model, "provider": provider, "tool": tool, **caller.keys}
    named = (account(key, value) for key, value in said.items() if value and value != NOBODY)
    return (ALL, *due.accounts, *due.subjects, *named)


def keys_of(limits: Sequence[Limit]) -> frozenset[str]:
    """The keys that these limits need to know, beyond those that every call has."""
    return frozenset(key for limit in limits for key in limit.keys) - _SHARED
