"""OpenAI's Responses API, as it goes over the wire."""

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
    """What a Responses request asks for."""
    form = known_object(known_object(body.get("text")).get("format"))
    choice = body.get("tool_choice")
    wanted = known_object(choice).get("name")
    tools = [one for one in known_list(body.get("tools")) if one.get("type") == "function"]
    forced = next((one for one in tools if choice == "required" or (wanted and one.get("name") == wanted)), None)
    return Ask(
        body=body,
        prompt=(body.get("input"), body.get("instructions"), body.get("tools")),
        stream=body.get("stream") is True,
        max_output=known_int(body.get("max_output_tokens")),
        wants_json=form.get("type") == "json_object",
        schema=form.get("schema"),
        forced_tool=(forced["name"], known_object(forced.get("parameters"))) if forced else None,
        problem="" if body.get("input") or body.get("prompt") else "Missing required parameter: 'input'.",
    )


def whole(answer: Answer) -> JsonObject:
    """A finished response."""
    cut = answer.stop is Stop.LENGTH
    return _response(answer, "incomplete" if cut else "completed") | {
        "incomplete_details": {"reason": answer.finish_reason or "max_output_tokens"} if cut else None,
        "output": _items(answer, "incomplete" if cut else "completed"),
        "usage": wire_usage(answer.usage) if answer.says_usage else None,
    }


def stream(answer: Answer) -> tuple[list[bytes], int | None]:
    """The server-sent events of a response, and which of them tells the usage."""
    out: list[bytes] = []

    def say(kind: str, **fields: object) -> None:
        out.append(event({"type": kind, "sequence_number": len(out), **fields}, kind))

    say("response.created", response=_response(answer, "in_progress"))
    say("response.in_progress", response=_response(answer, "in_progress"))
    final = whole(answer)
    for index, item in enumerate(final["output"]):
        at = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "message":
            say("response.output_item.added", output_index=index, item=item | {"status": "in_progress", "content": []})
            part = at | {"content_index": 0}
            say("response.content_part.added", **part, part=_part(""))
            for piece in pieces(answer.text):
                say("response.output_text.delta", **part, delta=piece, logprobs=[])
            say("response.output_text.done", **part, text=answer.text, logprobs=[])
            say("response.content_part.done", **part, part=_part(answer.text))
        else:
            say(
                "response.output_item.added", output_index=index, item=item | {"status": "in_progress", "arguments": ""}
            )
            for piece in pieces(item["arguments"]):
                say("response.function_call_arguments.delta", **at, delta=piece)
            say("response.function_call_arguments.done", **at, name=item["name"], arguments=item["arguments"])
        say("response.output_item.done", output_index=index, item=item)
    say(f"response.{final['status']}", response=final)
    return out, len(out) - 1 if answer.says_usage else None


def wire_usage(usage: Usage) -> JsonObject:
    """Inclusive buckets in the words of the Responses API."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def _response(answer: Answer, status: str) -> JsonObject:
    body = answer.ask.body
    return {
        "id": answer.id,
        "object": "response",
        "created_at": answer.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "model": answer.model,
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": None,
        "user": body.get("user"),
    }


def _items(answer: Answer, status: str) -> list[JsonObject]:
    suffix = answer.id.removeprefix("resp_")
    message = {"id": f"msg_{suffix}", "type": "message", "role": "assistant", "status": status}
    said = [message | {"content": [_part(answer.text)]}] if answer.text or not answer.tool_calls else []
    return said + [_call(suffix, at, one) for at, one in enumerate(answer.tool_calls)]


def _part(text: str) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call(suffix: str, at: int, call: ToolCall) -> JsonObject:
    return {
        "id": f"fc_{suffix}_{at}",
        "type": "function_call",
        "status": "completed",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments_text,
    }
