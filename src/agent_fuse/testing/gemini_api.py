"""Google's Gemini API, as it goes over the wire."""

from dataclasses import replace
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
    """What a `generateContent` request asks for."""
    config = known_object(body.get("generationConfig"))
    tools = [one for group in known_list(body.get("tools")) for one in known_list(group.get("functionDeclarations"))]
    calling = known_object(known_object(body.get("toolConfig")).get("functionCallingConfig"))
    forced = tools[0] if tools and calling.get("mode") == "ANY" else None
    return Ask(
        body=body,
        prompt=(body.get("contents"), body.get("systemInstruction"), body.get("tools")),
        n=known_int(config.get("candidateCount")) or 1,
        max_output=known_int(config.get("maxOutputTokens")),
        wants_json=config.get("responseMimeType") == "application/json",
        schema=config.get("responseSchema") or config.get("responseJsonSchema"),
        forced_tool=(forced["name"], known_object(forced.get("parameters"))) if forced else None,
        problem="" if known_list(body.get("contents")) else "contents is not specified",
    )


def read_stream(body: JsonObject) -> Ask:
    """What a `streamGenerateContent` request asks for."""
    return replace(read(body), stream=True)


def whole(answer: Answer) -> JsonObject:
    """A `GenerateContentResponse`."""
    parts: list[JsonObject] = [{"text": answer.text}] if answer.text else []
    parts += [{"functionCall": _call(one)} for one in answer.tool_calls]
    return _response(answer, parts, _stop(answer), told=answer.says_usage)


def stream(answer: Answer) -> tuple[list[bytes], int | None]:
    """The server-sent events of an answer, and which of them tells the whole usage."""
    out = [event(_response(answer, [{"text": piece}], "", told=False)) for piece in pieces(answer.text)]
    out += [event(_response(answer, [{"functionCall": _call(one)}], "", told=False)) for one in answer.tool_calls]
    out.append(event(_response(answer, [], _stop(answer), told=answer.says_usage)))
    return out, len(out) - 1 if answer.says_usage else None


def as_array(events: list[bytes]) -> list[bytes]:
    """The same events as the elements of a JSON array, which is sent where no `alt=sse` is asked for."""
    found = [(b"[" if at == 0 else b",\r\n") + one[len(b"data: ") :].strip() for at, one in enumerate(events)]
    return [*found[:-1], found[-1] + b"]"]


def read_embeddings(body: JsonObject) -> Ask:
    """What an `embedContent` or `batchEmbedContents` request asks for: no output."""
    requests = known_list(body.get("requests")) or [body]
    return Ask(body=body, prompt=tuple(one.get("content") for one in requests), n=0)


def whole_embeddings(answer: Answer) -> JsonObject:
    """The embeddings; no usage is told with them."""
    one = {"values": [0.0, 0.5, 1.0]}
    requests = known_list(answer.ask.body.get("requests"))
    return {"embeddings": [one] * len(requests)} if requests else {"embedding": one}


def wire_usage(usage: Usage) -> JsonObject:
    """Inclusive buckets in Gemini's words: thoughts are told beside the candidates."""
    output, thoughts = usage.output_tokens or 0, usage.reasoning_tokens or 0
    return {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": output - thoughts,
        "totalTokenCount": usage.total_tokens,
        "cachedContentTokenCount": usage.cache_read_tokens,
        "thoughtsTokenCount": thoughts,
    }


def _response(answer: Answer, parts: list[JsonObject], finish: str, *, told: bool) -> JsonObject:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    candidates = [candidate | {"index": at} for at in range(answer.ask.n)]
    usage = {"usageMetadata": wire_usage(answer.usage)} if told else {}
    return {"candidates": candidates, **usage, "modelVersion": answer.model, "responseId": answer.id}


def _call(call: ToolCall) -> JsonObject:
    return {"name": call.name, "args": call.arguments, "id": call.id}


def _stop(answer: Answer) -> str:
    return answer.finish_reason or {Stop.END: "STOP", Stop.LENGTH: "MAX_TOKENS", Stop.TOOL: "STOP"}[answer.stop]
