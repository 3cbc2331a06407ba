"""What a model costs: genai-prices' bundled data, under the user's own prices, resolved once into integer rates."""

import logging
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import urlsplit

from agent_fuse.errors import ConfigurationError, UnknownModelError
from agent_fuse.quoting.asked import PRICED_TIERS
from agent_fuse.quoting.families import max_output
from agent_fuse.quoting.names import bare, fine_tuned, spellings
from agent_fuse.quoting.rates import Origin, Price, Rates, flat, picos, scaled
from agent_fuse.quoting.recent import Recent
from agent_fuse.quoting.supplements import CONTAINER_USD, FILE_SEARCH_KCOUNT, WEB_SEARCH_KCOUNT, supplemented
from agent_fuse.quoting.tariffs import per_call, per_character, per_search, per_second, tiers

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

__all__ = ["FALLBACK_PRICE", "Price", "PriceBook", "Rates", "UnknownModel", "load", "model_endpoint"]

log = logging.getLogger(__name__)

UnknownModel = Literal["fallback", "block", "free"]
"""What to do about a model without a price."""

FALLBACK_PRICE = Price(20, 75, cache_write=40, input_audio=40, output_audio=80)
"""Of a model that nothing is known of: no mainstream flagship in the data costs more, in any bucket or tier (Claude
Opus 4.1 is at 15/75, GPT-6 Astra at 20/75 beyond 272k tokens). Dearer are the pro, cyber and retired GPT-4 models."""

_FINE_TUNE_FACTOR = 2
"""Times its base, what a fine-tune costs whose price the data lacks: it has gpt-4o at 1.5 and gpt-4o-mini at 2."""


class PriceBook:
    """Rates of every model, the user's own prices first.

    `overrides` maps a model's name, alone or as `provider/model`, to its Price. `unknown_model` says what a model costs
    that neither they nor the data know: `fallback` FALLBACK_PRICE, with one warning a model; `block` raises; `free`
    nothing. Safe in threads; a known model is one dictionary look-up.
    """

    def __init__(self, overrides: Mapping[str, Price] | None = None, unknown_model: UnknownModel = "fallback") -> None:
        if unknown_model not in ("fallback", "block", "free"):
            raise ConfigurationError(f"unknown_model is {unknown_model!r}; it must be 'fallback', 'block' or 'free'")
        for name, price in (overrides or {}).items():
            if not isinstance(cast("object", price), Price):
                raise ConfigurationError(f"the price of {name!r} is {price!r}; write agent_fuse.Price(input, output)")
        self.unknown_model: UnknownModel = unknown_model
        self._overrides = {name.strip().lower(): price for name, price in (overrides or {}).items()}
        self._resolved: Recent[tuple[str, str | None, str], tuple[Rates, int | None]] = Recent(2_048)
        self._warned: Recent[str, bool] = Recent(2_048)
        self._served: Recent[tuple[str, str | None], str] = Recent(2_048)
        self._unnamed = flat(FALLBACK_PRICE, origin=Origin.FALLBACK, max_output_tokens=max_output("", None))

    def rates(
        self, model: str | None, provider: str | None = None, *, at: float | None = None, tier: str = ""
    ) -> Rates:
        """The rates of a model, as of `at` (seconds, UTC epoch; None: now, asked only where prices change in time).

        A model of None (not known yet) is rated like an unknown one under `fallback`, silently. `tier` is the request's
        `service_tier` or `speed` (`priority`, `flex`, `fast`), where the data prices it apart.

        Raises:
            UnknownModelError: there is no price for the model, and unknown_model is "block".
        """
        if not isinstance(model, str) or not model:
            return self._unnamed
        if provider is not None and not isinstance(cast("object", provider), str):
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
        if by != model and self._served.get(key) != by and _listed(by, provider) is not None:
            self._served.put(key, by)
            for tier in ("", *PRICED_TIERS):
                self._resolved.drop((model, provider, tier))

    def _resolve(self, model: str, provider: str | None, at: float, tier: str) -> tuple[Rates, bool]:
        if (own := self._own(model, provider)) is not None:
            listed = _listed(model, provider)
            window = listed[1].context_window if listed else None
            return (
                flat(
                    own,
                    origin=Origin.OVERRIDE,
                    max_output_tokens=max_output(bare(model), window),
                    context_window=window,
                ),
                False,
            )
        if (listed := _listed(model, provider)) is not None:
            return _from_data(*listed, at=at, tier=tier), isinstance(listed[1].prices, list)
        if (base := fine_tuned(model)) is not None and (listed := _listed(base, provider)) is not None:
            return scaled(_from_data(*listed, at=at, tier=tier), _FINE_TUNE_FACTOR), isinstance(listed[1].prices, list)
        if (by := self._served.get((model, provider))) is not None and (listed := _listed(by, provider)) is not None:
            return _from_data(*listed, at=at, tier=tier), isinstance(listed[1].prices, list)
        return self._unknown(model, provider), False

    def _own(self, model: str, provider: str | None) -> Price | None:
        for host, name in spellings(model, provider):
            if host is not None and (price := self._overrides.get(f"{host}/{name}")) is not None:
                return price
            if (price := self._overrides.get(name)) is not None:
                return price
        return None

    def _unknown(self, model: str, provider: str | None) -> Rates:
        shown, at = repr(model[:120]), f" at {provider[:40]!r}" if provider else ""
        if self.unknown_model == "block":
            raise UnknownModelError(
                f"no price for model {shown}{at} and unknown_model='block'; "
                f"give it one with prices={{{shown}: Price(...)}}"
            )
        if self.unknown_model == "free":
            return flat(Price(0, 0), origin=Origin.FREE, max_output_tokens=max_output(bare(model), None))
        if not self._warned.get(model):
            self._warned.put(model, True)
            log.warning(
                "no price for model %s%s: reckoned at $%s/$%s per million tokens; "
                "give it one with prices={%s: Price(...)}",
                *(shown, at, FALLBACK_PRICE.input, FALLBACK_PRICE.output, shown),
            )
        return flat(FALLBACK_PRICE, origin=Origin.FALLBACK, max_output_tokens=max_output(bare(model), None))


@cache
def _providers() -> tuple[list["Provider"], dict[str, "Provider"]]:
    from genai_prices.data import providers  # noqa: PLC0415 - importing it takes a third of a second

    return providers, {provider.id: provider for provider in providers}


def load() -> None:
    """Read the price data now (a third of a second) instead of at the first model asked for. No network."""
    _providers()


def _provider(name: str) -> "Provider | None":
    from genai_prices.data_snapshot import find_provider_by_id  # noqa: PLC0415

    return find_provider_by_id(_providers()[0], name)


def _listed(model: str, provider: str | None) -> "tuple[Provider, ModelInfo] | None":
    """The provider and model in the data, or None also where it lists a model but no price by tokens."""
    load()
    providers, _ = _providers()
    for host, name in spellings(model, provider):
        for one in _makers(name) if host is None else filter(None, (_provider(host),)):
            found = one.find_model(name, all_providers=providers)
            if found is not None:
                return (one, found) if _has_price(found) else None
    return None


_MAKERS = ("openai", "google", "cohere")
"""Whom to ask for models whose name does not tell their maker: text-embedding-3-small, chatgpt-4o-latest, gemma."""


def _makers(name: str) -> Iterator["Provider"]:
    providers, by_id = _providers()
    telling = (one for one in providers if one.model_match is not None and one.model_match.is_match(name))
    return chain(telling, (by_id[maker] for maker in _MAKERS if maker in by_id))


_PRICED = ("input_mtok", "input_mchars", "input_audio_hours", "audio_hours")
_FREE = (":free", "moderation")


def _has_price(model: "ModelInfo") -> bool:
    prices = [model.prices] if not isinstance(model.prices, list) else [one.prices for one in model.prices]
    return any(getattr(one, name, None) is not None for one in prices for name in _PRICED) or model.id.endswith(_FREE)


def _from_data(provider: "Provider", model: "ModelInfo", *, at: float, tier: str) -> Rates:
    own = any(model is one for one in provider.models)
    context = {"service_tier": tier, "speed": tier, "processing": tier} if tier and own else None
    prices: Any = supplemented(provider.id, model.id, vars(model.get_prices(datetime.fromtimestamp(at, UTC), context)))
    return Rates(
        tiers=tiers(prices),
        per_call=per_call(prices),
        per_character=per_character(prices),
        per_second=per_second(prices),
        per_web_search=per_search(prices, "web_searches_kcount", WEB_SEARCH_KCOUNT),
        per_file_search=per_search(prices, "storage_searches_kcount", FILE_SEARCH_KCOUNT),
        per_container=picos(CONTAINER_USD, Decimal(10) ** 12),
        max_output_tokens=max_output(bare(model.id), model.context_window),
        context_window=model.context_window,
        provider=provider.id,
        model=model.id,
    )


_MODEL_HOSTS = {"google": re.compile(r"(?:generativelanguage|(?:[\w-]+-)?aiplatform)\.googleapis\.com$")}
"""Where the data's pattern takes in hosts that serve much else: Google's matches storage and maps too."""

_endpoints: Recent[str, str] = Recent(1_024)


def model_endpoint(url: str) -> str | None:
    """The provider (an id of the price data) whose model API a URL belongs to, or None. Never raises.

    From genai-prices' `api_pattern` of each provider, matched against scheme, host and path up to a boundary; port and
    query do not matter. Which requests to it are priced is not said here (`wire.operation_of`).
    """
    address = url.partition("?")[0] if isinstance(cast("object", url), str) else ""
    found = _endpoints.get(address)
    if found is None:
        found = _find_endpoint(address)
        _endpoints.put(address, found)
    return found or None


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    boundary = r"(?:(?=/)|(?<=/)|$)"
    return [
        (re.compile(f"(?:{one.api_pattern}){r'[a-z]+' if one.api_pattern.endswith('.') else ''}{boundary}"), one.id)
        for one in _providers()[0]
    ]


def _find_endpoint(address: str) -> str:
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return ""
    if not host:
        return ""
    load()
    whole = f"https://{host}{parts.path}"
    for pattern, provider in _patterns():
        if pattern.match(whole) and (provider not in _MODEL_HOSTS or _MODEL_HOSTS[provider].search(host)):
            return provider
    return ""
