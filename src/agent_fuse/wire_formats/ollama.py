"""Ollama's own API: one JSON document a line, the last of which tells the usage."""

from typing import Any, cast

from agent_fuse.usage_reader import read_usage
from agent_fuse.wire import Reading, read_body
from agent_fuse.wire_formats.base import Body, BodyReader, WireFormat
from agent_fuse.wire_formats.documents import Document, Documents

PROVIDER = "ollama"


def _words(body: Body) -> Body:
    """`options.num_predict` says how long an answer may be; -1 and -2 are no bound."""
    told: dict[str, Any] = dict(body)
    options = told.pop("options", None)
    most = cast("Body", options).get("num_predict") if isinstance(options, dict) else None
    if type(most) is int and most > 0:
        told["max_tokens"] = most
    return told


def _take(reading: Reading, told: Document) -> None:
    model = told.get("model")
    if isinstance(model, str):
        reading.model = model
    if told.get("done") is True:
        usage = read_usage(told)
        if usage is not None:
            reading.usage = usage
        reading.complete = reading.final = True


def _reader(reading: Reading, content_type: str, *, count_text: bool) -> BodyReader:
    del count_text
    return Documents(lambda told: _take(reading, told), content_type)


def _whole(body: object, reading: Reading) -> bool:
    return read_body(body, reading)


FORMAT = WireFormat(
    name="ollama",
    source="docs.ollama.com/api: chat, generate, embed",
    ends={
        "/api/chat": "chat",
        "/api/generate": "text_completion",
        "/api/embed": "embeddings",
        "/api/embeddings": "embeddings",
    },
    provider=PROVIDER,
    asks=("messages", "prompt", "input"),
    words=_words,
    reader=_reader,
    whole=_whole,
)
