"""Ollama's own API, as it goes over the wire: one JSON document a line."""

from agent_fuse.testing.answers import (
    Answer,
    Ask,
    JsonObject,
    Stop,
    encode,
    known_int,
    known_list,
    known_object,
    pieces,
    separate_inputs,
)
from agent_fuse.testing.exchange import ToolCall

NDJSON = "application/x-ndjson"
_WHEN = "2026-01-01T00:00:00Z"


def read_chat(body: JsonObject) -> Ask:
    """What a chat request asks for. An answer streams unless that is declined."""
    schema = body.get("format")
    return Ask(
        body=body,
        prompt=(body.get("messages"), body.get("tools")),
        stream=body.get("stream") is not False,
        max_output=known_int(known_object(body.get("options")).get("num_predict")),
        wants_json=schema == "json",
        schema=known_object(schema) or None,
        problem="" if known_list(body.get("messages")) else "messages is required",
    )


def read_generate(body: JsonObject) -> Ask:
    """What a `generate` request asks for."""
    return Ask(
        body=body,
        prompt=(body.get("prompt"), body.get("system")),
        stream=body.get("stream") is not False,
        max_output=known_int(known_object(body.get("options")).get("num_predict")),
    )


def read_embeddings(body: JsonObject) -> Ask:
    """What an `embed` request asks for: no output."""
    return Ask(body=body, prompt=(body.get("input"),), n=0)


def whole_chat(answer: Answer) -> JsonObject:
    """A chat answer."""
    message: JsonObject = {"role": "assistant", "content": answer.text}
    if answer.tool_calls:
        message["tool_calls"] = [_tool(one) for one in answer.tool_calls]
    return _part(answer) | {"message": message} | _end(answer)


def whole_generate(answer: Answer) -> JsonObject:
    """A `generate` answer."""
    return _part(answer) | {"response": answer.text} | _end(answer)


def whole_embeddings(answer: Answer) -> JsonObject:
    """Embeddings as floats."""
    count = len(separate_inputs(answer.ask.body.get("input")))
    told = {"prompt_eval_count": answer.usage.input_tokens} if answer.says_usage else {}
    return {"model": answer.model, "embeddings": [[0.0, 0.5, 1.0]] * count} | told


def stream_chat(answer: Answer) -> tuple[list[bytes], int | None]:
    """The lines of a chat answer, and which of them tells the usage."""
    said: list[JsonObject] = [{"role": "assistant", "content": piece} for piece in pieces(answer.text)]
    if answer.tool_calls:
        calls = [_tool(one) for one in answer.tool_calls]
        said.append({"role": "assistant", "content": "", "tool_calls": calls})
    parts: list[JsonObject] = [_part(answer) | {"message": one, "done": False} for one in said]
    return _lines(answer, parts, {"message": {"role": "assistant", "content": ""}})


def stream_generate(answer: Answer) -> tuple[list[bytes], int | None]:
    """The lines of a `generate` answer, and which of them tells the usage."""
    parts = [_part(answer) | {"response": piece, "done": False} for piece in pieces(answer.text)]
    return _lines(answer, parts, {"response": ""})


def _lines(answer: Answer, parts: list[JsonObject], nothing: JsonObject) -> tuple[list[bytes], int | None]:
    out = [f"{encode(one)}\n".encode() for one in [*parts, _part(answer) | nothing | _end(answer)]]
    return out, len(out) - 1 if answer.says_usage else None


def _part(answer: Answer) -> JsonObject:
    return {"model": answer.model, "created_at": _WHEN}


def _end(answer: Answer) -> JsonObject:
    reason = answer.finish_reason or {Stop.END: "stop", Stop.LENGTH: "length", Stop.TOOL: "stop"}[answer.stop]
    counts = {"prompt_eval_count": answer.usage.input_tokens, "eval_count": answer.usage.output_tokens}
    return {"done": True, "done_reason": reason, "total_duration": 1} | (counts if answer.says_usage else {})


def _tool(call: ToolCall) -> JsonObject:
    return {"function": {"name": call.name, "arguments": call.arguments}}
