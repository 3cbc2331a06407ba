"""Which path speaks which protocol, and how a reply is put into its words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus

from agent_fuse.testing import anthropic_api, openai_chat, openai_other, openai_responses
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
)


@dataclass(frozen=True, slots=True)
class Speech:
    """One protocol: how to read a request, and how to word an answer whole or as a stream."""

    id_prefix: str
    read: Callable[[JsonObject], Ask]
    whole: Callable[[Answer], JsonObject]
    stream: Callable[[Answer], tuple[list[bytes], int | None]] | None = None
    """The events, and the index of the one that tells the usage, if one does."""


SPEECHES: Mapping[Api, Speech] = {
    Api.CHAT: Speech("chatcmpl-", openai_chat.read_chat, openai_chat.whole_chat, openai_chat.stream_chat),
    Api.COMPLETIONS: Speech(
        "cmpl-", openai_chat.read_completion, openai_chat.whole_completion, openai_chat.stream_completion
    ),
    Api.RESPONSES: Speech("resp_", openai_responses.read, openai_responses.whole, openai_responses.stream),
    Api.EMBEDDINGS: Speech("embd-", openai_other.read_embeddings, openai_other.whole_embeddings),
    Api.MESSAGES: Speech("msg_", anthropic_api.read, anthropic_api.whole, anthropic_api.stream),
}


@lru_cache(maxsize=1024)
def route(method: str, path: str) -> tuple[Api, str]:
    """What a request asks for, and its Azure deployment if the path names one. Any prefix before the ending will do."""
    path = path.rstrip("/")
    if method == "GET":
        if path == "/_loopback":
            return Api.STATE, ""
        return (Api.MODELS if "/models" in path else Api.UNKNOWN), ""
    before, _, after = path.partition("/deployments/")
    deployment = after.partition("/")[0] if before.endswith("/openai") else ""
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
