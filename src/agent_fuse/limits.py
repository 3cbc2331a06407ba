"""Limits: caps on what a session, an agent, a user may spend, and which accounts and caps a call meets."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

from agent_fuse.calls import Usd, show_usd, to_nanos
from agent_fuse.errors import ConfigurationError
from agent_fuse.keys import FACTS, canonical, spellings, told
from agent_fuse.ledgers.base import Cap, Meter
from agent_fuse.mistakes import checked

ALL = "all"
"""The account that every call is booked on."""

NOBODY = "(none)"
"""The value under which calls that lack a limit's key are counted, together."""

_LIKE_NOBODY = re.compile(r"\(+none\)+")
_ESCAPED = re.compile("=|%(?=3D|25)")
_ESCAPES = re.compile("%25(?=3D|25)|%3D")
_SHARED = frozenset({"session", "trace", "process", ALL})
_MAX_VALUE = 160


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
        per: `"session"` (default), `"trace"`, `"agent"`, `"model"`, `"provider"`, `"tool"`, `"user.id"`, `"process"`,
            `"all"`, or the name of any span attribute or baggage key. The well-known spellings of one thing are one key
            (`gen_ai.agent.name` is `agent`; docs/keys.md). Calls without the key share one account, named `(none)`.

    Raises:
        ConfigurationError: no meter, more than one, or a figure that cannot be a cap.
    """

    usd: Usd | None = None
    tokens: int | None = None
    output_tokens: int | None = None
    calls: int | None = None
    tool_calls: int | None = None
    per: str = "session"
    meter: Meter = field(init=False)
    cap: int = field(init=False)
    """Nano-dollars for usd, else a count."""

    def __post_init__(self) -> None:
        given = [meter for meter in Meter if getattr(self, meter.value) is not None]
        if len(given) != 1:
            names = ", ".join(given) or "none"
            raise ConfigurationError(
                f"Limit takes exactly one of usd, tokens, output_tokens, calls, tool_calls; got {names}"
            )
        if not isinstance(self.per, str) or not self.per.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"Limit per={self.per!r}; it must be 'session', 'agent', ... or an attribute name")
        object.__setattr__(self, "per", canonical(self.per, stacklevel=4))
        object.__setattr__(self, "meter", given[0])
        object.__setattr__(self, "cap", _cap(given[0], getattr(self, given[0].value)))

    def __str__(self) -> str:
        amount = counted(self.meter, self.cap)
        return f"{amount} in all" if self.per == ALL else f"{amount} per {self.per}"


def counted(meter: Meter, amount: int) -> str:
    """An amount on a meter, in words: `$5.00`, `1 tool call`, `40 tool calls`."""
    if meter is Meter.USD:
        return show_usd(amount)
    unit = meter.replace("_", " ")
    return f"{amount:,} {unit.removesuffix('s') if amount == 1 else unit}"


def _cap(meter: Meter, value: object) -> int:
    if meter is Meter.USD:
        try:
            return to_nanos(value, "Limit usd")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        except ValueError as bad:
            raise ConfigurationError(str(bad)) from None
    if isinstance(value, bool) or not isinstance(value, int):
        if not (isinstance(value, float) and value.is_integer()):
            raise ConfigurationError(f"Limit {meter}={value!r}; it must be a whole number, 0 or more")
        value = int(value)
    if not 0 <= value < 2**53:
        raise ConfigurationError(f"Limit {meter}={value!r}; it must be a whole number from 0 to 2**53")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One run of one or more agents, with limits of its own; its parents' limits bind too."""

    id: str
    limits: tuple[Limit, ...] = ()
    """Limits of this very session; where one has the same meter as a per-session limit of the fuse, it replaces it."""
    parent: "Session | None" = None
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further keys, such as `user.id`, for limits per such a key."""
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
    nameless: bool = False
    """Nothing named a session: it is the one of all such calls."""
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """Span attributes and baggage, by the keys that limits ask for."""
    resource: Mapping[str, str] = field(default_factory=dict[str, str])
    """The same of the tracer provider's resource, which counts last."""

    def value(self, per: str) -> str:
        """The value of a limit's key for this call."""
        match per:
            case "trace":
                found = self.trace
            case "process":
                found = self.process
            case _:
                found = self.keys.get(per, "") or (self.agent if per == "agent" else "")
                found = found or told(spellings(per), *(session.attributes for session in self.session.chain()))
                found = found or self.resource.get(per, "")
        return as_value(found)


def as_value(found: str) -> str:
    """The value of an account's key. One that reads like the absence of one is told from it by more brackets."""
    return f"({found})" if _LIKE_NOBODY.fullmatch(found) else found or NOBODY


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


def account(per: str, value: str) -> str:
    """The name of an account, one for each pair of key and value; very long values are cut and hashed.

    The first `=` divides them, so one in the key's own name is written `%3D`. Every other name is as it is.
    """
    if per == ALL:
        return ALL
    if len(value) > _MAX_VALUE:
        value = f"{value[:_MAX_VALUE]}#{blake2b(value.encode('utf-8', 'replace'), digest_size=8).hexdigest()}"
    return f"{escaped(per)}={value}"


def is_nobodys(name: str) -> bool:
    """Whether an account is that of the calls which lack its key."""
    return name.endswith(f"={NOBODY}")


@lru_cache(maxsize=1024)
def escaped(per: str) -> str:
    """A key as it stands in the names of its accounts."""
    return _ESCAPED.sub(lambda found: "%3D" if found[0] == "=" else "%25", per)


def key_of(name: str) -> tuple[str, str]:
    """Key and value of an account, from its name; `all` has no value."""
    per, _, value = name.partition("=")
    return _ESCAPES.sub(lambda found: "=" if found[0] == "%3D" else "%", per), value


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


def demand(limits: Sequence[Limit], caller: Caller, fact: Callable[[str], str] = nothing) -> Demand:
    """Accounts and caps of one call: every session of the chain and `all` are always booked.

    `fact` gives what the call itself tells of a key; empty where it tells nothing.
    """
    plan = caller.session.plan
    if plan is None or plan.limits is not limits:
        plan = _plan(limits, caller.session)
        object.__setattr__(caller.session, "plan", plan)
    if not plan.keyed:
        return plan.always
    vague = False
    accounts, caps = list(plan.always.accounts), list(plan.always.caps)
    for limit in plan.keyed:
        said = fact(limit.per) if limit.per in FACTS else ""
        value = as_value(said) if said else caller.value(limit.per)
        vague = vague or (value == NOBODY and limit.per != ALL)
        name = account(limit.per, value)
        if name not in accounts:
            accounts.append(name)
        caps.append(Cap(name, limit.meter, limit.cap))
    return Demand(tuple(accounts), tuple(caps), plan.always.limits + plan.keyed, vague, keyed=True)


def _plan(limits: Sequence[Limit], of: Session) -> _Plan:
    accounts = [ALL]
    caps: list[Cap] = []
    sources: list[Limit] = []
    keyed = [limit for limit in limits if limit.per != "session"]
    for session in of.chain():
        name = account("session", session.id)
        accounts.append(name)
        own = [limit for limit in session.limits if limit.per == "session"]
        replaced = {limit.meter for limit in own}
        own += [limit for limit in limits if limit.per == "session" and limit.meter not in replaced]
        caps += [Cap(name, limit.meter, limit.cap) for limit in own]
        sources += own
        keyed += [limit for limit in session.limits if limit.per != "session"]
    return _Plan(limits, Demand(tuple(accounts), tuple(caps), tuple(sources)), tuple(keyed))


def keys_of(limits: Sequence[Limit]) -> frozenset[str]:
    """The keys that these limits need to know, beyond those that every call has."""
    return frozenset(limit.per for limit in limits) - _SHARED
