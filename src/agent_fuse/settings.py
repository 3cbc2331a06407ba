"""The options of one fuse, checked: arguments > AGENTFUSE_* > defaults. A bad value fails at start, named."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, cast

from agent_fuse.account_names import ALL
from agent_fuse.alert import Alert
from agent_fuse.errors import ConfigurationError
from agent_fuse.limits import Limit, OnTight
from agent_fuse.mistakes import misspelt
from agent_fuse.options import OPTIONS, PREFIX
from agent_fuse.quoting.overrides import Own

if TYPE_CHECKING:
    from agent_fuse.webhook_address import WebhookAddress

NO_LADDER = "on_tight is 'downgrade' and no model has a cheaper one; add downgrade={'gpt-4o': 'gpt-4o-mini'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of one fuse, checked; `OPTIONS` says what each is. Made by `settings`."""

    budget: Decimal | None
    total_budget: Decimal | None
    limits: tuple[Limit, ...]
    mode: Literal["enforce", "observe"]
    session_id: str
    db_path: str
    fail_safe: bool
    max_retries: int
    lock_timeout: float
    synchronous: Literal["normal", "full"]
    lease: bool
    strict: bool
    prices: Mapping[str, Own]
    unknown_model: Literal["fallback", "block", "free"]
    unknown_endpoint: Literal["estimate", "block", "free"]
    hold_seconds: float
    busy_wait: float
    on_tight: OnTight
    pause_for: float
    clamp_floor: int
    downgrade: Mapping[str, str]
    downgrade_at: float
    tell_model: bool
    warn_at: tuple[float, ...]
    on_warning: Callable[[Alert], None] | None
    webhook: "WebhookAddress | None"
    loop_detection_enabled: bool
    loop_threshold: int
    loop_tool_thresholds: Mapping[str, int]
    loop_ignore_args: tuple[str, ...]
    tool_prices: Mapping[str, Any]
    loop_allow: tuple[str, ...]
    stream_usage: bool | None
    request_gate: bool
    wire_gate: bool
    endpoints: tuple[str, ...]
    trusted_costs: tuple[str, ...]
    metrics_session: bool
    cost_on_spans: bool

    @property
    def observes(self) -> bool:
        """Whether what would be refused is written down, and goes."""
        return self.mode == "observe"

    def all_limits(self) -> tuple[Limit, ...]:
        """The budget as a limit per session, the total budget as one on everything, and the further limits."""
        budget = () if self.budget is None else (Limit(usd=self.budget),)
        total = () if self.total_budget is None else (Limit(usd=self.total_budget, per=ALL),)
        return budget + total + self.limits


def check_environment(environ: Mapping[str, str] = os.environ) -> None:
    """A variable that looks like an option and is none has no effect, and whoever set it believes himself guarded.

    Raises:
        ConfigurationError: naming the variable, and the one that was meant.
    """
    for name in sorted(environ):
        if not environ[name].strip():
            continue
        if meant := meant_by(name):
            raise ConfigurationError(f"{name} is no option; did you mean {meant}?")
        if not name.startswith(PREFIX):
            continue
        option = next((one for one in OPTIONS if PREFIX + one.name.upper() == name), None)
        if option is None:
            known = (one.name.upper() for one in OPTIONS if one.env)
            raise misspelt(name, "option", known, prefix=PREFIX)
        if not option.env:
            raise ConfigurationError(f"{name} is set, but {option.name} is given in code alone: init({option.name}=…)")


def meant_by(name: str) -> str:
    """The variable that one without our prefix is a misspelling of (`AGENT_FUSE_BUDGET`); empty for all others."""
    plain = _letters(name)
    if name.startswith((PREFIX, "_")) or not plain.startswith(_letters(PREFIX)):
        return ""
    return next((one.variable for one in OPTIONS if one.env and _letters(one.variable) == plain), "")


def _letters(name: str) -> str:
    return name.upper().replace("_", "").replace("-", "")


def settings(environ: Mapping[str, str] = os.environ, /, **given: object) -> Settings:
    """Settings from arguments (None counts as not given), else the environment, else the defaults.

    Without a budget from either, `limits` given alone stand alone; with nothing at all the budget is 1.00 USD.

    Raises:
        ConfigurationError: naming the option, its value and what is allowed.
    """
    names = [option.name for option in OPTIONS]
    for word in sorted(set(given) - set(names)):
        raise misspelt(word, "option", names)
    check_environment(environ)
    found: dict[str, object] = {}
    for option in OPTIONS:
        value = given.get(option.name)
        text = environ.get(option.variable, "") if option.env else ""
        if value is not None:
            found[option.name] = option.parse(option.name, value)
        elif text.strip():
            found[option.name] = option.parse(option.variable, text)
    if "budget" not in found and found.get("limits"):
        found["budget"] = None
    if found.get("mode") == "observe":
        found["fail_safe"] = False  # whatever happens, the agent goes on
    made = Settings(**cast("Any", {option.name: option.default for option in OPTIONS} | found))
    if not made.downgrade and "downgrade" in (made.on_tight, *(limit.on_tight for limit in made.limits)):
        raise ConfigurationError(NO_LADDER)
    return made
