"""Amazon Bedrock's Converse and ConverseStream, and InvokeModel of Anthropic's models and Titan's embeddings."""

import json
import struct
import zlib
from base64 import b64encode
from dataclasses import replace

from agent_fuse.calls import Usage
from agent_fuse.testing import anthropic_api
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
)
from agent_fuse.testing.exchange import ToolCall

EVENT_STREAM = "application/vnd.amazon.eventstream"


def read(body: JsonObject) -> Ask:
    """What a Converse request asks for."""
    config, given = known_object(body.get("inferenceConfig")), known_object(body.get("toolConfig"))
    tools = [known_object(one.get("toolSpec")) for one in known_list(given.get("tools"))]
    forced = tools[0] if tools and "any" in known_object(given.get("toolChoice")) else None
    schema = known_object(known_object(forced.get("inputSchema")).get("json")) if forced else {}
    return Ask(
        body=body,
        prompt=(body.get("messages"), body.get("system"), given.get("tools")),
        max_output=known_int(config.get("maxTokens")),
        forced_tool=(forced["name"], schema) if forced else None,
        problem="" if known_list(body.get("messages")) else "messages must not be empty",
    )


def whole(answer: Answer) -> JsonObject:
    """A Converse answer."""
    blocks: list[JsonObject] = [{"text": answer.text}] if answer.text else []
    blocks += [{"toolUse": _tool(one) | {"input": _arguments(one)}} for one in answer.tool_calls]
    usage = {"usage": wire_usage(answer.usage)} if answer.says_usage else {}
    message = {"role": "assistant", "content": blocks}
    return {"output": {"message": message}, "stopReason": _stop(answer), "metrics": {"latencyMs": 1}} | usage


def stream(answer: Answer) -> tuple[list[bytes], int | None]:
    """The frames of a ConverseStream answer, and which of them tells the usage."""
    out = [frame("messageStart", {"role": "assistant"})]
    for piece in pieces(answer.text):
        out += [frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}})]
    out.append(frame("contentBlockStop", {"contentBlockIndex": 0}))
    for index, one in enumerate(answer.tool_calls, 1):
        out.append(frame("contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": _tool(one)}}))
        given = {"toolUse": {"input": one.arguments_text}}
        out.append(frame("contentBlockDelta", {"contentBlockIndex": index, "delta": given}))
        out.append(frame("contentBlockStop", {"contentBlockIndex": index}))
    out.append(frame("messageStop", {"stopReason": _stop(answer)}))
    if not answer.says_usage:
        return out, None
    out.append(frame("metadata", {"usage": wire_usage(answer.usage), "metrics": {"latencyMs": 1}}))
    return out, len(out) - 1


def read_stream(body: JsonObject) -> Ask:
    """What a ConverseStream request asks for."""
    return replace(read(body), stream=True)


def read_invoke(body: JsonObject) -> Ask:
    """What an InvokeModel request asks for: Titan's embedding of a text, or else an answer of Anthropic's."""
    if "inputText" not in body:
        return anthropic_api.read(body)
    return Ask(body=body, prompt=(body.get("inputText"),), n=0)


def whole_invoke(answer: Answer) -> JsonObject:
    """The same in Titan's words, or in Anthropic's."""
    if "inputText" not in answer.ask.body:
        return anthropic_api.whole(answer)
    told = {"inputTextTokenCount": answer.usage.input_tokens} if answer.says_usage else {}
    return {"embedding": [0.0, 0.5, 1.0], **told}


def read_invoke_stream(body: JsonObject) -> Ask:
    """What an InvokeModelWithResponseStream request to an Anthropic model asks for."""
    return replace(anthropic_api.read(body), stream=True)


def stream_invoke(answer: Answer) -> tuple[list[bytes], int | None]:
    """The frames of InvokeModelWithResponseStream: each holds one of Anthropic's events."""
    events, tells = anthropic_api.stream(answer)
    out: list[bytes] = []
    for one in events:
        told = one.split(b"data:", 1)[1].strip()
        out.append(frame("chunk", {"bytes": b64encode(told).decode()}))
    return out, tells


def frame(kind: str, payload: JsonObject) -> bytes:
    """One event in Amazon's framing: lengths, a checksum, headers, payload, a checksum."""
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in {
            ":event-type": kind,
            ":content-type": "application/json",
            ":message-type": "event",
        }.items()
    )
    body = encode(payload).encode()
    prelude = struct.pack(">II", 12 + len(headers) + len(body) + 4, len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack(">I", zlib.crc32(message))


def wire_usage(usage: Usage) -> JsonObject:
    """Cached tokens are told beside the input, and are in the total."""
    cached, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    return {
        "inputTokens": (usage.input_tokens or 0) - cached - written,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.total_tokens,
        "cacheReadInputTokens": cached,
        "cacheWriteInputTokens": written,
    }


def _tool(call: ToolCall) -> JsonObject:
    return {"toolUseId": call.id, "name": call.name}


def _arguments(call: ToolCall) -> JsonObject:
    return known_object(json.loads(call.arguments_text))


def _stop(answer: Answer) -> str:
    known = {Stop.END: "end_turn", Stop.LENGTH: "max_tokens", Stop.TOOL: "tool_use"}
    return answer.finish_reason or known[answer.stop]
