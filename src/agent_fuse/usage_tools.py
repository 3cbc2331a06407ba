"""What ran at the provider for an answer, billed beside its tokens or by other models: searches, code, images."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from agent_fuse.calls import Usage, count, fields_of
from agent_fuse.containers import gigabytes, memory_of, note
from agent_fuse.usage_shapes import DRAWS

Read = Callable[[object], Usage | None]
"""Reads the usage that an answer, or a part of one, tells (`usage_reader`)."""


def with_tools(usage: Usage, field: Callable[[str], Any], read: Read) -> Usage:
    """The usage of an answer with all of that, as the answer tells it; `field` looks it up."""
    breakdown = field("usage_breakdown")
    if breakdown is not None:
        return _by_models(usage, fields_of(breakdown)("models"), read)
    told = fields_of(field("tool_usage"))
    offered = _listed(field("tools"))
    details = fields_of(field("usage"))("server_side_tool_usage_details")
    if details is not None:
        return _counted(usage, fields_of(details))
    usage = _with_calls(usage, _listed(field("output")), offered, count(fields_of(told("web_search"))("num_requests")))
    drawn = told("image_gen")
    return usage if drawn is None else _with_images(usage, read({"usage": drawn}), offered)


def _by_models(usage: Usage, models: object, read: Read) -> Usage:
    """A system of several models is billed by what each of them used, at its own rates.

    Source: Groq's page on Compound (console.groq.com/docs/compound, "Pricing"); the groq SDK 1.7, `UsageBreakdown`.
    """
    each = [(fields_of(one)("model"), read(one)) for one in _listed(models)]
    (name, first), *rest = [(str(name), used) for name, used in each if name and used is not None] or [("", usage)]
    return replace(first, parts=tuple(rest), served_by=name)


def _counted(usage: Usage, field: Callable[[str], Any]) -> Usage:
    """What xAI counts itself: a search of X costs what one of the web does.

    Source: docs.x.ai/developers/tools/tool-usage-details and docs.x.ai/developers/pricing, 2026-11.
    """
    searches = (count(field("web_search_calls")) or 0) + (count(field("x_search_calls")) or 0)
    return replace(
        usage,
        web_searches=searches or None,
        file_searches=count(field("file_search_calls")) or None,
        containers=count(field("code_interpreter_calls")) or None,
    )


def _with_calls(usage: Usage, output: Sequence[object], offered: Sequence[object], requests: int | None) -> Usage:
    """Count what tools that ran at the provider did; `requests`: web searches that the answer says are billed.

    Source: the items of OpenAI's Responses API, `output`, the `tools` that its answers repeat, and the openai SDK's
    `ToolUsageWebSearch.num_requests` (2026-11).
    """
    kinds = [(fields_of(item)("type"), item) for item in output]
    web = sum(kind == "web_search_call" and _searches(item) for kind, item in kinds) if requests is None else requests
    files = sum(kind == "file_search_call" for kind, _ in kinds)
    places = dict(filter(None, (_place(kind, item) for kind, item in kinds)))
    if not (web or files or places):
        return usage
    sizes = {fields_of(tool)("type"): gigabytes(tool, unseen=0) for tool in offered}
    preview = web if any(str(kind).startswith("web_search_preview") for kind in sizes) else 0
    memory = 0
    for place, kind in places.items():
        known = memory_of(place) or sizes.get(kind)
        if known:
            note(place, known)  # a later request may name it by its id
        memory += known or 1
    return replace(
        usage,
        web_searches=(usage.web_searches or 0) + web - preview or None,
        preview_searches=preview or None,
        file_searches=files or None,
        containers=memory or None,
    )


def _with_images(usage: Usage, drawn: Usage | None, offered: Sequence[object]) -> Usage:
    """Add the images that were drawn for a response: tokens of another model, which its own usage leaves out.

    Source: the openai SDK's `Response.tool_usage.image_gen` (2026-11); the tool that an answer repeats names the model.
    """
    if drawn is None or not drawn.total_tokens:
        return usage
    model = next((tool("model") for tool in map(fields_of, offered) if tool("type") == "image_generation"), None)
    return replace(usage, parts=(*usage.parts, (model if isinstance(model, str) else DRAWS, drawn)))


def _place(kind: object, item: object) -> tuple[str, str] | None:
    """The id of the container in which an item of an answer ran, and the tool that ran in it."""
    if kind == "code_interpreter_call":
        return str(fields_of(item)("container_id")), "code_interpreter"
    if kind != "shell_call":
        return None
    found = fields_of(fields_of(item)("environment"))("container_id")
    return (found, "shell") if isinstance(found, str) else None


def _searches(item: object) -> bool:
    """Whether a web search item searched: opening a page and looking in it are not billed (OpenAI's pricing page)."""
    return fields_of(fields_of(item)("action"))("type") in (None, "search")


def _listed(found: object) -> Sequence[object]:
    return cast("Sequence[object]", found) if isinstance(found, list | tuple) else ()
