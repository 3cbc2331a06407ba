"""A walk through one request body: which of its parts are prompt, and what they weigh."""

import marshal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from agent_fuse.quoting.families import Vocabulary, vocabulary
from agent_fuse.quoting.media import MEDIA, weigh
from agent_fuse.quoting.recent import Recent

_PER_MESSAGE, _PRIMING, _PER_NAME = 3, 3, 1
_TOOL, _TOOL_CL100K, _TOOLS_END, _PROPERTY, _ENUM, _ENUM_ITEM = 7, 10, 12, 3, -3, 3
"""OpenAI's cookbook, "How to count tokens with tiktoken": a message costs 3 tokens and its name 1, the answer is primed
with 3; a tool costs 7 (10 before GPT-4o), a schema's properties 3, each of them 3, an enum -3, 3 an item, tools 12."""
CLAUDE_TOOLS = 346
"""The system prompt Anthropic adds for tools ("Tool use", pricing); twice that in an upper bound."""
_NODES, _DEPTH = 200_000, 64


@dataclass(slots=True)
class Count:
    """What a body holds. `tokens` is the input; `exact` says a vocabulary counted its text."""

    tokens: int = 0
    exact: bool = False
    media_tokens: int = 0
    """Of `tokens`, those of images, audio and files: bounds and estimates, never exact."""
    media_bytes: int = 0
    """Bytes of the body that are images, audio and files written in it."""
    unseen: bool = False
    """Part of the input is kept at the provider: an earlier response, a conversation, an uploaded file."""
    open_ended: bool = False
    """Something adds tokens that nothing here bounds: tools run at the provider, sounds, files, a predicted output."""
    cache_write: bool = False
    """The body asks for its prompt to be written to the cache."""
    tools: int = 0
    readable: bool = True
    provisional: bool = False
    """The vocabulary is still being loaded: texts are counted at their bytes, which are never fewer than the tokens."""


Remembered = Recent[tuple[int, int], tuple[int, Count]]
"""By hash and length: what was counted, and what else it told."""


class Walk:
    """One pass over one body. Raises on what it cannot walk."""

    __slots__ = ("count", "model", "nodes", "remembered", "text")

    def __init__(self, text: Callable[[str], int], model: str, count: Count, remembered: Remembered) -> None:
        self.text = text
        self.model = model
        self.count = count
        self.remembered = remembered
        """Tools that the model was given before, which an agent sends with every call."""
        self.nodes = _NODES

    def body(self, body: Mapping[str, Any], *, embeddings: bool) -> int:
        """A whole body; with `embeddings`, its `input` or `contents` is text or token ids, not messages."""
        total = 0
        for key, value in body.items():
            if value is None:
                continue
            if key in ("messages", "contents", "input") and not embeddings:
                total += self.messages(value) + _PRIMING
            elif key in ("input", "prompt", "contents"):
                total += self.prompt(value)
            elif key in _PROMPT_KEYS:
                total += self.payload(value, 0) if key in _SCHEMA_KEYS else self.part(value, 0)
            elif key in ("tools", "functions"):
                total += self.tools(value)
            elif key in _KEPT_KEYS:
                self.count.unseen = True
            elif key == "prediction":
                self.count.open_ended = True
            elif key == "cache_control":
                self.count.cache_write = True
        return total

    def messages(self, value: object) -> int:
        """Messages of a chat, or one as a text."""
        if isinstance(value, str):
            return _PER_MESSAGE + self.text("user") + self.text(value)
        if not isinstance(value, list | tuple):
            raise TypeError(type(value).__name__)
        total, text = 0, self.text
        for message in cast("list[Any]", value):
            fields = cast("dict[str, Any]", message) if type(message) is dict else _NO_FIELDS
            if fields.keys() == _PLAIN or fields.keys() == _RESULT:
                role, content = fields["role"], fields["content"]
                if type(role) is str and type(content) is str:  # nearly all there are: counted without the walk
                    total += _PER_MESSAGE + text(role) + text(content)
                    continue
            total += _PER_MESSAGE + self.part(cast("object", message), 0)
        return total

    def prompt(self, value: object) -> int:
        """A prompt or an embeddings input: text, texts, token ids, or lists of token ids."""
        if isinstance(value, list | tuple):
            items = cast("list[Any]", value)
            if items and isinstance(items[0], int):
                return len(items)
            self.spend(len(items))
            return sum(self.prompt(item) for item in items)
        if isinstance(value, Mapping) and "id" in cast("Mapping[str, Any]", value):
            self.count.unseen = True
        return self.part(cast("object", value), 0)

    def part(self, value: object, depth: int) -> int:  # noqa: C901, PLR0912 - one branch for each kind of field
        """A message, or anything inside one: text counts, the API's own fields do not."""
        if type(value) is str:
            return self.text(value)
        self.spend(1)
        if depth > _DEPTH:
            raise RecursionError("deeper than any request")
        if isinstance(value, list | tuple):
            total = 0
            for item in cast("list[Any]", value):
                total += self.part(item, depth + 1)
            return total
        if value is None or isinstance(value, bool | int | float):
            return 0
        if isinstance(value, str):
            return self.text(str(value))
        fields = _fields(value)
        kind = fields.get("type")
        if isinstance(kind, str) and kind in MEDIA:
            return self.media(kind, fields)
        if kind == "item_reference":
            self.count.unseen = True
        total = 0
        for key, inner in fields.items():
            if key in _SILENT or inner is None:
                continue
            if key == "name":
                total += _PER_NAME + self.payload(inner, depth + 1)
            elif key in _PAYLOADS:
                total += _PER_MESSAGE + self.payload(inner, depth + 1)
            elif key in MEDIA:
                total += self.media(key, fields)
            elif key == "cache_control":
                self.count.cache_write = True
            elif key == "encrypted_content":
                total += len(str(inner)) // 4
            else:
                total += self.part(inner, depth + 1)
        return total

    def payload(self, value: object, depth: int) -> int:
        """Anything that is prompt with its keys: arguments, results, schemas."""
        if type(value) is str:
            return self.text(value)
        self.spend(1)
        if depth > _DEPTH:
            raise RecursionError("deeper than any request")
        if isinstance(value, list | tuple):
            return 1 + sum(1 + self.payload(item, depth + 1) for item in cast("list[Any]", value))
        if value is None or isinstance(value, bool | int | float):
            return 1 + len(str(value)) // 3
        if isinstance(value, str):
            return self.text(str(value))
        fields = _fields(value)
        return 1 + sum(2 + self.text(str(key)) + self.payload(inner, depth + 1) for key, inner in fields.items())

    def tools(self, value: object) -> int:
        """Tool definitions of any of the APIs."""
        if not isinstance(value, list | tuple):
            raise TypeError(type(value).__name__)
        try:
            written = marshal.dumps(
                cast("list[Any]", value), 2
            )  # the quickest way to one string of the whole; others' types fail
        except ValueError:
            return self.new_tools(cast("object", value))
        key = (hash(written), len(written))
        found = self.remembered.get(key)
        if found is None:
            outer, self.count = self.count, Count()
            try:
                found = (self.new_tools(cast("object", value)), self.count)
            finally:
                self.count = outer
            self.remembered.put(key, found)
        total, part = found
        self.count.tools += part.tools
        self.count.open_ended |= part.open_ended
        self.count.cache_write |= part.cache_write
        return total

    def new_tools(self, value: object) -> int:
        """Tool definitions that are not remembered."""
        items = cast("list[Any]", value)
        total = _TOOLS_END if items else 0
        for item in items:
            tool = _fields(item)
            self.count.tools += 1
            if "cache_control" in tool:
                self.count.cache_write = True
            if tool.get("type") not in (None, "function", "custom"):
                self.count.open_ended = True
            function = tool.get("function")
            total += self.tool(tool if function is None else _fields(function))
        if items and self.model.startswith("claude"):
            total += CLAUDE_TOOLS
        return total

    def tool(self, tool: Mapping[str, Any]) -> int:
        """One function: its name, purpose and arguments."""
        total = _TOOL_CL100K if vocabulary(self.model) is Vocabulary.CL100K else _TOOL
        total += self.text(_line(tool.get("name"), tool.get("description")))
        for key in ("parameters", "input_schema", "inputSchema"):
            if (schema := tool.get(key)) is not None:
                total += self.schema(_fields(schema), 0)
        return total

    def schema(self, schema: Mapping[str, Any], depth: int) -> int:
        """A JSON schema by the cookbook's rule, applied again inside nested properties, items and alternatives."""
        self.spend(1)
        if depth > _DEPTH:
            raise RecursionError("deeper than any request")
        total = 0
        for key, value in schema.items():
            if key in ("properties", "$defs", "definitions"):
                total += _PROPERTY
                for name, inner in _fields(value).items():
                    kind = _fields(inner)
                    total += _PROPERTY + self.text(_line(name, kind.get("type"), kind.get("description")))
                    total += self.schema(kind, depth + 1)
            elif key == "enum" and isinstance(value, list | tuple):
                total += _ENUM + sum(_ENUM_ITEM + self.payload(one, depth + 1) for one in cast("list[Any]", value))
            elif isinstance(value, Mapping):
                total += self.schema(cast("Mapping[str, Any]", value), depth + 1)
            elif key in ("anyOf", "oneOf", "allOf") and isinstance(value, list | tuple):
                total += sum(1 + self.schema(_fields(one), depth + 1) for one in cast("list[Any]", value))
            elif key in ("const", "default", "pattern", "format", "$ref"):
                total += 1 + self.payload(value, depth + 1)
        return total

    def media(self, kind: str, fields: Mapping[str, Any]) -> int:
        """An image, a sound or a file: its tokens go to `media_tokens`; what it holds as text is counted as text."""
        source = fields.get("source")
        written: Mapping[str, Any] = cast("Mapping[str, Any]", source) if isinstance(source, Mapping) else {}
        if written.get("type") in ("text", "content"):
            return self.part(written.get("data", written.get("content")), _DEPTH // 2)
        weight = weigh(kind, fields, self.model)
        count = self.count
        count.media_tokens += weight.tokens
        count.media_bytes += weight.size
        count.unseen |= weight.kept
        count.open_ended |= weight.guessed
        return 0

    def spend(self, nodes: int) -> None:
        """Raise where a body has more parts than any request, a thing that holds itself many times over."""
        self.nodes -= nodes
        if self.nodes < 0:
            raise OverflowError("more parts than any request")


_SCHEMA_KEYS = frozenset({"response_format", "text", "output_config", "output_format"})
_PROMPT_KEYS = _SCHEMA_KEYS | {
    "system",
    "instructions",
    "systemInstruction",
    "system_instruction",
    "documents",
    "query",
}
_KEPT_KEYS = frozenset({"previous_response_id", "conversation", "container", "cachedContent", "cached_content"})
_NO_FIELDS: dict[str, Any] = {}
_PLAIN, _RESULT = {"role", "content"}, {"role", "content", "tool_call_id"}
_IDS = {"id", "call_id", "tool_call_id", "tool_use_id", "index", "signature", "created_by"}
_SILENT = _IDS | {"type", "status", "object", "annotations", "logprobs", "is_error", "citations", "detail", "format"}
_PAYLOADS = frozenset({"arguments", "input", "args", "response", "functionCall", "functionResponse", "action"})


def _fields(value: object) -> Mapping[str, Any]:
    """A mapping, or an SDK's object (pydantic model, dataclass) by its attributes."""
    if type(value) is dict:
        return cast("Mapping[str, Any]", value)
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    return vars(value)


def _line(*parts: object) -> str:
    """A name, its type and what it is for, the way the cookbook joins them."""
    return ":".join(str(part) for part in parts if part is not None).removesuffix(".")
