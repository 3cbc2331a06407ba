"""Every option, in one table: arguments > AGENTFUSE_* > defaults. A bad value fails at start, named."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, cast

from agent_fuse.calls import Usd, to_nanos, to_usd
from agent_fuse.errors import ConfigurationError
from agent_fuse.limits import Limit
from agent_fuse.prices import Price

DEFAULT_DB_PATH = "~/.agent_fuse/guard_v1.db"

_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _truth(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    found = _TRUTH.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise ConfigurationError(f"{name} is {value!r}; it must be true or false")
    return found


def _money(name: str, value: object) -> Decimal:
    try:
        return to_usd(to_nanos(cast("Usd", value), name))
    except ValueError as bad:
        raise ConfigurationError(str(bad)) from None


def _whole(low: int, high: int) -> Callable[[str, object], int]:
    def parse(name: str, value: object) -> int:
        try:
            found = int(value) if isinstance(value, str) else value
        except ValueError:
            found = None
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
            raise ConfigurationError(f"{name} is {value!r}; it must be a whole number from {low} to {high:,}")
        return found

    return parse


def _seconds(low: float, high: float) -> Callable[[str, object], float]:
    def parse(name: str, value: object) -> float:
        try:
            found = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
        except ValueError:
            found = math.nan
        if not low <= found <= high:
            raise ConfigurationError(f"{name} is {value!r}; it must be a number of seconds from {low:g} to {high:g}")
        return found

    return parse


def _words(name: str, value: object) -> str:
    if not isinstance(value, str | os.PathLike) or not str(value).strip():
        raise ConfigurationError(f"{name} is {value!r}; it must be a text that is not empty")
    return str(value)


def _choice(*allowed: str) -> Callable[[str, object], str]:
    def parse(name: str, value: object) -> str:
        if value not in allowed:
            raise ConfigurationError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
        return cast("str", value)

    return parse


def _limits(name: str, value: object) -> tuple[Limit, ...]:
    try:
        found = tuple(cast("tuple[Limit, ...]", value))
    except TypeError:
        found = (value,)
    for one in found:
        if not isinstance(one, Limit):
            raise ConfigurationError(f"{name} holds {one!r}; each must be a Limit, such as Limit(usd=5)")
    return cast("tuple[Limit, ...]", found)


def _prices(name: str, value: object) -> Mapping[str, Price]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} is {value!r}; it must map model names to Price(input=…, output=…)")
    found = cast("Mapping[object, object]", value)
    for model, price in found.items():
        if not isinstance(model, str) or not isinstance(price, Price):
            raise ConfigurationError(f"{name}[{model!r}] is {price!r}; it must be a Price(input=…, output=…)")
    return MappingProxyType(dict(cast("Mapping[str, Price]", value)))


def _thresholds(name: str, value: object) -> Mapping[str, int]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} is {value!r}; it must map tool names to whole numbers")
    whole = _whole(1, 1_000_000)
    found = cast("Mapping[str, object]", value)
    return MappingProxyType({str(tool): whole(f"{name}[{tool!r}]", limit) for tool, limit in found.items()})


def _texts(name: str, value: object) -> tuple[str, ...]:
    found = tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else tuple(cast("Any", value))
    for one in found:
        if not isinstance(one, str):
            raise ConfigurationError(f"{name} holds {one!r}; each must be a text")
    return tuple(one for one in found if one)


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table of options."""

    parse: Callable[[str, object], Any]
    doc: str
    env: str = ""
    """Environment variable; empty for options that only code can give."""


def _option(parse: Callable[[str, object], Any], doc: str, *, default: Any, env: str = "") -> Any:
    return field(default_factory=lambda: default, metadata={"option": Option(parse, doc, env)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of one fuse, checked."""

    budget: Decimal | None = _option(_money, "Most a session may spend, USD.", default=Decimal(1), env="BUDGET")
    limits: tuple[Limit, ...] = _option(_limits, "Further limits.", default=())
    session_id: str = _option(
        _words, "Session of calls that name none; one per process by default.", default="", env="SESSION_ID"
    )
    db_path: str = _option(
        _words, "Ledger: a path, `sqlite:///…`, `memory://`.", default=DEFAULT_DB_PATH, env="DB_PATH"
    )
    fail_safe: bool = _option(
        _truth,
        "When the ledger fails: block calls (true), or let them go and book later (false).",
        default=True,
        env="FAIL_SAFE",
    )
    strict: bool = _option(
        _truth, "Quote upper bounds, so that no text call can pass a limit.", default=False, env="STRICT"
    )
    prices: Mapping[str, Price] = _option(_prices, "Prices of your own, by model.", default=MappingProxyType({}))
    unknown_model: Literal["fallback", "block", "free"] = _option(
        _choice("fallback", "block", "free"),
        "A model without a price: bill it at a conservative fallback, block it, or let it go for free.",
        default="fallback",
        env="UNKNOWN_MODEL",
    )
    max_retries: int = _option(
        _whole(0, 100), "Tries after the first when the ledger is busy.", default=3, env="MAX_RETRIES"
    )
    loop_threshold: int = _option(
        _whole(1, 1_000_000), "Identical tool calls that pass; the next one trips.", default=5, env="LOOP_THRESHOLD"
    )
    loop_detection_enabled: bool = _option(
        _truth, "Whether tool loops trip.", default=True, env="LOOP_DETECTION_ENABLED"
    )
    loop_tool_thresholds: Mapping[str, int] = _option(
        _thresholds, "Other thresholds, by tool name.", default=MappingProxyType({})
    )
    loop_ignore_args: tuple[str, ...] = _option(
        _texts, "Names of tool arguments that do not make a call another one.", default=(), env="LOOP_IGNORE_ARGS"
    )
    loop_allow: tuple[str, ...] = _option(_texts, "Tools that never trip.", default=(), env="LOOP_ALLOW")
    hold_seconds: float = _option(
        _seconds(1, 30 * 86400), "Age at which an open hold is presumed spent.", default=3600.0, env="HOLD_SECONDS"
    )
    request_gate: bool = _option(
        _truth, "Whether the openai and anthropic SDKs are gated too.", default=True, env="REQUEST_GATE"
    )

    def all_limits(self) -> tuple[Limit, ...]:
        """The budget as a limit per session, and the further limits."""
        budget = () if self.budget is None else (Limit(usd=self.budget),)
        return budget + self.limits


def settings(environ: Mapping[str, str] = os.environ, /, **given: object) -> Settings:
    """Settings from arguments (None counts as not given), else the environment, else the defaults.

    Without a budget from either, `limits` given alone stand alone; with nothing at all the budget is 1.00 USD.

    Raises:
        ConfigurationError: naming the option, its value and what is allowed.
    """
    table = options()
    unknown = sorted(set(given) - set(table))
    if unknown:
        raise ConfigurationError(f"{unknown[0]} is no option; there are {', '.join(table)}")
    found: dict[str, object] = {}
    for name, option in table.items():
        value = given.get(name)
        variable = f"AGENTFUSE_{option.env}"
        if value is not None:
            found[name] = option.parse(name, value)
        elif option.env and environ.get(variable, "") != "":
            found[name] = option.parse(variable, environ[variable])
    if "budget" not in found and found.get("limits"):
        found["budget"] = None
    return Settings(**cast("Any", found))


def options() -> dict[str, Option]:
    """The table of options, by argument name."""
    return {one.name: one.metadata["option"] for one in fields(Settings)}
