"""What a price list says: providers, their models, and the prices of a model at a time, in the list's own units."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Protocol

Match = Callable[[str], bool]
"""Whether a name, in lower case, is meant."""
Active = Callable[[datetime], bool]
"""Whether a price holds at a time, which has a zone."""


@dataclass(frozen=True, slots=True)
class PriceStep:
    """USD from so many input tokens on."""

    start: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class Stepped:
    """A price that depends on the size of the call's input; its steps ascend."""

    base: Decimal
    tiers: Sequence[PriceStep]


PriceOf = Mapping[str, Decimal | Stepped | None]
"""By genai-prices' names: `input_mtok`, `cache_read_mtok`, ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """Prices, and when they hold; `when` (service tier, speed) is empty but for those of a variant."""

    prices: PriceOf
    active: Active | None = None
    when: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model of a provider."""

    id: str
    match: Match
    context_window: int | None
    prices: Sequence[Dated]
    """The last one that holds counts; the first, where none does."""
    variants: Sequence[Dated]
    """What is priced apart for who asks for it: the first that applies to a price counts."""
    changes: bool
    """Its prices depend on the time."""

    def at(self, now: datetime, asked: Mapping[str, str]) -> dict[str, Decimal | Stepped | None]:
        """Its prices at a time, for a request that asks for a service tier or a speed."""
        holds = (one for one in reversed(self.prices) if one.active is None or one.active(now))
        prices = dict(next(holds, self.prices[0]).prices)
        apart: dict[str, Decimal | Stepped | None] = {}
        for one in self.variants:
            if (one.active is None or one.active(now)) and one.when.items() <= asked.items():
                for name, price in one.prices.items():
                    if price is not None:
                        apart.setdefault(name, price)
        return {**prices, **apart}


class Models(Protocol):
    """The models of one provider."""

    def find(self, name: str) -> Model | None:
        """The first one that a name, in lower case, means."""
        ...

    def __iter__(self) -> Iterator[Model]: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Provider:
    """One provider."""

    id: str
    pricing_urls: Sequence[str]
    """Pages that its prices were taken from."""
    api_pattern: str
    """A regular expression of the URLs of its API, from their start."""
    makes: Match | None
    """Whether a model is of its making."""
    is_called: Match | None
    """Whether a name of a provider means this one."""
    stands_in: Sequence[str]
    """Ids of the providers whose models it offers at their price, where it has none of its own."""
    models: Models

    def find(self, name: str, others: Mapping[str, "Provider"]) -> tuple[Model, bool] | None:
        """The model that a name means, and whether it is in this provider's own list."""
        lower = name.lower()
        for one in dict.fromkeys((lower, _dashed(lower))):
            if (model := self.models.find(one)) is not None:
                return model, True
            for other in filter(None, map(others.get, self.stands_in)):
                if (model := other.models.find(one)) is not None:
                    return model, False
        return None


_COMPACT = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


def _dashed(name: str) -> str:
    """A name with the date that LiteLLM and OpenRouter write without dashes written as the makers do."""

    def written(found: re.Match[str]) -> str:
        year, month, day = found.groups()
        try:
            return f"-{date(int(year), int(month), int(day)).isoformat()}"
        except ValueError:
            return found[0]

    return _COMPACT.sub(written, name)


# How the list is written: genai-prices' classes by their names and arguments ------------------------------------------


def starts_with(starts_with: str) -> Match:
    """A name that begins so."""
    head = starts_with.lower()
    return lambda name: name.startswith(head)


def ends_with(ends_with: str) -> Match:
    """A name that ends so."""
    tail = ends_with.lower()
    return lambda name: name.endswith(tail)


def contains(contains: str) -> Match:
    """A name with this in it."""
    part = contains.lower()
    return lambda name: part in name


def equals(equals: str) -> Match:
    """This name."""
    whole = equals.lower()
    return lambda name: name == whole


def fits(regex: str) -> Match:
    """A name in which the expression is found."""
    return lambda name: re.search(regex, name) is not None


def any_of(or_: Iterable[Match]) -> Match:
    """A name that one of them means."""
    every = tuple(or_)
    return lambda name: any(match(name) for match in every)


def all_of(and_: Iterable[Match]) -> Match:
    """A name that all of them mean."""
    every = tuple(and_)
    return lambda name: all(match(name) for match in every)


def from_date(start_date: date) -> Active:
    """From a day on, by UTC."""
    return lambda now: now.astimezone(UTC).date() >= start_date


def in_hours(start_time: time, end_time: time) -> Active:
    """Between two times of the day, by UTC; over midnight where the end is before the start."""
    start, end = _utc(start_time), _utc(end_time)

    def active(now: datetime) -> bool:
        at = now.astimezone(UTC).timetz()
        return start <= at < end if start <= end else at >= start or at < end

    return active


def _utc(at: time) -> time:
    if at.tzinfo is None:
        return at.replace(tzinfo=UTC)
    return datetime.combine(date(1970, 1, 1), at).astimezone(UTC).timetz()


def stepped(base: Decimal, tiers: Iterable[PriceStep]) -> Stepped:
    """A price by the size of the input."""
    return Stepped(base, sorted(tiers, key=lambda step: step.start))


def dated(prices: PriceOf, constraint: Active | None = None, when: Mapping[str, str] | None = None) -> Dated:
    """Prices under a condition."""
    return Dated(prices=prices, active=constraint, when=when or {})


def model(
    id: str,
    match: Match,
    prices: PriceOf | Sequence[Dated] = (),
    context_window: int | None = None,
    price_variants: Sequence[Dated] | None = None,
    **told: object,
) -> Model:
    """A model; what is `told` besides (its name, comments) is let go."""
    del told
    return Model(
        id=id,
        match=match,
        context_window=context_window,
        prices=[dated(prices)] if isinstance(prices, Mapping) else prices or [dated({})],
        variants=price_variants or (),
        changes=not isinstance(prices, Mapping),
    )
