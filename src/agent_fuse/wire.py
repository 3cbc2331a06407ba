"""What the OpenAI and Anthropic APIs say on the wire: which requests are priced, and the usage in their responses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from agent_fuse.calls import MAX_TOKENS, Usage

_OPERATIONS = (
    ("/chat/completions", "chat"),
    ("/responses", "responses"),
    ("/embeddings", "embeddings"),
    ("/messages", "messages"),
    ("/completions", "text_completion"),
    ("/responses/compact", "responses"),
    ("/complete", "text_completion"),
)


def operation_of(method: str, url: str) -> str | None:
    """The priced operation that a request to a model API is, or None when it passes freely.

    One of `chat`, `responses`, `messages`, `text_completion`, `embeddings`. Listing models, files, `count_tokens`,
    moderation, cancelling and fetching are free, and so not calls.
    """
    if method.lower() != "post":
        return None
    path = url.partition("?")[0].rstrip("/")
    for suffix, operation in _OPERATIONS:
        if path.endswith(suffix):
            return operation
    return None


def semantic_operation(operation: str) -> str:
    """The `gen_ai.operation.name` of an operation (OpenTelemetry GenAI semantic conventions)."""
    return "chat" if operation in ("responses", "messages") else operation


def count(value: object) -> int | None:
    """A token figure if it is one: a whole number from 0 to MAX_TOKENS; else None, unknown."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 <= value <= MAX_TOKENS else None
    if isinstance(value, float) and 0 <= value <= MAX_TOKENS and value.is_integer():
        return int(value)
    return None


def usage_of(body: object) -> Usage | None:
    """Usage from a response body (dict or SDK model), or from its `usage` object's fields, inclusive buckets.

    Field names: OpenAI chat (`prompt_tokens`, `completion_tokens`), Responses (`input_tokens` with
    `input_tokens_details`), Anthropic (`input_tokens` beside `cache_read_input_tokens`, which this adds up).
    """
    usage = _field(body, "usage")
    if usage is None:
        return None
    prompt = count(_field(usage, "prompt_tokens"))
    if prompt is not None or _field(usage, "completion_tokens") is not None:
        details, made = _field(usage, "prompt_tokens_details"), _field(usage, "completion_tokens_details")
        return _known(
            Usage(
                input_tokens=prompt,
                output_tokens=count(_field(usage, "completion_tokens")),
                cache_read_tokens=count(_field(details, "cached_tokens")),
                cache_write_tokens=count(_field(details, "cache_write_tokens")),
                reasoning_tokens=count(_field(made, "reasoning_tokens")),
                input_audio_tokens=count(_field(details, "audio_tokens")),
                output_audio_tokens=count(_field(made, "audio_tokens")),
            )
        )
    given, output = count(_field(usage, "input_tokens")), count(_field(usage, "output_tokens"))
    details, made = _field(usage, "input_tokens_details"), _field(usage, "output_tokens_details")
    if details is not None:
        read, written = count(_field(details, "cached_tokens")), count(_field(details, "cache_write_tokens"))
    else:
        read = count(_field(usage, "cache_read_input_tokens"))
        written = count(_field(usage, "cache_creation_input_tokens"))
        if given is not None:
            given += (read or 0) + (written or 0)
    thought = _field(made, "reasoning_tokens")
    return _known(
        Usage(
            input_tokens=given,
            output_tokens=output,
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_write_1h_tokens=count(_field(_field(usage, "cache_creation"), "ephemeral_1h_input_tokens")),
            reasoning_tokens=count(_field(made, "thinking_tokens") if thought is None else thought),
        )
    )


def _known(usage: Usage) -> Usage | None:
    return usage if usage.known else None


def _field(holder: object, name: str) -> Any:
    if holder is None:
        return None
    if isinstance(holder, Mapping):
        return cast("Mapping[str, Any]", holder).get(name)
    return getattr(holder, name, None)


@dataclass(slots=True)
class Reading:
    """What a response has told so far."""

    usage: Usage | None = None
    response_id: str = ""
    model: str = ""
    complete: bool = False
    """The model said that it was done, so whatever was counted is all there is."""
    final: bool = False
    """`usage` is the last word, whatever else the stream may still hold."""
    written: int = 0
    """UTF-8 bytes of text and tool arguments that the model wrote (counted, not kept)."""
    pieces: int = 0
    """Deltas that the model wrote; a delta holds a token or more."""

    @property
    def written_tokens(self) -> int:
        """What was written, in tokens: a token a delta, or a token for four bytes, whichever is more."""
        return max(self.pieces, -(-self.written // 4))


def read_body(body: object, reading: Reading) -> None:
    """Take usage, id and model from a whole response: a dict or an SDK model."""
    usage = usage_of(body)
    if usage is not None:
        reading.usage = usage
    for name, found in (("response_id", _field(body, "id")), ("model", _field(body, "model"))):
        if isinstance(found, str):
            setattr(reading, name, found)
    reading.complete = reading.final = True


class StreamReader:
    """Reads usage out of a server-sent event stream as its decoded bytes pass by; keeps no text.

    Events that cannot carry usage are skipped unparsed, unless `count_text` asks for the size of what was written
    (for streams that will report no usage).
    """

    def __init__(self, reading: Reading, *, count_text: bool) -> None:
        self.reading = reading
        self._count_text = count_text
        self._rest = b""
        self._json: list[bytes] | None = None
        self._started = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the decoded body. Never raises on a malformed one."""
        if not self._started and data.strip():
            self._started = True
            self._json = [] if data.lstrip().startswith(b"{") else None
        if self._json is not None:
            self._json.append(data)
            return
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._line(line)

    def close(self) -> None:
        """The body ended as it should: read its last line, or the JSON document that it was."""
        if self._json is None:
            self._line(self._rest)
        else:
            body = _parse(b"".join(self._json))
            if body is not None:
                read_body(body, self.reading)
        self._rest, self._json = b"", None

    def _line(self, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return
        line = line[5:].strip()
        if line == b"[DONE]":
            self.reading.complete = True
            return
        if not (self._count_text or not self.reading.response_id or b'"usage"' in line or b"message_stop" in line):
            return
        event = _parse(line)
        if event is not None:
            self._event(event)

    def _event(self, event: dict[str, Any]) -> None:
        reading = self.reading
        kind = event.get("type")
        inner = event.get("response") or event.get("message")
        body = cast("dict[str, Any]", inner) if isinstance(inner, dict) else event
        if not reading.response_id and isinstance(body.get("id"), str):
            reading.response_id = body["id"]
        if isinstance(body.get("model"), str):
            reading.model = body["model"]
        usage = usage_of(body)
        if usage is not None:
            reading.usage = _later(reading.usage, usage)
            reading.final = kind == "message_delta" or (kind is None and not event.get("choices"))
        if kind in ("response.completed", "response.incomplete", "response.failed", "message_stop"):
            reading.complete = reading.final = True
        if self._count_text:
            self._count(event)

    def _count(self, event: dict[str, Any]) -> None:
        for choice in _items(event.get("choices")):
            delta = _field(choice, "delta")
            texts = [
                _field(choice, "text"),
                *(_field(delta, name) for name in ("content", "refusal", "reasoning_content", "reasoning")),
            ]
            functions = [_field(call, "function") for call in _items(_field(delta, "tool_calls"))]
            for function in (*functions, _field(delta, "function_call")):
                texts += [_field(function, name) for name in ("name", "arguments")]
            written = sum(len(text.encode("utf-8", "replace")) for text in texts if isinstance(text, str))
            self.reading.written += written
            self.reading.pieces += bool(written)
            if _field(choice, "finish_reason"):
                self.reading.complete = True


def _items(found: object) -> list[Any]:
    return cast("list[Any]", found) if isinstance(found, list) else []


def _parse(text: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def _later(old: Usage | None, new: Usage) -> Usage:
    """Cumulative usage (Anthropic sends input first, output last): the newer figure wins where it is known."""
    if old is None:
        return new
    if new.input_tokens is None or new.input_tokens < (old.input_tokens or 0):
        return replace(old, output_tokens=new.output_tokens if new.output_tokens is not None else old.output_tokens)
    return new
