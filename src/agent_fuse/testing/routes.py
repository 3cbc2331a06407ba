"""Which path speaks which protocol, and how a reply is put into its words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import unquote

from agent_fuse.testing import (
    anthropic_api,
    bedrock_api,
    cohere_api,
    gemini_api,
    ollama_api,
    openai_chat,
    openai_other,
    openai_responses,
)
from agent_fuse.testing.answers import Answer, Ask, JsonObject
from agent_fuse.testing.exchange import Api

_ENDINGS = (
    ("/chat/completions", Api.CHAT),
    ("/completions", Api.COMPLETIONS),
    ("/responses", Api.RESPONSES),
    ("/embeddings", Api.EMBEDDINGS),
    ("/moderations", Api.MODERATIONS),
    ("/responses/input_tokens", Api.COUNT_TOKENS),
    ("/v1/messages/count_tokens", Api.COUNT_TOKENS),
    ("/v1/messages", Api.MESSAGES),
    (":generateContent", Api.GEMINI),
    (":streamGenerateContent", Api.GEMINI_STREAM),
    (":embedContent", Api.GEMINI_EMBEDDINGS),
    (":batchEmbedContents", Api.GEMINI_EMBEDDINGS),
    (":countTokens", Api.COUNT_TOKENS),
    ("/converse", Api.CONVERSE),
    ("/converse-stream", Api.CONVERSE_STREAM),
    ("/invoke", Api.INVOKE),
    ("/invoke-with-response-stream", Api.INVOKE_STREAM),
    ("/v2/chat", Api.COHERE),
    ("/v1/chat", Api.COHERE_V1),
    ("/v2/embed", Api.COHERE_EMBEDDINGS),
    ("/api/chat", Api.OLLAMA_CHAT),
    ("/api/generate", Api.OLLAMA_GENERATE),
    ("/api/embed", Api.OLLAMA_EMBEDDINGS),
    ("/api/show", Api.MODELS),
)


@dataclass(frozen=True, slots=True)
class Speech:
    """One protocol: how to read a request, and how to word an answer whole or as a stream."""

    id_prefix: str
    read: Callable[[JsonObject], Ask]
    whole: Callable[[Answer], JsonObject]
    stream: Callable[[Answer], tuple[list[bytes], int | None]] | None = None
    """The events, and the index of the one that tells the usage, if one does."""
    stream_type: str = "text/event-stream"


SPEECHES: Mapping[Api, Speech] = {
    Api.CHAT: Speech("chatcmpl-", openai_chat.read_chat, openai_chat.whole_chat, openai_chat.stream_chat),
    Api.COMPLETIONS: Speech(
        "cmpl-", openai_chat.read_completion, openai_chat.whole_completion, openai_chat.stream_completion
    ),
    Api.RESPONSES: Speech("resp_", openai_responses.read, openai_responses.whole, openai_responses.stream),
    Api.EMBEDDINGS: Speech("embd-", openai_other.read_embeddings, openai_other.whole_embeddings),
    Api.MESSAGES: Speech("msg_", anthropic_api.read, anthropic_api.whole, anthropic_api.stream),
    Api.GEMINI: Speech("", gemini_api.read, gemini_api.whole),
    Api.GEMINI_STREAM: Speech("", gemini_api.read_stream, gemini_api.whole, gemini_api.stream),
    Api.GEMINI_EMBEDDINGS: Speech("", gemini_api.read_embeddings, gemini_api.whole_embeddings),
    Api.CONVERSE: Speech("", bedrock_api.read, bedrock_api.whole),
    Api.CONVERSE_STREAM: Speech(
        "", bedrock_api.read_stream, bedrock_api.whole, bedrock_api.stream, bedrock_api.EVENT_STREAM
    ),
    Api.INVOKE: Speech("msg_", bedrock_api.read_invoke, bedrock_api.whole_invoke),
    Api.INVOKE_STREAM: Speech(
        "msg_", bedrock_api.read_invoke_stream, anthropic_api.whole, bedrock_api.stream_invoke, bedrock_api.EVENT_STREAM
    ),
    Api.COHERE: Speech("", cohere_api.read, cohere_api.whole, cohere_api.stream),
    Api.COHERE_V1: Speech("", cohere_api.read_v1, cohere_api.whole_v1, cohere_api.stream_v1, cohere_api.LINES),
    Api.COHERE_EMBEDDINGS: Speech("", cohere_api.read_embeddings, cohere_api.whole_embeddings),
    Api.OLLAMA_CHAT: Speech("", ollama_api.read_chat, ollama_api.whole_chat, ollama_api.stream_chat, ollama_api.NDJSON),
    Api.OLLAMA_GENERATE: Speech(
        "", ollama_api.read_generate, ollama_api.whole_generate, ollama_api.stream_generate, ollama_api.NDJSON
    ),
    Api.OLLAMA_EMBEDDINGS: Speech("", ollama_api.read_embeddings, ollama_api.whole_embeddings),
}


@lru_cache(maxsize=1024)
def route(method: str, path: str) -> tuple[Api, str]:
    """What a request asks for, and the deployment or model that its path names. Any prefix before an ending will do."""
    path = path.rstrip("/")
    if method == "GET":
        if path == "/_loopback":
            return Api.STATE, ""
        return (Api.MODELS if "/models" in path else Api.UNKNOWN), ""
    before, _, after = path.partition("/deployments/")
    deployment = after.partition("/")[0] if before.endswith("/openai") else ""
    if not deployment and ":" in path and "/models/" in path:
        deployment = path.rpartition("/models/")[2].partition(":")[0]
    if not deployment and "/model/" in path:
        deployment = unquote(path.rpartition("/model/")[2].partition("/")[0])
    if method == "POST":
        for ending, api in _ENDINGS:
            if path.endswith(ending):
                return api, deployment
    return Api.UNKNOWN, deployment


def error_body(status: int, message: str, *, anthropic: bool, request_id: str) -> JsonObject:
    """An error in the words of either provider."""
    ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if anthropic:
        kind = _ANTHROPIC_ERRORS.get(status, "api_error" if ours else "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}
    kind, code = _OPENAI_ERRORS.get(status, ("server_error" if ours else "invalid_request_error", None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


_ANTHROPIC_ERRORS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_OPENAI_ERRORS: Mapping[int, tuple[str, str | None]] = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}
