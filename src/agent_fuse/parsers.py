"""How the value of an option is read: from code or from the text of an environment variable, or refused by name."""

import inspect
import math
import os
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from agent_fuse.calls import Usd, to_nanos, to_usd
from agent_fuse.dialects.http import NamedEndpoint
from agent_fuse.errors import ConfigurationError
from agent_fuse.foreign_text import unbroken
from agent_fuse.limits import Limit
from agent_fuse.prices import checked
from agent_fuse.quoting.overrides import Overrides, Own

if TYPE_CHECKING:
    from agent_fuse.webhook_address import WebhookAddress

Parser = Callable[[str, object], Any]
"""Takes the option's name (as its user wrote it) and value; raises ConfigurationError with both and what is allowed."""

_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def truth(name: str, value: object) -> bool:
    """True or false."""
    if isinstance(value, bool):
        return value
    found = _TRUTH.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise ConfigurationError(f"{name} is {value!r}; it must be true or false")
    return found


def money(name: str, value: object) -> Decimal:
    """An amount of US dollars."""
    try:
        return to_usd(to_nanos(cast("Usd", value), name))
    except ValueError as bad:
        raise ConfigurationError(str(bad)) from None


def whole(low: int, high: int) -> Callable[[str, object], int]:
    """A whole number from `low` to `high`."""

    def parse(name: str, value: object) -> int:
        try:
            found = int(value) if isinstance(value, str) else value
        except ValueError:
            found = None
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
            raise ConfigurationError(f"{name} is {value!r}; it must be a whole number from {low} to {high:,}")
        return found

    return parse


def seconds(low: float, high: float) -> Callable[[str, object], float]:
    """A number of seconds from `low` to `high`."""

    def parse(name: str, value: object) -> float:
        found = _number(value)
        if not low <= found <= high:
            raise ConfigurationError(f"{name} is {value!r}; it must be a number of seconds from {low:g} to {high:g}")
        return found

    return parse


def words(name: str, value: object) -> str:
    """A text or a path that is not empty."""
    found = str(cast("object", value)) if isinstance(value, str | os.PathLike) else ""
    if not found.strip():
        raise ConfigurationError(f"{name} is {value!r}; it must be a text that is not empty")
    if "\0" in found:
        raise ConfigurationError(f"{name} is {value!r}; it must be a text without NUL characters")
    if unbroken(found) != found:
        raise ConfigurationError(f"{name} is {value!r}; it holds half a character (a lone surrogate)")
    return found


def webhook(name: str, value: object) -> "WebhookAddress":
    """A URL that may be posted to."""
    from agent_fuse import webhook_address  # noqa: PLC0415  few have one

    return webhook_address.address(name, value)


def choice(*allowed: str) -> Callable[[str, object], str]:
    """One of a few words."""

    def parse(name: str, value: object) -> str:
        if value not in allowed:
            raise ConfigurationError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
        return cast("str", value)

    return parse


def limits(name: str, value: object) -> tuple[Limit, ...]:
    """A Limit, or several; as text, the path of a TOML file of them."""
    if isinstance(value, str | os.PathLike):
        from agent_fuse import limits_file  # noqa: PLC0415  few have a file of limits

        return limits_file.read(cast("str | os.PathLike[str]", value), name)
    try:
        found = tuple(cast("tuple[object, ...]", value))
    except TypeError:
        found = (value,)
    for one in found:
        if not isinstance(one, Limit):
            raise ConfigurationError(f"{name} holds {one!r}; each must be a Limit, such as Limit(usd=5)")
    return cast("tuple[Limit, ...]", found)


def prices(name: str, value: object) -> Mapping[str, Own]:
    """Prices and aliases by model name or pattern; as text, the path of a TOML or JSON file of them."""
    if isinstance(value, str | os.PathLike):
        path = cast("str | os.PathLike[str]", value)
        from agent_fuse.quoting import price_file  # noqa: PLC0415  few have one

        found, where = price_file.read(path, name), f"{os.fspath(path)}: {{!r}}".format
    elif isinstance(value, Mapping):
        found, where = dict(cast("Mapping[str, Own]", value)), f"{name}[{{!r}}]".format
    else:
        raise ConfigurationError(
            f"{name} is {value!r}; it must map model names to Price(input=…, output=…) or to the names of models, "
            "or be the path of a file that does"
        )
    checked(Overrides(found, where))
    return MappingProxyType(found)


def thresholds(name: str, value: object) -> Mapping[str, int]:
    """Whole numbers by tool name; as text, `search=3,fetch=10`."""
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        value = {tool: limit for tool, _, limit in pairs}
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} is {value!r}; it must map tool names to whole numbers, as in search=3")
    count = whole(1, 1_000_000)
    found = cast("Mapping[object, object]", value)
    return MappingProxyType({str(tool).strip(): count(f"{name}[{tool!r}]", limit) for tool, limit in found.items()})


def tool_prices(name: str, value: object) -> Mapping[str, Any]:
    """US dollars by tool name, or functions of a tool's arguments and result; as text, `search=0.01,fetch=0.002`."""
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        value = {tool: price for tool, _, price in pairs}
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} is {value!r}; it must map tool names to US dollars, as in search=0.01")
    found = cast("Mapping[object, object]", value)
    return MappingProxyType(
        {
            str(tool).strip(): price if callable(price) else money(f"{name}[{tool!r}]", price)
            for tool, price in found.items()
        }
    )


def ladder(name: str, value: object) -> Mapping[str, str]:
    """Models by the model that they take the place of, each cheaper than it; as text `gpt-4o=gpt-4o-mini`."""
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        value = {model.strip(): cheaper.strip() for model, _, cheaper in pairs}
    found = cast("Mapping[object, object]", value if isinstance(value, Mapping) else {})
    if not found or not all(isinstance(one, str) and one for pair in found.items() for one in pair):
        raise ConfigurationError(f"{name} is {value!r}; it must map models to cheaper ones, as in gpt-4o=gpt-4o-mini")
    steps = cast("Mapping[str, str]", found)
    for model in steps:
        at = model
        for _ in steps:
            at = steps.get(at, "")
            if at == model:
                raise ConfigurationError(f"{name} comes back to {model!r}; each model must lead to a cheaper one")
    return MappingProxyType(dict(steps))


def texts(name: str, value: object) -> tuple[str, ...]:
    """Texts; as one text, divided by commas."""
    try:
        found = value.split(",") if isinstance(value, str) else list(cast("list[object]", value))
    except TypeError:
        found = [value]
    for one in found:
        if not isinstance(one, str):
            raise ConfigurationError(f"{name} holds {one!r}; each must be a text")
    return tuple(one.strip() for one in cast("list[str]", found) if one.strip())


def endpoints(name: str, value: object) -> tuple[str, ...]:
    """Hosts, hosts with ports, or URLs."""
    found = texts(name, value)
    for one in found:
        try:
            NamedEndpoint.parse(one)
        except ValueError as bad:
            raise ConfigurationError(
                f"{name} holds {one!r}: {bad}; give a host or a URL, such as https://gateway.example/v1"
            ) from None
    return found


def hosts(name: str, value: object) -> tuple[str, ...]:
    """Hosts, hosts with ports, or URLs; `none` for none of them."""
    return () if value == "none" else endpoints(name, value)


def shares(name: str, value: object) -> tuple[float, ...]:
    """Shares of a limit, above 0 and at most 1, in rising order; as text `0.5,0.8`, or `none`."""
    if isinstance(value, str):
        given: list[object] = [] if value.strip().lower() == "none" else list(value.split(","))
    else:
        try:
            given = list(cast("list[object]", value))
        except TypeError:
            given = [value]
    found = [_number(one) for one in given]
    if not all(0 < one <= 1 for one in found):
        raise ConfigurationError(f"{name} is {value!r}; each must be a share above 0 and at most 1, such as 0.8")
    return tuple(sorted(set(found)))


def share(name: str, value: object) -> float:
    """A share above 0 and at most 1."""
    found = _number(value)
    if not 0 < found <= 1:
        raise ConfigurationError(f"{name} is {value!r}; it must be a share above 0 and at most 1, such as 0.8")
    return found


def callback(name: str, value: object) -> Callable[[Any], None]:
    """A plain function of one argument."""
    call = cast("Any", value)
    if not callable(value) or inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(call.__call__):
        raise ConfigurationError(f"{name} is {value!r}; it must be a plain function of one argument, not a coroutine's")
    return cast("Callable[[Any], None]", value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan
