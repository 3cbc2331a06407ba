"""Tools that a request offers and the provider runs, billed beside the tokens, as often as they may run at most.

Sources (2026-11): OpenAI's page on built-in tools and `max_tool_calls` of its Responses; Anthropic's page on the web
search tool, `max_uses`; OpenRouter's on web search. Where no most is told, each is quoted once. A container of which
only the id is known is quoted as the largest there is; `usage_tools` says what it is booked as.
"""

from collections.abc import Mapping
from typing import Any, cast

from agent_fuse.calls import MAX_TOKENS, Usage, usage_of
from agent_fuse.usage_shapes import DRAWS

_KINDS = (
    ("web_search_preview", "preview_searches"),
    ("web_search", "web_searches"),
    ("file_search", "file_searches"),
    ("google", "web_searches"),
)
"""What a tool's type begins with (`web_search_20250305`, `googleSearch`), and what it is billed as."""


def offered(body: Mapping[str, Any], model: str = "", *, by_call: bool = False) -> Usage | None:
    """What the tools offered may do for a fee; None where none of them has one.

    `by_call`: the model has a fee for each call, so what its own search may do is paid with that.
    """
    from agent_fuse.containers import MOST_GIGABYTES, gigabytes  # noqa: PLC0415  most calls offer no tools

    tools = body.get("tools")
    counts: dict[str, int | None] = {}
    containers: dict[object, int] = {}
    if not by_call and isinstance(body.get("web_search_options"), Mapping):
        counts["web_searches"] = 1
    for tool in cast("list[object]", tools) if isinstance(tools, list | tuple) else ():
        fields: Mapping[str, Any] = cast("Mapping[str, Any]", tool) if isinstance(tool, Mapping) else {}
        kind = fields.get("type")
        billed = next((unit for name, unit in _KINDS if isinstance(kind, str) and kind.startswith(name)), None)
        if memory := gigabytes(fields, unseen=MOST_GIGABYTES):
            containers[kind] = memory  # however often code runs, it is one container
        elif billed is not None:
            most = _most(fields.get("max_uses")) or _most(body.get("max_tool_calls")) or 1
            counts[billed] = max(counts.get(billed) or 0, most)
    if results := _results(body, model):
        counts["web_searches"] = max(counts.get("web_searches") or 0, -(-results * 4 // 10))
    if containers:
        counts["containers"] = sum(containers.values())
    return usage_of(counts) if counts else None


ONLINE = ":online"
"""Ends a model's name at OpenRouter for which it searches before each answer."""
_RESULTS = 5


def _results(body: Mapping[str, Any], model: str) -> int:
    """Results of a search that OpenRouter may put into a prompt.

    At $4 for 1,000 of them each is four tenths of what a search costs.
    """
    plugins = body.get("plugins")
    for one in cast("list[object]", plugins) if isinstance(plugins, list | tuple) else ():
        fields: Mapping[str, Any] = cast("Mapping[str, Any]", one) if isinstance(one, Mapping) else {}
        if fields.get("id") == "web":
            return _most(fields.get("max_results")) or _RESULTS
    return _RESULTS if model.endswith(ONLINE) else 0


def drawing(body: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """The model that may draw an image for an answer of OpenAI's Responses, and what is asked of it; None: none may."""
    tools = body.get("tools")
    for tool in cast("list[object]", tools) if isinstance(tools, list | tuple) else ():
        fields: Mapping[str, Any] = cast("Mapping[str, Any]", tool) if isinstance(tool, Mapping) else {}
        if fields.get("type") == "image_generation":
            named = fields.get("model")
            return named if isinstance(named, str) else DRAWS, fields
    return None


def _most(told: object) -> int | None:
    return min(told, MAX_TOKENS) if type(told) is int and told > 0 else None
