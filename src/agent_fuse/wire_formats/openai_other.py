"""OpenAI's protocol beside texts of a named model: images, speech, recordings, video, agents of Mistral, and jobs."""

from collections.abc import Mapping
from typing import Any, cast

from agent_fuse.quoting.request_parameters import ANNOTATED
from agent_fuse.wire_formats.base import Body, WireFormat


def _words(body: Body) -> Body:
    """A form's files as an SDK would hand them over: what is billed by a recording is quoted by its length."""
    file = body.get("file")
    return {**body, "file": {"file": file}} if isinstance(file, bytes) else body


def _inputs(body: Body) -> Body:
    """Parts, or chunks of documents, that are embedded together."""
    told: dict[str, Any] = dict(body)
    given = told.pop("inputs", None)
    if isinstance(given, list):
        told["input"] = [part for one in cast("list[Any]", given) for part in _parts(one)]
    return told


def _parts(group: object) -> list[Any]:
    return cast("list[Any]", group) if isinstance(group, list) else [group]


def _read(body: Body) -> Body:
    """Whether a schema is to be filled in too, which is billed besides."""
    annotated = body.get("document_annotation_format") or body.get("bbox_annotation_format")
    return {**body, "service_tier": ANNOTATED} if annotated else body


def _wrapped(body: Body) -> Body:
    """The chat that is to be answered later."""
    inner = body.get("request")
    return cast("Body", inner) if isinstance(inner, dict) else body


def _other(name: str, ends: Mapping[str, str], *asks: str, **more: Any) -> WireFormat:
    source = "developers.openai.com/api/reference; console.groq.com/docs/api-reference; docs.mistral.ai/api"
    return WireFormat(name=name, source=source, ends=ends, asks=asks, model_in_body=False, words=_words, **more)


FORMATS = (
    WireFormat(
        name="mistral agents",
        source="docs.mistral.ai/api: agents",
        ends={"/agents/completions": "chat"},
        asks=("agent_id",),
        model_in_body=False,
        streams_usage=False,
    ),
    _other(
        "openai media",
        {
            "/images/generations": "image",
            "/images/edits": "image",
            "/images/variations": "image",
            "/audio/speech": "speech",
            "/audio/transcriptions": "transcription",
            "/audio/translations": "transcription",
            "/videos": "video",
        },
        *("prompt", "image", "input", "file", "file_url", "url", "document"),
    ),
    WireFormat(
        name="mistral ocr",
        source="docs.mistral.ai/api: OCR; mistralai 3.7",
        ends={"/ocr": "ocr"},
        asks=("document",),
        words=_read,
    ),
    WireFormat(
        name="voyage",
        source="docs.voyageai.com/reference: multimodal and contextualized embeddings; docs.perplexity.ai",
        ends={"/multimodalembeddings": "embeddings", "/contextualizedembeddings": "embeddings"},
        asks=("inputs", "input"),
        words=_inputs,
    ),
    WireFormat(
        name="perplexity later",
        source="docs.perplexity.ai: async chat completions",
        ends={"/async/chat/completions": "chat"},
        asks=("request",),
        model_in_body=False,
        words=_wrapped,
    ),
    _other(
        "openai jobs",
        {"/batches": "batch", "/batch/jobs": "batch", "/fine_tuning/jobs": "fine_tuning"},
        *("input_file_id", "input_files", "requests", "training_file", "training_files"),
    ),
)
