"""OpenAI's embeddings, moderations and models, as they go over the wire."""

import base64
import hashlib
import struct
from typing import Any

from agent_fuse.testing.answers import Answer, Ask, JsonObject, encode, known_int, separate_inputs

DIMENSIONS = 16
"""Length of an embedding where the request names no `dimensions`."""

MODELS = ("gpt-4o", "gpt-4o-mini", "text-embedding-3-small", "claude-haiku-4-5")
"""What `GET /v1/models` lists; any other name works as well."""

_CATEGORIES = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm"),
    *("self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic"),
)


def read_embeddings(body: JsonObject) -> Ask:
    """What an embeddings request asks for: no output."""
    return Ask(
        body=body,
        prompt=(body.get("input"),),
        n=0,
        problem="" if body.get("input") else "Missing required parameter: 'input'.",
    )


def whole_embeddings(answer: Answer) -> JsonObject:
    """One vector for each input, of length 1, the same for the same input; floats or base64 as asked for."""
    body = answer.ask.body
    size = known_int(body.get("dimensions")) or DIMENSIONS
    as_text = body.get("encoding_format") == "base64"
    data: list[JsonObject] = []
    for at, one in enumerate(separate_inputs(body.get("input"))):
        vector = _vector(one, size)
        packed = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode() if as_text else vector
        data.append({"object": "embedding", "index": at, "embedding": packed})
    out: JsonObject = {"object": "list", "data": data, "model": answer.model}
    if answer.model.startswith("mistral"):
        out["id"] = answer.id  # which OpenAI has none of
    count = answer.usage.input_tokens
    return out | ({"usage": {"prompt_tokens": count, "total_tokens": count}} if answer.says_usage else {})


def moderation(body: JsonObject, id: str, model: str) -> JsonObject:
    """Nothing is ever flagged."""
    result = {
        "flagged": False,
        "categories": dict.fromkeys(_CATEGORIES, False),
        "category_scores": dict.fromkeys(_CATEGORIES, 0.0),
        "category_applied_input_types": {one: ["text"] for one in _CATEGORIES},
    }
    return {"id": f"modr-{id}", "model": model, "results": [result for _ in separate_inputs(body.get("input"))]}


def models(name: str, *, anthropic: bool) -> JsonObject:
    """One model by `name`, or the list of MODELS, in the words of either provider."""

    def one(id: str) -> JsonObject:
        if anthropic:
            return {"id": id, "type": "model", "display_name": id, "created_at": "2026-01-01T00:00:00Z"}
        return {"id": id, "object": "model", "created": 1_767_225_600, "owned_by": "loopback"}

    if name:
        return one(name)
    listed = [one(each) for each in MODELS]
    if anthropic:
        return {"data": listed, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}
    return {"object": "list", "data": listed}


def _vector(value: Any, size: int) -> list[float]:
    raw = hashlib.shake_128(encode(value).encode()).digest(size)
    length = sum((byte - 127.5) ** 2 for byte in raw) ** 0.5
    return [(byte - 127.5) / length for byte in raw]
