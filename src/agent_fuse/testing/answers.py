"""From what a request asks for and the reply it is to get, to one definite answer, in no protocol's words."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, cast

from agent_fuse.calls import Usage
from agent_fuse.testing.exchange import Reply, ToolCall
from agent_fuse.testing.schema import sample

JsonObject = dict[str, Any]

TEXT = "Hello from the loopback provider."
"""What is said when no reply says otherwise."""

encode = json.JSONEncoder(separators=(",", ":")).encode

_BYTES_PER_TOKEN = 4
_MOST_PIECES = 32
_WORDS = re.compile(r"\s*\S+\s*|\s+")


class Stop(Enum):
    """Why an answer ended."""

    END = "end"
    LENGTH = "length"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a request asks for, read from its protocol."""

    body: JsonObject
    prompt: tuple[Any, ...] = ()
    """Every JSON value of the body that the model reads."""
    stream: bool = False
    stream_usage: bool = True
    """Whether a stream ends with its usage."""
    n: int = 1
    max_output: int | None = None
    """Tokens."""
    wants_json: bool = False
    schema: Mapping[str, Any] | None = None
    forced_tool: tuple[str, Mapping[str, Any]] | None = None
    """Name and schema of the tool that must be called."""
    problem: str = ""
    """Why a provider would refuse this body, if it would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One definite answer."""

    ask: Ask
    id: str
    model: str
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage
    """What is billed; every bucket but audio is a figure."""
    says_usage: bool
    stop: Stop
    finish_reason: str
    """Overrides `stop`, if not empty."""
    created: int
    """Seconds, UTC epoch."""


def make_answer(ask: Ask, reply: Reply, usage: Usage | None, *, model: str, id: str, created: int) -> Answer:
    """The answer of `reply` to `ask`; `usage` is billed where the reply names none, or it is counted."""
    text, tools = _content(ask, reply)
    tools = tuple(one if one.id else replace(one, id=f"call_{id[-12:]}_{at}") for at, one in enumerate(tools))
    stop = Stop.TOOL if tools else Stop.END
    if isinstance(reply.usage, Usage):
        usage = reply.usage
    if usage is None:
        most = None if ask.max_output is None else ask.max_output * _BYTES_PER_TOKEN
        if most is not None and not tools and len(text) * 4 > most and len(text.encode()) > most:
            text, stop = text.encode()[:most].decode(errors="ignore"), Stop.LENGTH
        output = tokens_in(text) + sum(tokens_in(one.name + one.arguments_text) for one in tools)
        usage = Usage(input_tokens=sum(tokens_in(one) for one in ask.prompt), output_tokens=output * ask.n)
    return Answer(
        ask=ask,
        id=reply.id or id,
        model=reply.model or model,
        text=text,
        tool_calls=tools,
        usage=replace(
            usage,
            input_tokens=usage.input_tokens or 0,
            output_tokens=usage.output_tokens or 0,
            cache_read_tokens=usage.cache_read_tokens or 0,
            cache_write_tokens=usage.cache_write_tokens or 0,
            reasoning_tokens=usage.reasoning_tokens or 0,
        ),
        says_usage=reply.usage is not None and (ask.stream_usage or not ask.stream),
        stop=stop,
        finish_reason=reply.finish_reason,
        created=created,
    )


def _content(ask: Ask, reply: Reply) -> tuple[str, tuple[ToolCall, ...]]:
    if reply.text is not None or reply.tool_calls:
        return reply.text or "", reply.tool_calls
    if ask.forced_tool is not None:
        name, parameters = ask.forced_tool
        return "", (ToolCall(name=name, arguments=sample(parameters)),)
    if ask.schema is not None:
        return encode(sample(ask.schema)), ()
    return (encode({"answer": TEXT}) if ask.wants_json else TEXT), ()


def tokens_in(value: Any) -> int:
    """Tokens of a JSON value by the provider's own count: UTF-8 bytes of its text / 4, rounded up.

    Text counts as it is, a list of integers as that many tokens, anything else as compact JSON.
    """
    if value is None:
        return 0
    if isinstance(value, list):
        items = cast(list[Any], value)
        if items and all(isinstance(one, int) for one in items):
            return len(items)
        if items and all(isinstance(one, (str, list)) for one in items):
            return sum(tokens_in(one) for one in items)
    text = value if isinstance(value, str) else encode(value)
    size = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return -(-size // _BYTES_PER_TOKEN)


def pieces(text: str) -> list[str]:
    """Text as a stream brings it: word by word, in no more than 32 pieces; at least one piece unless empty."""
    words: list[str] = _WORDS.findall(text)
    if len(words) <= _MOST_PIECES:
        return words
    size = -(-len(words) // _MOST_PIECES)
    return ["".join(words[at : at + size]) for at in range(0, len(words), size)]


def event(data: JsonObject, name: str = "") -> bytes:
    """One server-sent event."""
    return f"event: {name}\ndata: {encode(data)}\n\n".encode() if name else f"data: {encode(data)}\n\n".encode()


def known_int(value: Any) -> int | None:
    """A positive integer of a request body, or None."""
    return value if isinstance(value, int) and value > 0 else None


def known_list(value: Any) -> list[JsonObject]:
    """The objects in a list of a request body; empty when it is no list."""
    items = cast(list[Any], value) if isinstance(value, list) else []
    return [cast(JsonObject, one) for one in items if isinstance(one, dict)]


def known_object(value: Any) -> JsonObject:
    """An object of a request body; empty when it is none."""
    return cast(JsonObject, value) if isinstance(value, dict) else {}


def separate_inputs(value: Any) -> list[Any]:
    """The separate inputs of an `input` field: one text, one list of token ids, or a list of either."""
    if isinstance(value, list):
        items = cast(list[Any], value)
        return [items] if items and isinstance(items[0], int) else items
    return [value]
