"""The types of options that are given by keyword, for type checkers; `options.OPTIONS` says what each is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from agent_fuse.alert import Alert
from agent_fuse.calls import Usd
from agent_fuse.limits import OnTight


class MoreOptions(TypedDict, total=False):
    """Options that `init` takes besides those it names, for type checkers; `OPTIONS` says what each is."""

    total_budget: Usd | None
    mode: Literal["enforce", "observe"] | None
    max_retries: int | None
    lock_timeout: float | None
    synchronous: Literal["normal", "full"] | None
    lease: bool | None
    unknown_model: Literal["fallback", "block", "free"] | None
    unknown_endpoint: Literal["estimate", "block", "free"] | None
    hold_seconds: float | None
    busy_wait: float | None
    on_tight: OnTight | None
    pause_for: float | None
    clamp_floor: int | None
    downgrade: Mapping[str, str] | None
    downgrade_at: float | None
    tell_model: bool | None
    warn_at: float | Sequence[float] | None
    on_warning: Callable[[Alert], None] | None
    webhook: str | None
    loop_tool_thresholds: Mapping[str, int] | None
    loop_ignore_args: Sequence[str] | None
    tool_prices: Mapping[str, Usd | Callable[[Any, Any], Usd]] | None
    loop_allow: Sequence[str] | None
    stream_usage: bool | None
    request_gate: bool | None
    wire_gate: bool | None
    endpoints: Sequence[str] | None
    trusted_costs: Sequence[str] | None
    metrics_session: bool | None
    cost_on_spans: bool | None


class ProcessorOptions(MoreOptions, total=False):
    """Options that `AgentFuseSpanProcessor` takes besides those it names."""

    loop_detection_enabled: bool | None
    loop_threshold: int | None
