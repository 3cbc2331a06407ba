"""What was spent: the figures of a session and of the whole ledger, and the limit that leaves the least."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, TypeVar

from agent_fuse.account_names import ALL, NOBODY, account, key_of, plain
from agent_fuse.accounting.published_limits import own_limit
from agent_fuse.calls import to_usd
from agent_fuse.errors import SentinelSystemError
from agent_fuse.fuse import Fuse
from agent_fuse.ledgers.base import Balance, Cap, LedgerError, Meter
from agent_fuse.ledgers.controls import Controls
from agent_fuse.ledgers.controls import read as read_controls
from agent_fuse.limits import Caller, Limit, Session, counted, demand, nothing, subjects_of
from agent_fuse.mistakes import misspelt

if TYPE_CHECKING:
    from agent_fuse.spent_by import By, Spent

T = TypeVar("T")

_WAYS = ("model", "agent", "tool", "child")
_REMEMBERED = 1_000
_CENT, _NANO = Decimal("0.01"), Decimal("1e-9")


def _told_whole(_: "By") -> Mapping[str, "Spent"]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageStats:
    """What was spent: `total_*` in the whole ledger, `session_*` in the session that was asked about."""

    total_spend_usd: Decimal
    total_input_tokens: int
    total_output_tokens: int
    total_calls: int
    session_spend_usd: Decimal
    session_calls: int
    budget_remaining_usd: Decimal | None
    """Under the tightest limit in USD: the session's, one of those around it, or one on everything. After what open
    calls hold; None without a limit. Never negative."""
    budget_limit_usd: Decimal | None
    """The cap of that limit."""
    apart: Callable[["By"], Mapping[str, "Spent"]] = field(default=_told_whole, repr=False, compare=False)

    def by(self, what: "By") -> Mapping[str, "Spent"]:
        """What the session spent by `"model"`, `"agent"` or `"tool"`, sessions inside it included, or by each of those.

        The dearest come first. It is read when it is asked for, from the journal.

        Raises:
            ConfigurationError: it cannot be told by that. SentinelSystemError: the ledger cannot be read.
        """
        return self.apart(what)


class Known:
    """Sessions that this process was in lately, with the limits that they brought and the sessions around them."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def met(self, session: Session) -> None:
        """The process is in this session."""
        self._sessions[session.id] = session
        while len(self._sessions) > _REMEMBERED:
            self._sessions.popitem(last=False)

    def all(self) -> list[Session]:
        """All of them, those met longest ago first."""
        return list(self._sessions.values())

    def get(self, id: str) -> Session | None:
        """The session of this name, as it was last."""
        return self._sessions.get(id)


KNOWN = Known()

LEFT: ContextVar[Session | None] = ContextVar("agent_fuse_left", default=None)
"""The session that was left last in this context."""


def of_session(fuse: Fuse, session: str | Session) -> Caller:
    """On whose account calls of a session went, which may be over: its limits are remembered, or read in the ledger.

    Raises:
        SentinelSystemError: the ledger cannot be read.
    """
    found = session if isinstance(session, Session) else KNOWN.get(session)
    if found is None:
        name = str(session)
        cap = _asked(lambda: own_limit(fuse.ledger, account("session", name), Meter.USD, now=fuse.clock()))
        found = Session(id=name, limits=() if cap is None else (Limit(usd=to_usd(cap)),))
    return Caller(session=found)


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except LedgerError as failed:
        raise SentinelSystemError(
            f"spend cannot be read: {failed}", operation="balances", original_error=failed, retry_count=0
        ) from failed


def usage_stats_here(fuse: Fuse, caller: Caller) -> UsageStats:
    """The figures of the caller's session; of the one left last here where nobody named one, and it has had no call.

    Raises:
        SentinelSystemError: the ledger cannot be read.
    """
    found, left = usage_stats(fuse, caller), LEFT.get()
    if left is None or found.session_calls or not caller.nameless or fuse.settings.session_id:
        return found
    return usage_stats(fuse, of_session(fuse, left))


def usage_stats(fuse: Fuse, caller: Caller) -> UsageStats:
    """The figures as they are now.

    Raises:
        SentinelSystemError: the ledger cannot be read and fail_safe=True.
    """
    now = fuse.clock()
    own_name = account("session", caller.session.id)
    caps = [
        cap
        for cap in demand(fuse.limits, caller, now=now).caps
        if cap.meter is Meter.USD and key_of(cap.account)[1] != NOBODY  # nothing is known yet of who is not told
    ]
    controls, found = _as_it_stands(fuse, [ALL, own_name, *(cap.account for cap in caps)], now)
    everything, own = found.get(ALL, Balance()), found.get(own_name, Balance())

    def amount(cap: Cap) -> int:
        return cap.amount - cap.kept + controls.topped_up(cap.account, cap.meter, now)

    used = _used(controls, found, caller, now)

    def left(cap: Cap) -> int:
        return max(amount(cap) - used(cap), 0)

    tightest = min(caps, key=left, default=None)
    return UsageStats(
        total_spend_usd=to_usd(everything.settled.usd),
        total_input_tokens=everything.settled.tokens - everything.settled.output_tokens,
        total_output_tokens=everything.settled.output_tokens,
        total_calls=everything.settled.calls,
        session_spend_usd=to_usd(own.settled.usd),
        session_calls=own.settled.calls,
        budget_remaining_usd=None if tightest is None else to_usd(left(tightest)),
        budget_limit_usd=None if tightest is None else to_usd(amount(tightest)),
        apart=lambda what: _apart(fuse, caller.session.id, what),
    )


def _apart(fuse: Fuse, session: str, what: "By") -> Mapping[str, "Spent"]:
    from agent_fuse.spent_by import spent_by  # noqa: PLC0415  few ask for it

    if what not in _WAYS:
        raise misspelt(str(what), "way to tell what was spent apart", _WAYS)
    return _asked(lambda: spent_by(fuse, session, what, KNOWN.all()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """What calls made here may still ask for, under the tightest limit of each meter; None where there is no limit."""

    usd: Decimal | None
    tokens: int | None
    output_tokens: int | None
    calls: int | None
    tool_calls: int | None
    concurrent: int | None
    """Calls that may be opened beside those that are open."""
    seconds: int | None
    share: float
    """Of the limit that leaves the smallest share, 0 to 1; 1 without limits."""
    stopped: bool
    """Whether someone stopped what runs here: then nothing goes."""

    def __str__(self) -> str:
        """In words fit for a model: `$0.42 and 7 calls are left, 21% of the tightest limit`."""
        if self.stopped:
            return "nothing is left: a person stopped this work"
        counts = [(meter, getattr(self, meter)) for meter in Meter if meter is not Meter.USD]
        parts = [counted(meter, count) for meter, count in counts if count is not None]
        if self.usd is not None:
            parts.insert(0, _rounded(self.usd))
        if not parts:
            return "there is no limit"
        *first, last = parts
        are = "is" if len(parts) == 1 and (self.usd is not None or last.startswith("1 ")) else "are"
        return f"{', '.join(first)}{' and ' if first else ''}{last} {are} left, {self.share:.0%} of the tightest limit"


def _rounded(usd: Decimal) -> str:
    """Down to the cent, and to two digits where that is less than ten of them."""
    digit = max(Decimal(1).scaleb(min(usd.adjusted() - 1, -2)), _NANO) if usd else _CENT
    digits = f"{usd.quantize(digit, ROUND_FLOOR):f}"
    return f"${digits[:4]}{digits[4:].rstrip('0')}" if usd < 1 else f"${digits}"


def remaining(fuse: Fuse, caller: Caller, fact: Callable[[str], str] = nothing) -> Remaining:
    """What is left as it stands now; `fact` is what a call itself tells of a limit's key.

    Raises:
        SentinelSystemError: the ledger cannot be read.
    """
    now = fuse.clock()
    due = demand(fuse.limits, caller, fact, now=now)
    caps = [cap for cap in due.caps if key_of(cap.account)[1] != NOBODY]
    subjects = subjects_of(due, caller)
    controls, found = _as_it_stands(fuse, [cap.account for cap in caps], now, subjects)
    used = _used(controls, found, caller, now)
    left: dict[Meter, int] = {}
    share = 1.0
    for cap in caps:
        amount = cap.amount - cap.kept + controls.topped_up(cap.account, cap.meter, now)
        rest = max(amount - used(cap), 0)
        left[cap.meter] = min(rest, left.get(cap.meter, rest))
        share = min(share, rest / amount if amount else 0.0)
    usd = left.pop(Meter.USD, None)
    return Remaining(
        usd=None if usd is None else to_usd(usd),
        share=share,
        stopped=controls.stop(subjects) is not None,
        **{meter.value: left.get(meter) for meter in Meter if meter is not Meter.USD},
    )


def _as_it_stands(
    fuse: Fuse, accounts: list[str], now: float, subjects: Iterable[str] = ()
) -> tuple[Controls, dict[str, Balance]]:
    def look() -> tuple[Controls, dict[str, Balance]]:
        names = {plain(name) for name in (*accounts, *subjects)}
        controls = read_controls(fuse.ledger.controls(names))
        return controls, fuse.ledger.balances([*accounts, *controls.children()], now=now)

    return _asked(look)


def _used(controls: Controls, found: Mapping[str, Balance], caller: Caller, now: float) -> Callable[[Cap], int]:
    """What counts against a cap: what is settled and held, and kept for sessions that the caller is not in."""
    chain = [account("session", one.id) for one in caller.session.chain()]

    def usd(name: str) -> int:
        return sum(found.get(name, Balance()).used(Meter.USD, now))

    def used(cap: Cap) -> int:
        kept = controls.kept(cap.account, usd, now, chain) if cap.meter is Meter.USD else 0
        return sum(found.get(cap.account, Balance()).used(cap.meter, now)) + kept

    return used
