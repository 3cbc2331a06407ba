"""Anthropic's Messages API, as it goes over the wire."""

import json
from collections.abc import Mapping
from typing import Any

from agent_fuse.calls import Usage
from agent_fuse.testing.answers import (
    Answer,
    Ask,
    JsonObject,
    Stop,
    event,
    known_int,
    known_list,
    known_object,
    pieces,
)
from agent_fuse.testing.exchange import ToolCall


def read(body: JsonObject) -> Ask:
    """What a Messages request asks for."""
    form = known_object(known_object(body.get("output_config")).get("format")) or known_object(
        body.get("output_format")
    )
    choice = known_object(body.get("tool_choice"))
    tools = [one for one in known_list(body.get("tools")) if "input_schema" in one]
    named, anything = choice.get("type") == "tool", choice.get("type") == "any"
    forced = next((one for one in tools if anything or (named and one.get("name") == choice.get("name"))), None)
    missing = next((name for name in ("max_tokens", "messages") if not body.get(name)), "")
    return Ask(
        body=body,
        prompt=(body.get("messages"), body.get("system"), body.get("tools")),
        stream=body.get("stream") is True,
        max_output=known_int(body.get("max_tokens")),
        schema=form.get("schema"),
        forced_tool=(forced["name"], known_object(forced.get("input_schema"))) if forced else None,
        problem=f"{missing}: Field required" if missing else "",
    )


def whole(answer: Answer) -> JsonObject:
    """A message."""
    blocks: list[JsonObject] = [{"type": "text", "text": answer.text}] if answer.text else []
    blocks += [_block(one, _arguments(one)) for one in answer.tool_calls]
    usage = {"usage": wire_usage(answer.usage)} if answer.says_usage else {}
    return _message(answer) | {"content": blocks, "stop_reason": _stop(answer)} | usage


def stream(answer: Answer) -> tuple[list[bytes], int | None]:
    """The server-sent events of a message, and which of them tells the whole usage."""
    out: list[bytes] = []

    def say(kind: str, **fields: object) -> None:
        out.append(event({"type": kind, **fields}, kind))

    first = {"usage": wire_usage(answer.usage) | {"output_tokens": min(1, answer.usage.output_tokens or 0)}}
    say("message_start", message=_message(answer) | (first if answer.says_usage else {}))
    blocks = [({"type": "text", "text": ""}, "text", answer.text)] if answer.text else []
    blocks += [(_block(one, {}), "partial_json", one.arguments_text) for one in answer.tool_calls]
    for index, (block, key, content) in enumerate(blocks):
        say("content_block_start", index=index, content_block=block)
        if index == 0:
            say("ping")
        kind = "text_delta" if key == "text" else "input_json_delta"
        for piece in pieces(content):
            say("content_block_delta", index=index, delta={"type": kind, key: piece})
        say("content_block_stop", index=index)
    total = wire_usage(answer.usage)
    usage = {"usage": {name: total[name] for name in _CUMULATIVE}} if answer.says_usage else {}
    say("message_delta", delta={"stop_reason": _stop(answer), "stop_sequence": None}, **usage)
    say("message_stop")
    return out, len(out) - 2 if answer.says_usage else None


_CUMULATIVE = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
)


def wire_usage(usage: Usage) -> JsonObject:
    """Inclusive buckets in Anthropic's words; its `input_tokens` leaves out what was read from or written to the cache.

    Audio has no words there and counts as plain tokens.
    """
    read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    return {
        "input_tokens": (usage.input_tokens or 0) - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
        "service_tier": "standard",
    }


def _message(answer: Answer) -> JsonObject:
    return {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _block(call: ToolCall, arguments: Mapping[str, Any]) -> JsonObject:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _arguments(call: ToolCall) -> Mapping[str, Any]:
    return json.loads(call.arguments) if isinstance(call.arguments, str) else call.arguments


def _stop(answer: Answer) -> str:
    return answer.finish_reason or {Stop.END: "end_turn", Stop.LENGTH: "max_tokens", Stop.TOOL: "tool_use"}[answer.stop]
