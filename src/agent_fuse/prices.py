"""What a model costs: genai-prices' bundled data, under the user's own prices, resolved once into integer rates."""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Literal

from agent_fuse.errors import ConfigurationError, UnknownModelError
from agent_fuse.quoting import library
from agent_fuse.quoting.families import hides_reasoning, max_output, search_tokens, searches_itself
from agent_fuse.quoting.library import FREE, Listed, load, model_endpoint, provider_named
from agent_fuse.quoting.names import bare, fine_tuned, provider_id
from agent_fuse.quoting.overrides import Overrides, Own
from agent_fuse.quoting.price_list import PriceOf
from agent_fuse.quoting.rates import Origin, Price, Rates, flat, picos, scaled
from agent_fuse.quoting.recent import Recent
from agent_fuse.quoting.request_parameters import TIERS
from agent_fuse.quoting.supplements import (
    PREVIEW_SEARCH_KCOUNT,
    at_tier,
    supplemented,
    tool_fees,
)
from agent_fuse.quoting.tariffs import per_call, per_character, per_page, per_search, per_second, tiers

__all__ = [
    "FALLBACK_PRICE",
    "Price",
    "PriceBook",
    "Prices",
    "Rates",
    "UnknownModel",
    "load",
    "model_endpoint",
    "provider_named",
]

Prices = Mapping[str, Own] | str | os.PathLike[str]
"""What `prices=` takes: by model name or pattern a Price or another model's name, or the path of a file of them."""

log = logging.getLogger(__name__)

UnknownModel = Literal["fallback", "block", "free"]
"""What to do about a model without a price."""

FALLBACK_PRICE = Price(20, 75, cache_write=40, input_audio=40, output_audio=80)
"""Of a model that nothing is known of: no mainstream flagship in the data costs more, in any bucket or tier (Claude
Opus 4.1 is at 15/75, GPT-6 Astra at 20/75 beyond 272k tokens). Dearer are the pro, cyber and retired GPT-4 models."""

_NOTHING = Price(0, 0)

UNMETERED = frozenset({"ollama"})
"""Providers that bill nothing by the call: the user's own machine, or a subscription."""

_FINE_TUNE_FACTOR = 2
"""Times its base, what a fine-tune costs whose price the data lacks: it has gpt-4o at 1.5 and gpt-4o-mini at 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Where a model's price comes from; all but what applies is empty."""

    key: str
    """The entry of the user's own that applies, as written."""
    pattern: bool
    """Whether that is a pattern."""
    alias: str
    """The model that the entry names."""
    own: bool
    """Whether the price itself is the user's."""
    fine_tune_of: str
    """The base whose price is taken, times a factor."""
    provider: str
    """Provider and model of the price data whose price it is."""
    model: str


class PriceBook:
    """Rates of every model, the user's own prices first.

    `overrides` maps a model's name, alone or as `provider/model`, or a pattern of names to a Price, or to the name of
    the model whose price it is. An exact name wins over the longest pattern, and that over the data. `unknown_model`
    says what a model costs that neither they nor the data know: `fallback` FALLBACK_PRICE, with one warning a model;
    `block` raises; `free` nothing. Safe in threads; a known model is one dictionary look-up.

    Raises:
        ConfigurationError: an override is no price and no alias of a model that has one; a bad `unknown_model`.
    """

    def __init__(
        self, overrides: Mapping[str, Own] | Overrides | None = None, unknown_model: UnknownModel = "fallback"
    ) -> None:
        if unknown_model not in ("fallback", "block", "free"):
            raise ConfigurationError(f"unknown_model is {unknown_model!r}; it must be 'fallback', 'block' or 'free'")
        self.unknown_model: UnknownModel = unknown_model
        self._overrides = overrides if isinstance(overrides, Overrides) else checked(Overrides(overrides or {}))
        self._stands: Recent[tuple[str, str | None], str] = Recent(2_048)
        self._resolved: Recent[tuple[str, str | None, str], tuple[Rates, int | None]] = Recent(2_048)
        self._warned: Recent[str, bool] = Recent(2_048)
        self._served: Recent[tuple[str, str | None], str] = Recent(2_048)
        self._unnamed = flat(FALLBACK_PRICE, origin=Origin.FALLBACK, max_output_tokens=max_output("", None))

    def rates(
        self, model: str | None, provider: str | None = None, *, at: float | None = None, tier: str = ""
    ) -> Rates:
        """The rates of a model, as of `at` (seconds, UTC epoch; None: now, asked only where prices change in time).

        A model of None (not known yet) is rated like an unknown one under `fallback`, silently. `tier` is what
        else decides a price (`request_parameters.tier`): `priority`, `flex`, `batch`, `fast`, `@us`, `fast@us`.

        Raises:
            UnknownModelError: there is no price for the model, and unknown_model is "block".
        """
        if not isinstance(model, str) or not model:
            return self._unnamed
        given: object = provider
        if provider is not None and not isinstance(given, str):
            provider = None
        key = (model, provider, tier)
        if (found := self._resolved.get(key)) is not None:
            rates, minute = found
            if minute is None or minute == (time.time() if at is None else at) // 60:
                return rates
        now = time.time() if at is None else at
        rates, changes = self._resolve(model, provider, now, tier)
        self._resolved.put(key, (rates, int(now // 60) if changes else None))
        return rates

    def served(self, model: str, provider: str | None, by: str) -> None:
        """An answer to a call of `model`, which has no price, names the model that gave it: price the next ones so."""
        key = (model, provider)
        if by != model and self._served.get(key) != by and self._is_priced(by, provider):
            self._served.put(key, by)
            for tier in TIERS:
                self._resolved.drop((model, provider, tier))

    def stands_for(self, model: str | None, provider: str | None) -> str | None:
        """The model that a name is an alias of, whose tokens it counts in; the name itself where it is none."""
        if model is None or not self._overrides.aliased:
            return model
        known = self._stands.get((model, provider))
        if known is None:
            found = self._overrides.find(model, provider)
            known = found.value if found is not None and isinstance(found.value, str) else model
            self._stands.put((model, provider), known)
        return known

    def why(self, model: str, provider: str | None) -> Why:
        """Where the price of a model comes from, in the order in which `rates` looks."""
        own = self._overrides.find(model, provider)
        alias = own.value if own is not None and isinstance(own.value, str) else ""
        name = alias or model
        price = own.value if own is not None and isinstance(own.value, Price) else None
        if alias:
            price = self._overrides.priced(alias, provider)
        listed, base = None, None
        if price is None:
            listed, base = library.listed(name, provider), fine_tuned(name)
            if listed is None and base is not None:
                listed = library.listed(base, provider)
            else:
                base = None
        return Why(
            key=own.key if own is not None else "",
            pattern=own is not None and own.pattern,
            alias=alias,
            own=price is not None,
            fine_tune_of=base or "",
            provider=listed.provider.id if listed is not None else "",
            model=listed.model.id if listed is not None else "",
        )

    def _is_priced(self, model: str, provider: str | None) -> bool:
        return self._overrides.find(model, provider) is not None or library.listed(model, provider) is not None

    def _resolve(self, model: str, provider: str | None, at: float, tier: str) -> tuple[Rates, bool]:
        if (own := self._overrides.find(model, provider)) is None and provider_id(provider or "") in UNMETERED:
            return flat(_NOTHING, origin=Origin.FREE, max_output_tokens=max_output(bare(model), None)), False
        if own is not None:
            if isinstance(own.value, str):
                model = own.value
                price = self._overrides.priced(model, provider)
            else:
                price = own.value
            if price is not None:
                return _own_rates(price, model, provider), False
        if (listed := library.listed(model, provider)) is not None:
            return _from_data(listed, model, at=at, tier=tier), listed.model.changes
        if (base := fine_tuned(model)) is not None and (listed := library.listed(base, provider)) is not None:
            return scaled(_from_data(listed, base, at=at, tier=tier), _FINE_TUNE_FACTOR), listed.model.changes
        if own is None and (by := self._served.get((model, provider))) is not None and by != model:
            return self._resolve(by, provider, at, tier)
        return self._unknown(model, provider), False

    def _unknown(self, model: str, provider: str | None) -> Rates:
        shown, at = repr(model[:120]), f" at {provider[:40]!r}" if provider else ""
        if self.unknown_model == "block":
            raise UnknownModelError(
                f"no price for model {shown}{at} and unknown_model='block'; "
                f"give it one with prices={{{shown}: Price(...)}}"
            )
        if self.unknown_model == "free":
            return flat(_NOTHING, origin=Origin.FREE, max_output_tokens=max_output(bare(model), None))
        if not self._warned.get(model):
            self._warned.put(model, True)
            log.warning(
                "no price for model %s%s: reckoned at $%s/$%s per million tokens; "
                "give it one with prices={%s: Price(...)}",
                *(shown, at, FALLBACK_PRICE.input, FALLBACK_PRICE.output, shown),
            )
        rates = flat(FALLBACK_PRICE, origin=Origin.FALLBACK, max_output_tokens=max_output(bare(model), None))
        return replace(rates, **_tool_fees("openai", bare(model), {}))


def _own_rates(price: Price, model: str, provider: str | None) -> Rates:
    listed = library.listed(model, provider)
    window = listed.model.context_window if listed else None
    rates = flat(
        price, origin=Origin.OVERRIDE, max_output_tokens=max_output(bare(model), window), context_window=window
    )
    if listed is None:  # it may run anywhere
        return rates
    return replace(rates, **_tool_fees(listed.provider.id, bare(listed.model.id), listed.model.prices[-1].prices))


def checked(own: Overrides) -> Overrides:
    """The same, once every alias is known to name a model that has a price.

    Raises:
        ConfigurationError: one names a model that nothing is known of.
    """

    def has_price(name: str) -> bool:
        return own.priced(name, None) is not None or library.listed(name, None) is not None

    for found in own.all() if own.aliased else ():
        target = found.value
        if not isinstance(target, str) or has_price(target) or has_price(fine_tuned(target) or target):
            continue
        near = get_close_matches(target.lower(), [*own.names(), *library.names()], n=9)
        meant = next(filter(has_price, near), None)
        hint = f"did you mean {meant!r}?" if meant else "name a model of the price data, or one with a Price"
        raise ConfigurationError(f"{own.where(found.key)} is an alias of {target!r}, which has no price; {hint}")
    return own


_OPENAIS = ("openai", "azure")
_BY_FALLBACK = flat(FALLBACK_PRICE, origin=Origin.FALLBACK, max_output_tokens=0).tiers


def _from_data(listed: Listed, asked_model: str, *, at: float, tier: str) -> Rates:
    provider, model, own = listed
    named = tier.partition("@")[0]
    asked = {"service_tier": named, "speed": named, "processing": named} if named and own else {}
    prices = supplemented(provider.id, model.id, model.at(datetime.fromtimestamp(at, UTC), asked))
    prices = at_tier(provider.id, model, prices, tier)
    fees = _tool_fees(provider.id, bare(model.id), prices)
    itself = searches_itself(bare(asked_model)) if provider.id in _OPENAIS else ""
    searching = {"web_search": fees["per_web_search"], "web_search_preview": fees["per_preview_search"]}
    return Rates(
        # A model that is billed by the second or the character is not free where tokens are told of it.
        tiers=tiers(prices) if prices.get("input_mtok") is not None or model.id.endswith(FREE) else _BY_FALLBACK,
        per_call=per_call(prices) or searching.get(itself, 0),
        per_character=per_character(prices),
        per_second=per_second(prices),
        per_page=per_page(prices),
        tokens_free=prices.get("input_mtok") is None and per_second(prices) > 0,
        **fees,
        max_output_tokens=max_output(bare(model.id), model.context_window),
        context_window=model.context_window,
        provider=provider.id,
        model=model.id,
    )


def _tool_fees(provider: str, bare_model: str, prices: PriceOf) -> dict[str, Any]:
    """The fees of tools that run at the provider, by their names in `Rates`."""
    fee = tool_fees(provider, bare_model)
    web = per_search(prices, "web_searches_kcount", fee.web_kcount)
    dear = provider in _OPENAIS and not hides_reasoning(bare_model)
    return {
        "per_web_search": web,
        "per_preview_search": picos(PREVIEW_SEARCH_KCOUNT, Decimal(10) ** 9) if dear else web,
        "per_file_search": per_search(prices, "storage_searches_kcount", fee.file_kcount),
        "per_container": picos(fee.container, Decimal(10) ** 12),
        "search_tokens": search_tokens(bare_model) if provider in _OPENAIS else 0,
    }
