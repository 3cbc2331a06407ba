"""Cohere's API, v2 and the chat of v1, as it goes over the wire."""

import json
from typing import Any, cast

from agent_fuse.calls import Usage
from agent_fuse.testing.answers import (
    Answer,
    Ask,
    JsonObject,
    Stop,
    encode,
    event,
    known_int,
    known_list,
    known_object,
    pieces,
)
from agent_fuse.testing.exchange import ToolCall


def read(body: JsonObject) -> Ask:
    """What a chat request asks for."""
    form = known_object(body.get("response_format"))
    tools = [known_object(one.get("function")) for one in known_list(body.get("tools"))]
    forced = tools[0] if tools and body.get("tool_choice") == "REQUIRED" else None
    return Ask(
        body=body,
        prompt=(body.get("messages"), body.get("documents"), body.get("tools")),
        stream=body.get("stream") is True,
        max_output=known_int(body.get("max_tokens")),
        wants_json=form.get("type") == "json_object",
        schema=form.get("json_schema"),
        forced_tool=(forced["name"], known_object(forced.get("parameters"))) if forced else None,
        problem="" if known_list(body.get("messages")) else "messages must not be empty",
    )


def whole(answer: Answer) -> JsonObject:
    """A chat answer."""
    message: JsonObject = {"role": "assistant", "content": [{"type": "text", "text": answer.text}]}
    if answer.tool_calls:
        message = {"role": "assistant", "tool_calls": [_tool(one) for one in answer.tool_calls]}
    usage = {"usage": wire_usage(answer.usage)} if answer.says_usage else {}
    return {"id": answer.id, "finish_reason": _stop(answer), "message": message} | usage


def stream(answer: Answer) -> tuple[list[bytes], int | None]:
    """The server-sent events of an answer, and which of them tells the usage."""
    out: list[bytes] = []

    def say(kind: str, **fields: object) -> None:
        out.append(event({"type": kind, **fields}, kind))

    say("message-start", id=answer.id, delta={"message": {"role": "assistant", "content": []}})
    say("content-start", index=0, delta={"message": {"content": {"type": "text", "text": ""}}})
    for piece in pieces(answer.text):
        say("content-delta", index=0, delta={"message": {"content": {"text": piece}}})
    say("content-end", index=0)
    for index, tool in enumerate(answer.tool_calls):
        say("tool-call-start", index=index, delta={"message": {"tool_calls": _tool(tool)}})
        say("tool-call-end", index=index)
    usage = {"usage": wire_usage(answer.usage)} if answer.says_usage else {}
    say("message-end", id=answer.id, delta={"finish_reason": _stop(answer)} | usage)
    return out, len(out) - 1 if answer.says_usage else None


LINES = "application/stream+json"
"""A v1 stream: a JSON document a line."""


def read_v1(body: JsonObject) -> Ask:
    """What a v1 chat asks for: its message stands apart from the history."""
    return Ask(
        body=body,
        prompt=(body.get("chat_history"), body.get("message"), body.get("preamble"), body.get("tools")),
        stream=body.get("stream") is True,
        max_output=known_int(body.get("max_tokens")),
        problem="" if isinstance(body.get("message"), str) else "message is required",
    )


def whole_v1(answer: Answer) -> JsonObject:
    """A v1 chat answer."""
    calls = [{"name": one.name, "parameters": json.loads(one.arguments_text)} for one in answer.tool_calls]
    told = {"meta": wire_usage(answer.usage)} if answer.says_usage else {}
    out: JsonObject = {"generation_id": answer.id, "text": answer.text, "finish_reason": _stop(answer)}
    return out | ({"tool_calls": calls} if calls else {}) | told


def stream_v1(answer: Answer) -> tuple[list[bytes], int | None]:
    """The lines of a v1 answer, and which of them tells the usage."""
    events: list[JsonObject] = [{"event_type": "stream-start", "generation_id": answer.id}]
    events += [{"event_type": "text-generation", "text": piece} for piece in pieces(answer.text)]
    ended = {"event_type": "stream-end", "finish_reason": _stop(answer), "response": whole_v1(answer)}
    out = [encode({"is_finished": one is ended, **one}).encode() + b"\n" for one in (*events, ended)]
    return out, len(out) - 1 if answer.says_usage else None


def read_embeddings(body: JsonObject) -> Ask:
    """What an embeddings request asks for: no output."""
    return Ask(body=body, prompt=(body.get("texts"), body.get("inputs"), body.get("images")), n=0)


def whole_embeddings(answer: Answer) -> JsonObject:
    """Embeddings as floats."""
    texts = answer.ask.body.get("texts")
    count = len(cast("list[Any]", texts)) if isinstance(texts, list) else 1
    told = {"meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": answer.usage.input_tokens}}}
    out: JsonObject = {
        "id": answer.id,
        "response_type": "embeddings_by_type",
        "embeddings": {"float": [[0.0, 0.5, 1.0]] * count},
        "texts": texts or [],
    }
    return out | (told if answer.says_usage else {})


def wire_usage(usage: Usage) -> JsonObject:
    """What is billed, and what was read and written."""
    tokens = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    return {"billed_units": tokens, "tokens": tokens}


def _tool(call: ToolCall) -> JsonObject:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments_text}}


def _stop(answer: Answer) -> str:
    known = {Stop.END: "COMPLETE", Stop.LENGTH: "MAX_TOKENS", Stop.TOOL: "TOOL_CALL"}
    return answer.finish_reason or known[answer.stop]
