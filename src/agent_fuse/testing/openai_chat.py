"""OpenAI's chat completions and legacy completions, as they go over the wire."""

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
    separate_inputs,
)
from agent_fuse.testing.exchange import ToolCall

DONE = b"data: [DONE]\n\n"


def read_chat(body: JsonObject) -> Ask:
    """What a chat completion request asks for."""
    form = known_object(body.get("response_format"))
    tools = [known_object(one.get("function")) for one in known_list(body.get("tools"))]
    choice = body.get("tool_choice")
    wanted = known_object(known_object(choice).get("function")).get("name")
    forced = next((one for one in tools if choice == "required" or (wanted and one.get("name") == wanted)), None)
    return Ask(
        body=body,
        prompt=(body.get("messages"), body.get("tools")),
        stream=body.get("stream") is True,
        stream_usage=known_object(body.get("stream_options")).get("include_usage") is True or _tells_unasked(body),
        n=known_int(body.get("n")) or 1,
        max_output=known_int(body.get("max_completion_tokens")) or known_int(body.get("max_tokens")),
        wants_json=form.get("type") == "json_object",
        schema=known_object(form.get("json_schema")).get("schema"),
        forced_tool=(forced["name"], known_object(forced.get("parameters"))) if forced else None,
        problem="" if known_list(body.get("messages")) else "Missing required parameter: 'messages'.",
    )


def _tells_unasked(body: JsonObject) -> bool:
    """Mistral's models tell a stream's usage whether it was asked for or not, in the last choice."""
    return str(body.get("model")).startswith(_MISTRAL)


_MISTRAL = ("mistral", "ministral", "magistral", "codestral", "devstral", "pixtral")


def whole_chat(answer: Answer) -> JsonObject:
    """A chat completion."""
    message: JsonObject = {"role": "assistant", "content": answer.text or None, "refusal": None, "annotations": []}
    if answer.tool_calls:
        message["tool_calls"] = [_tool(one) for one in answer.tool_calls]
    choices = [
        {"index": at, "message": message, "logprobs": None, "finish_reason": _finish(answer)}
        for at in range(answer.ask.n)
    ]
    out = {"object": "chat.completion", **_common(answer), "choices": choices, "service_tier": "default"}
    return out | ({"usage": wire_usage(answer.usage)} if answer.says_usage else {})


def stream_chat(answer: Answer) -> tuple[list[bytes], int | None]:
    """The server-sent events of a chat completion, and which of them tells the usage."""
    common: JsonObject = {"object": "chat.completion.chunk", **_common(answer), "service_tier": "default"}
    if answer.says_usage:
        common["usage"] = None

    def chunk(at: int, delta: JsonObject, finish: str | None = None) -> bytes:
        choice = {"index": at, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event(common | {"choices": [choice]})

    out: list[bytes] = []
    for at in range(answer.ask.n):
        out.append(chunk(at, {"role": "assistant", "content": "" if answer.text else None, "refusal": None}))
        out += [chunk(at, {"content": piece}) for piece in pieces(answer.text)]
        for index, tool in enumerate(answer.tool_calls):
            start = _tool(tool) | {"function": {"name": tool.name, "arguments": ""}, "index": index}
            out.append(chunk(at, {"tool_calls": [start]}))
            for piece in pieces(tool.arguments_text):
                out.append(chunk(at, {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}))
        out.append(chunk(at, {}, _finish(answer)))
    if answer.says_usage and _tells_unasked(answer.ask.body):
        choice = {"index": answer.ask.n - 1, "delta": {"content": ""}, "finish_reason": _finish(answer)}
        out[-1] = event(common | {"choices": [choice], "usage": wire_usage(answer.usage)})
    elif answer.says_usage:
        out.append(event(common | {"choices": [], "usage": wire_usage(answer.usage)}))
    return [*out, DONE], len(out) - 1 if answer.says_usage else None


def read_completion(body: JsonObject) -> Ask:
    """What a legacy completion request asks for; n choices of each of its prompts."""
    prompt = body.get("prompt")
    return Ask(
        body=body,
        prompt=(prompt, body.get("suffix")),
        stream=body.get("stream") is True,
        stream_usage=known_object(body.get("stream_options")).get("include_usage") is True,
        n=(known_int(body.get("n")) or 1) * len(separate_inputs(prompt)),
        max_output=known_int(body.get("max_tokens")),
    )


def whole_completion(answer: Answer) -> JsonObject:
    """A legacy completion."""
    choices = [_text_choice(at, answer.text, _finish(answer)) for at in range(answer.ask.n)]
    out = {"object": "text_completion", **_common(answer), "choices": choices}
    return out | ({"usage": wire_usage(answer.usage)} if answer.says_usage else {})


def stream_completion(answer: Answer) -> tuple[list[bytes], int | None]:
    """The server-sent events of a legacy completion, and which of them tells the usage."""
    common: JsonObject = {"object": "text_completion", **_common(answer)}
    if answer.says_usage:
        common["usage"] = None
    out: list[bytes] = []
    for at in range(answer.ask.n):
        out += [event(common | {"choices": [_text_choice(at, piece, None)]}) for piece in pieces(answer.text)]
        out.append(event(common | {"choices": [_text_choice(at, "", _finish(answer))]}))
    if answer.says_usage:
        out.append(event(common | {"choices": [], "usage": wire_usage(answer.usage)}))
    return [*out, DONE], len(out) - 1 if answer.says_usage else None


def wire_usage(usage: Usage) -> JsonObject:
    """Inclusive buckets in the words of chat completions."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "audio_tokens": usage.input_audio_tokens or 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.output_audio_tokens or 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _common(answer: Answer) -> JsonObject:
    return {
        "id": answer.id,
        "created": answer.created,
        "model": answer.model,
        "system_fingerprint": "fp_loopback",
    }


def _finish(answer: Answer) -> str:
    return answer.finish_reason or {Stop.END: "stop", Stop.LENGTH: "length", Stop.TOOL: "tool_calls"}[answer.stop]


def _tool(call: ToolCall) -> JsonObject:
    function = {"name": call.name, "arguments": call.arguments_text}
    return {"id": call.id, "type": "function", "function": function}


def _text_choice(at: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"index": at, "text": text, "logprobs": None, "finish_reason": finish}
