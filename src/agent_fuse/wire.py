"""What the OpenAI and Anthropic APIs say on the wire: which requests are priced, and the usage in their responses."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from agent_fuse import foreign_text, told_costs
from agent_fuse.calls import Usage, fields_of
from agent_fuse.endpoints import UNKNOWN, endpoint_of
from agent_fuse.usage_reader import later, read_usage, together

_WRITTEN = ("content", "refusal", "reasoning_content", "reasoning")
"""Texts of a streamed delta that the model wrote."""

_BLOCK_DELTA = ("text", "partial_json", "thinking")
"""The same in a delta of Anthropic's; OpenAI's responses stream a text alone."""

_SOUNDS = frozenset({"response.audio.delta", "response.output_audio.delta"})

_DRAWN = frozenset({"image_generation.completed", "image_edit.completed"})
"""Events that each tell of one image, and what it took."""
_LAST = _DRAWN | {
    *("response.completed", "response.incomplete", "response.failed", "message_stop"),
    *("transcript.text.done", "speech.audio.done"),
}
"""Events after which nothing comes, but for a stream that draws several images (`Reading.several`)."""

_NOTHING: dict[str, Any] = {}


def operation_of(method: str, url: str, provider: str = "") -> str | None:
    """The priced operation that a request to a model API is (`endpoints`), or None when it passes freely.

    Without a `provider`, whose SDK sends it, an endpoint that the table does not know passes.
    """
    found = endpoint_of(method, url, provider)
    if found is None or (found.operation == UNKNOWN and not provider):
        return None
    return found.operation or None


def semantic_operation(operation: str) -> str:
    """The `gen_ai.operation.name` of an operation (OpenTelemetry GenAI semantic conventions)."""
    return "chat" if operation in ("responses", "messages") else operation


@dataclass(slots=True)
class Reading:
    """What a response has told so far."""

    usage: Usage | None = None
    response_id: str = ""
    model: str = ""
    tier: str | None = None
    """The service tier or speed that the answer says it was served at, and behind an `@` the place: `standard@us`.

    None where it says nothing.
    """
    cost: int | None = None
    """Nano-dollars that the answer says it cost; believed or not (`told_costs`)."""
    several: bool = False
    """Several answers are asked for: the last of them is told by the end of a stream."""
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


def read_body(body: object, reading: Reading) -> bool:
    """Take usage, id and model from a whole response: a dict or an SDK model. Answers whether it told its usage."""
    field = fields_of(body)
    usage = read_usage(body, field)
    if usage is not None:
        reading.usage = usage
    response_id, model = field("id"), field("model")
    if isinstance(response_id, str):
        reading.response_id = response_id
    if isinstance(model, str):
        reading.model = model
    read_tier(field, reading)
    reading.complete = reading.final = True
    return usage is not None


def count_whole(body: object, reading: Reading) -> None:
    """Take the size of what the model wrote from a whole answer that tells no usage."""
    told = _object(body)
    texts: list[object] = [told.get("completion")]
    for choice in map(_object, _items(told.get("choices"))):
        texts += _texts(choice, "message")
    reading.written += sum(len(text.encode("utf-8", "replace")) for text in texts if isinstance(text, str))


def _texts(choice: dict[str, Any], where: str) -> list[object]:
    """What a choice holds that the model wrote, in its `message` or its `delta`."""
    holder = _object(choice.get(where))
    texts: list[object] = [choice.get("text"), *(holder.get(name) for name in _WRITTEN)]
    functions = [_object(call).get("function") for call in _items(holder.get("tool_calls"))]
    for function in map(_object, (*functions, holder.get("function_call"))):
        texts += [function.get("name"), function.get("arguments")]
    return texts


def read_tier(field: Callable[[str], Any], reading: Reading) -> None:
    """OpenAI tells the tier beside the usage, Anthropic inside it: `service_tier`, `speed`, and the place where it ran.

    Bedrock's Converse tells `serviceTier`, an object with a type (its API reference, ServiceTier). What an answer says
    that it cost stands there too. `standard` says the least: it may be told beside another.
    """
    usage = field("usage")
    inside = fields_of(usage) if usage is not None else _NOTHING.get
    if inside("cost") is not None or inside("cost_in_usd_ticks") is not None:
        reading.cost = told_costs.in_usage(inside)
    tier, _, place = (reading.tier or "").partition("@")
    for told in (field("service_tier"), inside("service_tier"), inside("speed")):
        if isinstance(told, str) and (told != "standard" or not tier):
            tier = told
    if isinstance(told := field("serviceTier"), dict):
        tier = str(cast("dict[str, Any]", told).get("type") or tier)
    if isinstance(told := inside("inference_geo"), str):
        place = told
    if tier or place:
        reading.tier = f"{tier}@{place}" if place else tier


class StreamReader:
    """Reads usage out of a server-sent event stream as its decoded bytes pass by; keeps no text.

    Events that cannot carry usage are skipped unparsed, unless `count_text` asks for the size of what was written
    (for streams that will report no usage, or may be cut off).
    """

    def __init__(self, reading: Reading, *, count_text: bool) -> None:
        self.reading = reading
        self._count_text = count_text
        from agent_fuse.sse import SseLines  # noqa: PLC0415  who asks for whole answers needs none

        self._sse = SseLines()
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
        for line in self._sse.feed(data):
            self._line(line)

    def close(self) -> None:
        """The body ended as it should: read its last line, or the JSON document that it was."""
        if self._json is None:
            for line in self._sse.close():
                self._line(line)
        else:
            body = _parse(b"".join(self._json))
            if body is not None:
                read_body(body, self.reading)
        self._json = None

    def _line(self, line: bytes) -> None:
        line = self._sse.data(line)
        if not line:
            return
        if line == b"[DONE]":
            self.reading.complete = True
            # Mistral tells the usage with the last choice, and its SDK leaves the stream here.
            self.reading.final = self.reading.usage is not None
            return
        if not (self._count_text or not self.reading.response_id or b'"usage"' in line or b"message_stop" in line):
            return
        event = _parse(line)
        if event is not None:
            self._event(event, line)

    def _event(self, event: dict[str, Any], line: bytes) -> None:
        reading = self.reading
        kind = found if isinstance(found := event.get("type"), str) else None
        inner = event.get("response") or event.get("message") or event.get("interaction")
        body = cast("dict[str, Any]", inner) if isinstance(inner, dict) else event
        if not reading.response_id and isinstance(body.get("id"), str):
            reading.response_id = body["id"]
        if isinstance(body.get("model"), str):
            reading.model = body["model"]
        if b'"service_tier"' in line or b'"inference_geo"' in line or b'"speed"' in line or b'"cost' in line:
            read_tier(body.get, reading)
        usage = read_usage(body)
        if usage is not None:
            known, each = reading.usage, kind in _DRAWN
            reading.usage = together(known, usage) if each and known is not None else later(known, usage)
            reading.final = kind == "message_delta" or (kind is None and not event.get("choices"))
        if kind in _LAST:
            reading.final, reading.complete = True, not (reading.several and kind in _DRAWN)
        if self._count_text:
            self._count(event)

    def _count(self, event: dict[str, Any]) -> None:
        for choice in map(_object, _items(event.get("choices"))):
            self._add(_texts(choice, "delta"))
            if choice.get("finish_reason"):
                self.reading.complete = True
        kind = event.get("type")
        if isinstance(kind, str) and kind.endswith("delta") and kind not in _SOUNDS:
            delta = event.get("delta")
            self._add([delta] if isinstance(delta, str) else map(_object(delta).get, _BLOCK_DELTA))

    def _add(self, texts: Iterable[object]) -> None:
        written = sum(len(text.encode("utf-8", "replace")) for text in texts if isinstance(text, str))
        self.reading.written += written
        self.reading.pieces += bool(written)


def read_stream(content: bytes, reading: Reading) -> None:
    """A stream that was read whole: what was asked for by hand (`client.post`) may be one. Never raises."""
    reader = StreamReader(reading, count_text=False)
    reader.feed(content)
    reader.close()


def _items(found: object) -> list[Any]:
    return cast("list[Any]", found) if isinstance(found, list) else []


def _object(found: object) -> dict[str, Any]:
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _parse(text: bytes) -> dict[str, Any] | None:
    try:
        found = foreign_text.read_json(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def asks_for_usage(body: Mapping[str, Any]) -> bool:
    """Whether a stream is asked to tell its usage (OpenAI's protocol)."""
    options = body.get("stream_options")
    return isinstance(options, Mapping) and bool(cast("Mapping[str, Any]", options).get("include_usage"))
