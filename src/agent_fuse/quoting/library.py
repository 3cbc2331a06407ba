"""The price library: genai-prices' bundled providers and models, found by the names that calls have for them."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from agent_fuse.errors import ConfigurationError
from agent_fuse.mistakes import near
from agent_fuse.quoting.names import provider_id, spellings
from agent_fuse.quoting.recent import Recent

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider


def names() -> Iterator[str]:
    """The models of the price data, alone and behind their provider."""
    for one in providers()[0]:
        for model in one.models:
            yield model.id
            yield f"{one.id}/{model.id}"


def provider_named(what: str, name: str) -> str:
    """The id of a provider of the price data; `what` is the option that names it.

    Raises:
        ConfigurationError: there is none of that name.
    """
    found = _provider(provider_id(name))
    if found is not None:
        return found.id
    ids = sorted(providers()[1])
    meant = near(name, ids)
    hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(ids)}"
    raise ConfigurationError(f"{what} is {name!r}, which the price data does not know; {hint}")


@cache
def providers() -> tuple[list["Provider"], dict[str, "Provider"]]:
    """All of them, and by id."""
    from genai_prices.data import providers as everyone  # noqa: PLC0415 - importing it takes a third of a second

    return everyone, {provider.id: provider for provider in everyone}


def load() -> None:
    """Read the price data now (a third of a second) instead of at the first model asked for. No network."""
    providers()


def _provider(name: str) -> "Provider | None":
    from genai_prices.data_snapshot import find_provider_by_id  # noqa: PLC0415

    return find_provider_by_id(providers()[0], name)


def listed(model: str, provider: str | None) -> "tuple[Provider, ModelInfo] | None":
    """The provider and model in the data, or None also where it lists a model but no price by tokens."""
    load()
    everyone, _ = providers()
    for host, name in spellings(model, provider):
        for one in _makers(name) if host is None else filter(None, (_provider(host),)):
            found = one.find_model(name, all_providers=everyone)
            if found is not None:
                return (one, found) if _has_price(found) else None
    return None


_MAKERS = ("openai", "google", "cohere")
"""Whom to ask for models whose name does not tell their maker: text-embedding-3-small, chatgpt-4o-latest, gemma."""


def _makers(name: str) -> Iterator["Provider"]:
    everyone, by_id = providers()
    telling = (one for one in everyone if one.model_match is not None and one.model_match.is_match(name))
    return chain(telling, (by_id[maker] for maker in _MAKERS if maker in by_id))


_PRICED = ("input_mtok", "input_mchars", "input_audio_hours", "audio_hours")
FREE = (":free", "moderation")
"""Ends of the names of models that cost nothing."""


def _has_price(model: "ModelInfo") -> bool:
    prices = [model.prices] if not isinstance(model.prices, list) else [one.prices for one in model.prices]
    return any(getattr(one, name, None) is not None for one in prices for name in _PRICED) or model.id.endswith(FREE)


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
        for one in providers()[0]
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
