"""Google's Gemini API, and Vertex AI, which speaks the same: whole, as a JSON array, or as server-sent events."""

from dataclasses import replace
from typing import Any, cast

from agent_fuse.calls import Usage, count
from agent_fuse.usage_reader import later, read_usage
from agent_fuse.wire import Reading, read_body
from agent_fuse.wire_formats.base import Body, BodyReader, WireFormat
from agent_fuse.wire_formats.documents import Document, Documents


def _words(body: Body) -> Body:
    """`generationConfig` says how long and how many; tools stand in groups of functions."""
    told: dict[str, Any] = dict(body)
    config = told.pop("generationConfig", None) or told.pop("generation_config", None)
    fields: Body = cast("Body", config) if isinstance(config, dict) else {}
    for ours, names in _CONFIG.items():
        found = next((fields[name] for name in names if fields.get(name) is not None), None)
        if found is not None:
            told[ours] = found
    told["service_tier"] = told.pop("serviceTier", None) or told.get("service_tier")
    if "tools" in told:
        told["tools"] = [one for group in _list(told["tools"]) for one in _tools(group)]
    if "content" in told:  # embedContent
        told["contents"] = [told.pop("content")]
    if "requests" in told:  # batchEmbedContents
        told["contents"] = [one.get("content") for one in _objects(told.pop("requests"))]
    return told


_CONFIG = {
    "max_output_tokens": ("maxOutputTokens", "max_output_tokens"),
    "n": ("candidateCount", "candidate_count"),
    "response_format": ("responseSchema", "responseJsonSchema", "response_schema"),
}


def _tools(group: object) -> list[Any]:
    fields: Body = cast("Body", group) if isinstance(group, dict) else {}
    found: list[Any] = []
    for name, value in fields.items():
        if name in ("functionDeclarations", "function_declarations"):
            found += _list(value)
        else:
            found.append({"type": name})
    return found


def _list(found: object) -> list[Any]:
    return cast("list[Any]", found) if isinstance(found, list) else []


def _objects(found: object) -> list[Body]:
    return [cast("Body", one) for one in _list(found) if isinstance(one, dict)]


def _take(reading: Reading, told: Document) -> None:
    """One `GenerateContentResponse`. Its usage is told with each, and grows."""
    usage = read_usage(told)
    response_id, model = told.get("responseId"), told.get("modelVersion")
    if usage is not None:
        searched = _searches(told, model if isinstance(model, str) else reading.model)
        reading.usage = later(reading.usage, replace(usage, web_searches=searched) if searched else usage)
    metadata = told.get("usageMetadata")
    fields: Body = cast("Body", metadata) if isinstance(metadata, dict) else {}
    tier = fields.get("serviceTier") or _TIERS.get(str(fields.get("trafficType")))
    if isinstance(tier, str):
        reading.tier = tier.lower()
    if isinstance(response_id, str):
        reading.response_id = response_id
    if isinstance(model, str):
        reading.model = model
    ended = any(one.get("finishReason") for one in _objects(told.get("candidates")))
    if ended and usage is not None:
        reading.complete = reading.final = True


_TIERS = {"ON_DEMAND": "standard", "ON_DEMAND_PRIORITY": "priority", "ON_DEMAND_FLEX": "flex"}
"""What Vertex AI calls them (google-genai 3.6, `TrafficType`); the Gemini API says `flex`, `priority`, `standard`."""


def _searches(told: Document, model: str) -> int:
    """Searches of Google that grounded an answer, as they are billed: each query once; to Gemini 2.5, the prompt.

    One of its maps costs as much (to Gemini 2.5 less), and its queries are not told.
    Source: Google's pricing page (ai.google.dev/gemini-api/docs/pricing), "Grounding with Google Search", 2026-09.
    """
    grounds = _objects([one.get("groundingMetadata") for one in _objects(told.get("candidates"))])
    queries = {
        query
        for ground in grounds
        for query in _list(ground.get("webSearchQueries"))
        if isinstance(query, str) and query.strip()
    }
    billed = min(len(queries), 1) if model.startswith(("gemini-1", "gemini-2")) else len(queries)
    placed = any("maps" in chunk for ground in grounds for chunk in _objects(ground.get("groundingChunks")))
    return billed + placed


def _reader(reading: Reading, content_type: str, *, count_text: bool) -> BodyReader:
    del count_text
    return Documents(lambda told: _take(reading, told), content_type)


def _whole(body: object, reading: Reading) -> bool:
    for one in cast("list[object]", body) if isinstance(body, list) else [body]:
        if isinstance(one, dict):
            _take(reading, cast("Document", one))
    reading.complete = reading.final = True
    return reading.usage is not None


FORMAT = WireFormat(
    name="gemini",
    source="ai.google.dev/api/generate-content, ai.google.dev/api/embeddings; cloud.google.com/vertex-ai",
    ends={
        ":generateContent": "generate_content",
        ":streamGenerateContent": "generate_content",
        ":embedContent": "embeddings",
        ":batchEmbedContents": "embeddings",
    },
    provider="google",
    asks=("contents", "content", "requests"),
    model_in_body=False,
    words=_words,
    reader=_reader,
    whole=_whole,
    streams_json=True,
    tier_header="x-gemini-service-tier",
)


def _instances(body: Body) -> Body:
    """What Imagen, Veo and Vertex's embeddings are asked for stands in `instances`, how much of it in `parameters`."""
    told: dict[str, Any] = dict(body)
    given = _objects(told.pop("instances", None))
    if given and "content" in given[0]:
        told["input"] = [one.get("content") for one in given]
    elif given:
        told.update(given[0])
    parameters = told.pop("parameters", None)
    fields: Body = cast("Body", parameters) if isinstance(parameters, dict) else {}
    for ours, theirs in (("n", "sampleCount"), ("seconds", "durationSeconds"), ("size", "resolution")):
        if theirs in fields:
            told[ours] = fields[theirs]
    return told


def _embedded(body: object, reading: Reading) -> bool:
    """Vertex's embeddings tell the tokens of each text."""
    told = (_objects([body]) or [cast("Body", {})])[0]
    each = _objects([one.get("embeddings") for one in _objects(told.get("predictions"))])
    tokens = [count(one.get("token_count")) for one in _objects([one.get("statistics") for one in each])]
    if not tokens or None in tokens:
        return read_body(body, reading)
    reading.usage = Usage(input_tokens=sum(filter(None, tokens)), output_tokens=0)
    reading.complete = reading.final = True
    return True


def _images(body: Body) -> Body:
    """Imagen draws four where nothing else is said (cloud.google.com/vertex-ai/…/imagen-api, `sampleCount`)."""
    told = _instances(body)
    return told if "prompt" not in told else {"n": 4, **told}


def _asked(body: Body) -> Body:
    """How long it may be stands in `generation_config`; its tools stand each for itself. An agent names no model."""
    told: dict[str, Any] = dict(body)
    config = told.pop("generation_config", None)
    most = cast("Body", config).get("max_output_tokens") if isinstance(config, dict) else None
    named = body.get("model") or body.get("agent")
    return {**told, "model": named, **({"max_output_tokens": most} if type(most) is int else {})}


OTHERS = (
    WireFormat(
        name="google images",
        source="ai.google.dev/api/models: predict (Imagen; embeddings at Vertex)",
        ends={f"-00{one}:predict": "image" for one in range(1, 6)},
        provider="google",
        asks=("instances",),
        model_in_body=False,
        words=_images,
        whole=_embedded,
    ),
    WireFormat(
        name="google clips",
        source="ai.google.dev/api/models: predictLongRunning (Veo)",
        ends={":predictLongRunning": "video"},
        provider="google",
        asks=("instances",),
        model_in_body=False,
        words=_instances,
    ),
    WireFormat(
        name="gemini jobs",
        source="ai.google.dev/api/batch-mode; ai.google.dev/api/interactions-api; cloud.google.com/vertex-ai: "
        "batchPredictionJobs, tuningJobs",
        ends={
            ":batchGenerateContent": "batch",
            ":asyncBatchEmbedContent": "batch",
            "/batchPredictionJobs": "batch",
            "/tuningJobs": "fine_tuning",
        },
        provider="google",
        asks=("batch", "input", "inputConfig", "baseModel", "preTunedModel"),
        model_in_body=False,
    ),
    WireFormat(
        name="gemini interactions",
        source="ai.google.dev/gemini-api/docs/interactions; google-genai 3.6",
        ends={"/interactions": "chat"},
        provider="google",
        asks=("input",),
        model_in_body=False,
        words=_asked,
    ),
)
"""Images, clips, and work that goes on at the provider: held and booked by what is asked for, or at an estimate."""
