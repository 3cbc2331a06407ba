"""What an answer says that it cost, in USD, and of whom that is believed.

A figure under the same name is points, credits of another kind or another currency at other gateways, so it is read
for what it is only where its sender is known, or named by the user.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, cast
from urllib.parse import urlsplit

from agent_fuse.calls import MAX_NANOS, Usd, to_nanos

OPENROUTER = "openrouter.ai"
"""Tells `usage.cost` in credits, which are US dollars (openrouter.ai/docs/use-cases/usage-accounting, 2026-11)."""

XAI = "api.x.ai"
"""Tells `usage.cost_in_usd_ticks`, ten billion to the dollar, tools included (docs.x.ai/developers/cost-tracking,
2026-11)."""
_TICKS_PER_NANO = 10

PERPLEXITY = "api.perplexity.ai"
"""Tells `usage.cost.total_cost` in US dollars, the fee of the request included (docs.perplexity.ai, 2026-11)."""

LITELLM = "litellm"
"""Stands for every LiteLLM proxy, known by the name of its header, wherever it runs."""

HEADER = "x-litellm-response-cost"
"""USD (docs.litellm.ai/docs/proxy/response_headers, 2026-11). 0 where the proxy has no price, and where it streams."""

TRUSTED = (OPENROUTER, XAI, PERPLEXITY, LITELLM)


def in_usage(field: Callable[[str], Any]) -> int | None:
    """Nano-dollars that the `usage` of an answer tells; None where it tells none. Not yet believed.

    With the user's own key (`is_byok`) OpenRouter's cost is its fee alone, and that of the provider comes to it.
    """
    ticks, whole = field("cost_in_usd_ticks"), field("cost")
    if type(ticks) is int:
        return -(-ticks // _TICKS_PER_NANO) if 0 <= ticks <= MAX_NANOS * _TICKS_PER_NANO else None
    cost = _nanos(cast("dict[str, Any]", whole).get("total_cost") if isinstance(whole, dict) else whole)
    if cost is None or field("is_byok") is not True:
        return cost
    details = field("cost_details")
    known = cast("dict[str, Any]", details) if isinstance(details, dict) else {}
    more = _nanos(known.get("upstream_inference_cost"))
    return None if more is None else cost + more


def in_header(value: str | None) -> int | None:
    """Nano-dollars that LiteLLM's header tells. Its 0 says that the proxy does not know."""
    return (_nanos(value) or None) if value else None


@lru_cache(maxsize=256)
def believed(url: str, trusted: Iterable[str]) -> bool:
    """Whether the answers of this URL tell their cost in USD: it is at a trusted host, or below one."""
    host = urlsplit(url).hostname or ""
    names = (urlsplit(one if "://" in one else f"//{one}").hostname or "" for one in trusted)
    return any(host == name or host.endswith(f".{name}") for name in names if name)


def _nanos(told: Usd | None) -> int | None:
    if told is None or not isinstance(told, int | float | str):
        return None
    try:
        return to_nanos(told)
    except ValueError:  # negative, no number, or beyond what any call costs
        return None
