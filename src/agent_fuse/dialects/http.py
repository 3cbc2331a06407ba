"""HTTP client spans to a model endpoint: the wire gate, for SDKs that nothing else knows. It sees URLs, not bodies."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from agent_fuse.calls import count
from agent_fuse.dialects.base import Dialect, Field, SpanRole, Spot
from agent_fuse.dialects.reading import Ending
from agent_fuse.prices import model_endpoint
from agent_fuse.sightings import Layer, Outcome
from agent_fuse.wire import operation_of

_METHOD = ("http.request.method", "http.method")
_URL = ("url.full", "http.url")
_STATUS = ("http.response.status_code", "http.status_code")

_PREFIX = "opentelemetry.instrumentation."
CLIENTS = ("httpx", "httpx2", "requests", "aiohttp_client", "urllib3")
"""Instrumentations of HTTP clients, under `opentelemetry.instrumentation.`; httpx2 spans come from httpx's."""

_OPERATIONS = (
    ("generateContent", "generate_content"), ("streamGenerateContent", "generate_content"),
    ("embedContent", "embeddings"), ("batchEmbedContents", "embeddings"),
    ("rawPredict", "chat"), ("streamRawPredict", "chat"),
    ("/converse", "chat"), ("/converse-stream", "chat"),
    ("/invoke", "chat"), ("/invoke-with-response-stream", "chat"),
    ("/api/chat", "chat"), ("/api/generate", "text_completion"), ("/api/embed", "embeddings"),
    ("/v1/chat", "chat"), ("/v2/chat", "chat"), ("/v1/embed", "embeddings"), ("/v2/embed", "embeddings"),
)  # fmt: skip
"""Ends of priced paths beside those of OpenAI's and Anthropic's APIs: Gemini and Vertex, Bedrock, Ollama, Cohere."""

_MODEL = re.compile(r"/(?:models?|deployments)/([^/:]+(?::\d+)?)(?=[:/])")


_HOST = re.compile(r"[\w.:-]+")


@dataclass(frozen=True, slots=True)
class NamedEndpoint:
    """A model endpoint that the user names: a host, a host and port, or a URL with a path."""

    host: str
    port: int | None
    path: str

    @classmethod
    def parse(cls, text: str) -> "NamedEndpoint":
        """Read `https://gateway.example/llm`, `127.0.0.1:8000` or `ollama`.

        Raises:
            ValueError: there is no host in it, or its port is none.
        """
        parts = urlsplit(text if "://" in text else f"//{text}")
        if not parts.hostname or not _HOST.fullmatch(parts.hostname):
            raise ValueError(f"{text!r} names no host")
        return cls(parts.hostname, parts.port, parts.path.rstrip("/"))

    def operation(self, method: str, url: str) -> str | None:
        """The priced operation that a request is, when it goes to this endpoint; None when it is none."""
        parts = urlsplit(url)
        path = parts.path.rstrip("/")
        inside = path == self.path or path.startswith(f"{self.path}/")
        if parts.hostname != self.host or not inside or self.port not in (None, parts.port):
            return None
        found = priced(method, url)
        # A whole path that the user names is a model's, whatever it is called.
        return "chat" if found is None and self.path and path == self.path and method.lower() == "post" else found


def priced(method: str, url: str) -> str | None:
    """The priced operation of a request to a model API, by its path; None when it passes freely."""
    found = operation_of(method, url)
    if found is not None or method.lower() != "post":
        return found
    path = url.partition("?")[0].rstrip("/")
    return next((operation for end, operation in _OPERATIONS if path.endswith(end)), None)


def dialects(endpoints: Iterable[str] = ()) -> tuple[Dialect, ...]:
    """The wire gate's dialect: model endpoints are those of the price data, and `endpoints` that the user names."""
    own = tuple(NamedEndpoint.parse(text) for text in endpoints)

    def spot_of(attributes: Mapping[str, Any]) -> Spot | None:
        method, url = _first(attributes, _METHOD), _first(attributes, _URL)
        if not url or method.lower() != "post":
            return None
        try:
            operation = next((found for one in own if (found := one.operation(method, url))), None)
        except ValueError:  # no URL
            return None
        provider = ""
        if operation is None:
            operation = priced(method, url)
            provider = (model_endpoint(url) if operation is not None else None) or ""
            if operation is None or not provider:
                return None
        model = _MODEL.search(url)
        named = unquote(model.group(1)) if model else ""
        return Spot(kind=SpanRole.MODEL, operation=operation, provider=provider, model=named)

    return (
        Dialect(
            name="http",
            scopes=tuple(_PREFIX + client for client in CLIENTS),
            layer=Layer.WIRE,
            keys={Field.ERROR: ("error.type",)},
            spot_of=spot_of,
            mend=_mend,
        ),
    )


def _mend(ending: Ending, attributes: Mapping[str, Any]) -> Ending:
    status = next((found for key in _STATUS if (found := count(attributes.get(key))) is not None), None)
    if status is not None:
        # A redirect cost nothing either: the request that follows it is another attempt.
        answered = status < HTTPStatus.MULTIPLE_CHOICES
        return Ending(outcome=Outcome.DONE if answered else Outcome.FAILED, error=ending.error)
    return ending


def _first(attributes: Mapping[str, Any], names: tuple[str, ...]) -> str:
    found = next((attributes[name] for name in names if name in attributes), "")
    return found if isinstance(found, str) else ""


DIALECTS = dialects()
