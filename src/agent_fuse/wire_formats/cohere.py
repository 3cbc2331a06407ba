"""Cohere's own API: v2, and v1, whose chat names its message apart from the history."""

from typing import Any, cast

from agent_fuse.usage_reader import read_usage
from agent_fuse.wire import Reading, read_body
from agent_fuse.wire_formats.base import Body, BodyReader, WireFormat
from agent_fuse.wire_formats.documents import Document, Documents


def _words(body: Body) -> Body:
    """A v1 chat is its history and a message; what is embedded goes by `texts`, `images` or `inputs`."""
    told: dict[str, Any] = dict(body)
    if "message" in told:
        history = told.pop("chat_history", None)
        past = cast("list[Any]", history) if isinstance(history, list) else []
        told["messages"] = [*past, {"role": "user", "content": told.pop("message")}]
        told["system"] = told.pop("preamble", None)
    inputs = [told.pop(name) for name in ("texts", "inputs", "images") if name in told]
    if inputs:
        told["input"] = [one for each in inputs if isinstance(each, list) for one in cast("list[Any]", each)]
    return told


def _take(reading: Reading, told: Document) -> None:
    """An event of v2 (`type`) or v1 (`event_type`): the first says the id, the last the usage."""
    kind = told.get("type") or told.get("event_type")
    if kind is None and (usage := read_usage(told)) is not None:  # Writer's, which is OpenAI's under this path
        reading.usage, reading.complete, reading.final = usage, True, True
    named = told.get("id") or told.get("generation_id")
    if isinstance(named, str):
        reading.response_id = named
    if kind not in ("message-end", "stream-end"):
        return
    inner = told.get("delta") or told.get("response")
    usage = read_usage(cast("Body", inner)) if isinstance(inner, dict) else None
    if usage is not None:
        reading.usage = usage
    reading.complete = reading.final = True


def _reader(reading: Reading, content_type: str, *, count_text: bool) -> BodyReader:
    del count_text
    # A v1 stream is a document a line, and says of itself that it is JSON.
    return Documents(lambda told: _take(reading, told), content_type + " stream+json")


def _whole(body: object, reading: Reading) -> bool:
    return read_body(body, reading)


FORMAT = WireFormat(
    name="cohere",
    source="docs.cohere.com/reference: chat, chat-stream, embed, rerank; v1 and v2; classify",
    ends={
        "/v2/chat": "chat",
        "/v1/chat": "chat",
        "/v2/embed": "embeddings",
        "/v1/embed": "embeddings",
        "/v2/rerank": "rerank",
        "/v1/rerank": "rerank",
        "/v1/classify": "text_completion",
    },
    asks=("messages", "message", "texts", "inputs", "images", "documents"),
    words=_words,
    reader=_reader,
    whole=_whole,
)
