"""OpenAI's protocol beside texts of a named model: images, speech, recordings, video, agents of Mistral, and jobs."""

from collections.abc import Mapping
from typing import Any, cast

from agent_fuse.wire_formats.base import Body, WireFormat


def _words(body: Body) -> Body:
    """A form's files as an SDK would hand them over: what is billed by a recording is quoted by its length."""
    file = body.get("file")
    return {**body, "file": {"file": file}} if isinstance(file, bytes) else body


def _inputs(body: Body) -> Body:
    """Parts, or chunks of documents, that are embedded together."""
    told: dict[str, Any] = dict(body)
    given = told.pop("inputs", None)
    groups = cast("list[Any]", given) if isinstance(given, list) else []
    if any(isinstance(one, dict) for one in groups):
        told["messages"] = [{"role": "user", "content": one.get("content")} for one in groups if isinstance(one, dict)]
    else:
        told["input"] = [text for one in groups for text in (one if isinstance(one, list) else [one])]
    return told


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
            "/ocr": "unknown",
        },
        *("prompt", "image", "input", "file", "file_url", "url", "document"),
    ),
    WireFormat(
        name="voyage",
        source="docs.voyageai.com/reference: multimodal and contextualized embeddings; docs.perplexity.ai",
        ends={"/multimodalembeddings": "embeddings", "/contextualizedembeddings": "embeddings"},
        asks=("inputs", "input"),
        words=_inputs,
    ),
    _other(
        "openai jobs",
        {"/batches": "batch", "/batch/jobs": "batch", "/fine_tuning/jobs": "fine_tuning"},
        *("input_file_id", "input_files", "requests", "training_file", "training_files"),
    ),
)
