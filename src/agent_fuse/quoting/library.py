"""The price library: genai-prices' bundled providers and models, found by the names that calls have for them."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import chain
from typing import NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

from agent_fuse.errors import ConfigurationError
from agent_fuse.mistakes import near
from agent_fuse.quoting import price_import, price_text
from agent_fuse.quoting.names import provider_id, spellings
from agent_fuse.quoting.price_list import Model, Provider
from agent_fuse.quoting.recent import Recent
from agent_fuse.quoting.supplements import MODELS

log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Listed(NamedTuple):
    """A model as a provider sells it."""

    provider: Provider
    model: Model
    own: bool
    """It is in the provider's own list, not in that of the model's maker."""


def names() -> list[str]:
    """The models of the price data, alone and behind their provider."""

    def every() -> list[str]:
        each = [(one.id, model.id) for one in providers().values() for model in one.models]
        return [name for provider, model in each for name in (model, f"{provider}/{model}")]

    return _read(every)


def provider_named(what: str, name: str) -> str:
    """The id of a provider of the price data; `what` is the option that names it.

    Raises:
        ConfigurationError: there is none of that name.
    """
    found = _read(lambda: _provider(provider_id(name)))
    if found is not None:
        return found.id
    ids = sorted(providers())
    meant = near(name, ids)
    hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(ids)}"
    raise ConfigurationError(f"{what} is {name!r}, which the price data does not know; {hint}")


_by_import = False


@cache
def providers() -> Mapping[str, Provider]:
    """All of them, by id, in the order of the data."""
    return {one.id: one for one in (price_import.read() if _by_import else price_text.read())}


def _read(what: Callable[[], _T]) -> _T:
    """What is looked for in the data: in its text, and where that is not as it was known, in the library imported."""
    global _by_import
    try:
        return what()
    except price_text.Unfamiliar as other:
        log.info("the price data is read by importing genai_prices, which takes longer: %s", other)
        _by_import = True
        providers.cache_clear()
        _patterns.cache_clear()
        return what()


def load() -> None:
    """Read the price data now instead of at the first model asked for. No network."""
    _read(providers)


def _provider(name: str) -> Provider | None:
    everyone = providers()
    wanted = name.strip().lower()
    called = (one for one in everyone.values() if one.is_called is not None and one.is_called(wanted))
    return everyone.get(wanted) or next(called, None)


def listed(model: str, provider: str | None) -> Listed | None:
    """The provider and model in the data, or None also where it lists a model but no price by tokens."""
    return _read(lambda: _listed(model, provider))


def _listed(model: str, provider: str | None) -> Listed | None:
    everyone = providers()
    for host, name in spellings(model, provider):
        for one in _makers(name) if host is None else filter(None, (_provider(host),)):
            if (found := one.find(name, everyone)) is not None:
                return Listed(one, *found) if _has_price(found[0]) else None
            if (ours := MODELS.get((one.id, name.lower()))) is not None:
                return Listed(one, ours.model, True)
    return None


_MAKERS = ("openai", "google", "cohere", "perplexity")
"""Whom to ask for models whose name does not tell their maker: text-embedding-3-small, gemma, embed-v4.0, sonar."""


def _makers(name: str) -> Iterator[Provider]:
    everyone = providers()
    telling = (one for one in everyone.values() if one.makes is not None and one.makes(name))
    return chain(telling, (everyone[maker] for maker in _MAKERS if maker in everyone))


_PRICED = ("input_mtok", "input_mchars", "input_audio_hours", "audio_hours", "input_document_kpages")
FREE = (":free", "moderation")
"""Ends of the names of models that cost nothing."""


def _has_price(model: Model) -> bool:
    return any(one.prices.get(name) is not None for one in model.prices for name in _PRICED) or model.id.endswith(FREE)


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
        found = _read(lambda: _find_endpoint(address))
        _endpoints.put(address, found)
    return found or None


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    boundary = r"(?:(?=/)|(?<=/)|$)"
    return [
        (re.compile(f"(?:{one.api_pattern}){r'[a-z]+' if one.api_pattern.endswith('.') else ''}{boundary}"), one.id)
        for one in providers().values()
    ]


def _find_endpoint(address: str) -> str:
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return ""
    if not host:
        return ""
    whole = f"https://{host}{parts.path}"
    for pattern, provider in _patterns():
        if pattern.match(whole) and (provider not in _MODEL_HOSTS or _MODEL_HOSTS[provider].search(host)):
            return provider
    return ""
