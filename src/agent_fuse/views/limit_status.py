"""Standings: what is spent, held and left of each cap that is known, for whoever reads the ledger from outside."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from agent_fuse.account_names import ALL, NOBODY, current, escaped, key_of, plain
from agent_fuse.accounting.published_limits import PREFIX, PublishedLimit, read_published
from agent_fuse.calls import RefusedBy, to_nanos
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers.base import Balance, Meter
from agent_fuse.ledgers.controls import Controls
from agent_fuse.ledgers.reading import Reader, Refused
from agent_fuse.limits import counted

BUDGET = "AGENTFUSE_BUDGET"
_MANY = 500
"""Accounts with a cap of their own, beyond which not all of them are looked at where a look must be cheap."""
_WINDOW = re.compile(r" (in any \d+[smhd]|an? (?:hour|day|week|month)(?: \([^)]*\))?)$")
"""How a limit in words ends that has a window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitStatus:
    """One account against one cap. Amounts are nano-dollars for usd, else counts."""

    account: str
    """As a person names it, without the window, which is the cap's."""
    cap: PublishedLimit
    spent: int
    held: int
    refused: int
    """Calls that this limit refused on the account, in the time that was asked about."""
    extra: int = 0
    """What the cap is topped up by."""
    stopped: bool = False
    """Whether someone stopped the account, or everything: nothing more is spent on it."""

    @property
    def amount(self) -> int:
        """The cap, topped up."""
        return self.cap.amount + self.extra

    @property
    def words(self) -> str:
        """The amount and the window: `$5.00`, `60 calls in any 1m`, `$100.00 a month (Europe/Berlin)`."""
        over = self.cap.over
        amount = counted(self.cap.meter, self.amount)
        return amount if over is None else f"{amount} {over.words}"

    @property
    def value(self) -> str:
        """Whose account it is: `run-1` of `session=run-1`; `all` for the account of everything."""
        return key_of(self.account)[1] or self.account

    @property
    def whose(self) -> str:
        """Key and value in words: `session run-1`, `user.id ann`, `calls without user.id`; `all`."""
        key, value = key_of(self.account)
        return f"calls without {key.replace(',', ' or ')}" if value == NOBODY else f"{key} {value}".rstrip()

    @property
    def left(self) -> int:
        """What calls may still ask for; never negative."""
        return max(self.amount - self.spent - self.held, 0)

    @property
    def used(self) -> float:
        """Share of the cap that is spent or held; above 1 where calls came out dearer than their quote."""
        return (self.spent + self.held) / self.amount if self.amount else 1.0

    @property
    def reached(self) -> bool:
        """Whether nothing is left. Time runs on when a run is over: that it is up is no alarm, a refusal is one."""
        return self.cap.meter is not Meter.SECONDS and self.spent + self.held >= self.amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Standings:
    """The standings of one ledger, the most used first within each cap."""

    caps: tuple[PublishedLimit, ...]
    """All that are known, also those that no account has met."""

    shown: tuple[LimitStatus, ...]
    more: int
    """Accounts under a cap that are not shown; each is less used than those of its cap that are."""

    @property
    def tightest(self) -> LimitStatus | None:
        """The one that stops calls first: one that refused some lately before others, then the most used."""
        alive = (one for one in self.shown if one.refused or one.cap.meter is not Meter.SECONDS)
        return max(alive, key=lambda one: (one.refused > 0, one.used, one.account), default=None)


def known_caps(reader: Reader, environ: Mapping[str, str]) -> list[PublishedLimit]:
    """Caps that fuses posted; without one on dollars per session, that of AGENTFUSE_BUDGET, if it is set.

    Raises:
        ConfigurationError: AGENTFUSE_BUDGET is no amount. LedgerError.
    """
    return with_budget(read_published(reader.notes(PREFIX)), environ)


def with_budget(caps: list[PublishedLimit], environ: Mapping[str, str]) -> list[PublishedLimit]:
    """These caps, and that of AGENTFUSE_BUDGET where it counts. Raises ConfigurationError."""
    general = any(
        cap.per == "session" and cap.meter is Meter.USD and not cap.account and not cap.window for cap in caps
    )
    text = environ.get(BUDGET, "")
    if text and not general:
        try:
            amount = to_nanos(text, BUDGET)
        except ValueError as bad:
            raise ConfigurationError(str(bad)) from None
        return [*caps, PublishedLimit(per="session", meter=Meter.USD, amount=amount, source=BUDGET)]
    return caps


def standings(
    reader: Reader,
    caps: list[PublishedLimit],
    *,
    now: float,
    limit: int,
    account: str | None = None,
    refused: Iterable[Refused] = (),
    alive: Collection[str] | None = None,
) -> Standings:
    """At most `limit` accounts for each cap; with `account` (without a window), that one only.

    `refused` is what was refused lately. With `alive`, where very many accounts have a cap of their own, those of them
    that are in `alive` (without windows) are looked at alone: a look stays cheap.
    """
    counts = counted_by_limit(refused)
    controls = Controls(reader.controls())
    single_caps = [cap for cap in caps if cap.account]
    many = alive is not None and len(single_caps) > _MANY
    own = {
        (current(cap.account, now), cap.meter): cap
        for cap in single_caps
        if not many or (alive is not None and plain(cap.account) in alive)
    }
    has_own = {(cap.account, cap.meter) for cap in single_caps} if many else own.keys()
    shown: list[LimitStatus] = []
    more = 0
    children = reader.balances(sorted(controls.children()), now=now)

    def kept(name: str) -> int:
        return controls.kept(name, lambda child: sum(children[child].used(Meter.USD, now)), now)

    for cap in caps:
        if cap.account:
            continue
        accounts = list(_accounts(reader, cap, limit + min(len(has_own), _MANY if many else len(own)), account, now))
        accounts = [one for one in accounts if (one[0], cap.meter) not in has_own]
        shown += [
            _standing(name, balance, cap, counts, controls=controls, kept=kept, now=now)
            for name, balance in accounts[:limit]
        ]
        if account is None and cap.per != ALL:
            overridden = sum(1 for name, meter in has_own if meter is cap.meter and name.startswith(f"{cap.scope}="))
            more += max(reader.count_accounts(cap.scope, now=now) - overridden - len(accounts[:limit]), 0)
    named = [(name, cap) for (name, _), cap in own.items() if account in (None, plain(cap.account))]
    found = reader.balances([name for name, _ in named], now=now)
    single = [_standing(name, found[name], cap, counts, controls=controls, kept=kept, now=now) for name, cap in named]
    single.sort(key=lambda one: (-one.used, one.account))
    return Standings(caps=tuple(caps), shown=(*shown, *single[:limit]), more=more + max(len(single) - limit, 0))


def _accounts(
    reader: Reader, cap: PublishedLimit, limit: int, account: str | None, now: float
) -> Iterator[tuple[str, Balance]]:
    if cap.per == ALL:
        if account in (None, ALL):
            name = current(cap.scope, now)
            yield name, reader.balances([name], now=now)[name]
    elif account is None:
        yield from reader.accounts(cap.scope, cap.meter, limit, now=now)
    else:
        per, value = key_of(account)
        if per == cap.per:
            name = current(f"{cap.scope}={value}", now)
            yield name, reader.balances([name], now=now)[name]


def counted_by_limit(refused: Iterable[Refused]) -> dict[tuple[str, str, str], int]:
    """How many calls were refused, by account, meter and window (in words) of the limit that refused them."""
    counts: dict[tuple[str, str, str], int] = {}
    for one in refused:
        if one.by is not None and one.by.limit:
            window = _WINDOW.search(one.by.limit)
            key = account_of(one.by), one.by.meter, window[1] if window else ""
            counts[key] = counts.get(key, 0) + one.count
    return counts


def account_of(by: RefusedBy) -> str:
    """The account on which a limit refused."""
    return ALL if by.per == ALL else f"{escaped(by.per)}={by.value}"


def refuser(by: RefusedBy) -> str:
    """The limit that refused, and whose: `$0.02 per user.id ann`, `$0.02 per user.id, for calls without one`."""
    return f"{by.limit}, for calls without one" if by.value == NOBODY else f"{by.limit} {by.value}".rstrip()


def _standing(
    name: str,
    balance: Balance,
    cap: PublishedLimit,
    refused: Mapping[tuple[str, str, str], int],
    *,
    controls: Controls,
    kept: Callable[[str], int],
    now: float,
) -> LimitStatus:
    spent, held = balance.used(cap.meter, now)
    if cap.meter is Meter.USD:
        held += kept(name)
    over, account = cap.over, plain(name)
    whose = account, cap.meter.value, over.words if over is not None else ""
    return LimitStatus(
        account=account,
        cap=cap,
        spent=spent,
        held=held,
        refused=refused.get(whose, 0),
        extra=controls.topped_up(name, cap.meter, now),
        stopped=controls.stop((ALL, name)) is not None,
    )
