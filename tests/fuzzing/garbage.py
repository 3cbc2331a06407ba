"""What fuzzing feeds: JSON that nearly means something, bytes that nearly are a stream, and how a body is cut."""

import base64
import json
import struct
import zlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import strategies as st

from agent_fuse.usage_shapes import SHAPES

sizes = pytest.mark.parametrize(
    "examples", [pytest.param(40, id="short"), pytest.param(1_500, id="long", marks=pytest.mark.soak)]
)
"""How many examples Hypothesis tries: few with every run of the tests, many in `make soak`."""

DEEP = 20_000
"""Levels that no parser goes down to."""


def _names(shape: Any) -> set[str]:
    """The names of one row of the table of usage."""
    found = {shape.root} if shape.root else set()
    for value in (getattr(shape, slot) for slot in shape.__dataclass_fields__):
        paths = value if isinstance(value, tuple) else (value,)
        found |= {word for path in paths if isinstance(path, str) for word in path.split(".") if word.isidentifier()}
    return found


NAMES = sorted(
    set().union(*map(_names, SHAPES))
    | {
        "id",
        "model",
        "type",
        "choices",
        "delta",
        "message",
        "response",
        "content",
        "text",
        "usage",
        "metadata",
        "bytes",
    }
    | {"event_type", "generation_id", "done", "finish_reason", "tool_calls", "function", "name", "arguments", "cost"}
    | {"service_tier", "speed", "output", "iterations", "meta", "billed_units", "usageMetadata", "responseId", "error"}
    | {"messages", "input", "prompt", "system", "tools", "role", "parts", "contents", "tool_use_id", "toolUse", "args"}
    | {"max_tokens", "n", "stream_options", "generationConfig", "options", "num_predict", "toolConfig", "texts"}
    | {"parameters", "properties", "enum", "anyOf", "image_url", "source", "data", "prediction", "cache_control"}
)
KINDS = ["message_start", "message_delta", "message_stop", "response.completed", "message-end", "stream-end", "chat"]
KINDS += ["function_call", "tool_result", "tool_use", "image", "input_audio", "web_search_call", "advisor_message"]

figures = st.integers(-5, 10**7) | st.sampled_from([2**53, 2**63, -(2**70), 10**40, True, False])
leaves = (
    st.none()
    | figures
    | st.floats()
    | st.sampled_from([*KINDS, "gpt-4o", "user", "assistant", "", "\ud800", "9" * 5_000, "2026-01-01"])
    | st.text(max_size=8)
)
trees: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=25,
)
documents = st.dictionaries(st.sampled_from(NAMES), trees, max_size=8)
"""Objects with the names that answers and requests have, and anything below them."""


def frame(payload: bytes, headers: bytes = b"") -> bytes:
    """A message of Amazon's framing."""
    head = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = head + struct.pack(">I", zlib.crc32(head)) + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def chunk(event: bytes) -> bytes:
    """A chunk of a model's own stream, as Bedrock sends it."""
    return frame(json.dumps({"bytes": base64.b64encode(event).decode()}).encode(), b"\x0b:event-type\x07\x00\x05chunk")


WRITERS = {
    "sse": lambda told: b"".join(b"event: x\ndata: " + one + b"\n\n" for one in told) + b"data: [DONE]\n\n",
    "sse, returns": lambda told: b"".join(b"data:" + one + b"\r\n\r\n" for one in told),
    "lines": lambda told: b"".join(one + b"\n" for one in told),
    "array": lambda told: b"[" + b",\r\n".join(told) + b"]",
    "one": lambda told: told[0] if told else b"",
    "frames": lambda told: b"".join(map(frame, told)),
    "chunks": lambda told: b"".join(map(chunk, told)),
}
"""Ways to write documents one after another."""


@st.composite
def bodies(draw: Any) -> bytes:
    """A stream in any of the ways, whole or with some of its bytes changed, lost or added."""
    told = [json.dumps(one).encode() for one in draw(st.lists(documents, max_size=5))]
    body = bytearray(WRITERS[draw(st.sampled_from(sorted(WRITERS)))](told))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 6))] = draw(st.binary(max_size=6))
    return bytes(body)


cuts = st.lists(st.integers(0, 2_000), max_size=12)


def cut(body: bytes, at: list[int]) -> list[bytes]:
    """The pieces of a body that is cut at these places."""
    places = sorted({0, len(body), *(one % (len(body) + 1) for one in at)})
    return [body[here:there] for here, there in pairwise(places)]
