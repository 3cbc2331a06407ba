"""The price data by importing the library: the longer way, where its text is not written as `price_text` knows it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from agent_fuse.quoting.price_list import Dated, Model, Provider

if TYPE_CHECKING:
    from genai_prices import types


def read() -> list[Provider]:
    """The providers of the installed data."""
    from genai_prices.data import providers  # noqa: PLC0415 - importing it takes half a second

    return [_provider(one) for one in providers]


def _provider(theirs: "types.Provider") -> Provider:
    return Provider(
        id=theirs.id,
        pricing_urls=theirs.pricing_urls or (),
        api_pattern=theirs.api_pattern,
        makes=theirs.model_match.is_match if theirs.model_match is not None else None,
        is_called=theirs.provider_match.is_match if theirs.provider_match is not None else None,
        stands_in=theirs.fallback_model_providers or (),
        models=_Models([_model(one) for one in theirs.models]),
    )


def _model(theirs: "types.ModelInfo") -> Model:
    prices = theirs.prices if isinstance(theirs.prices, list) else None
    return Model(
        id=theirs.id,
        match=theirs.match.is_match,
        context_window=theirs.context_window,
        prices=[_dated(one) for one in prices] if prices else [Dated(prices=vars(theirs.prices), when={})],
        variants=[_dated(one) for one in theirs.price_variants or ()],
        changes=prices is not None,
    )


def _dated(theirs: "types.ConditionalPrice | types.PriceVariant") -> Dated:
    return Dated(
        prices=vars(theirs.prices),
        active=theirs.constraint.active if theirs.constraint is not None else None,
        when=getattr(theirs, "when", {}),
    )


class _Models:
    """Models in the order in which they are asked."""

    def __init__(self, every: Sequence[Model]) -> None:
        self._every = every

    def find(self, name: str) -> Model | None:
        """The first one that a name means."""
        return next((one for one in self._every if one.match(name)), None)

    def __iter__(self) -> Iterator[Model]:
        return iter(self._every)
