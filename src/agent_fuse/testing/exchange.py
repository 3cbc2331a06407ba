"""What passes between a test and the loopback provider: a request that came, the reply it gets, what was billed."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Self, cast

from agent_fuse.calls import Usage


class Api(StrEnum):
    """What a request asks for."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"
    MESSAGES = "messages"
    GEMINI = "gemini"
    GEMINI_STREAM = "gemini_stream"
    GEMINI_EMBEDDINGS = "gemini_embeddings"
    CONVERSE = "converse"
    CONVERSE_STREAM = "converse_stream"
    INVOKE = "invoke"
    INVOKE_STREAM = "invoke_stream"
    COHERE = "cohere"
    COHERE_V1 = "cohere_v1"
    COHERE_EMBEDDINGS = "cohere_embeddings"
    OLLAMA_CHAT = "ollama_chat"
    OLLAMA_GENERATE = "ollama_generate"
    OLLAMA_EMBEDDINGS = "ollama_embeddings"
    COUNT_TOKENS = "count_tokens"
    MODERATIONS = "moderations"
    MODELS = "models"
    STATE = "state"
    """`GET /_loopback`: the counts, for other processes."""
    UNKNOWN = "unknown"


FREE = frozenset({Api.COUNT_TOKENS, Api.MODERATIONS, Api.MODELS, Api.STATE})
"""What no provider bills."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request as it arrived."""

    method: str
    path: str
    """Without the query."""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names in lower case."""
    body: Any = None
    """The decoded JSON body; None when there is none, or it is not JSON."""
    received_at: float = 0.0
    """Seconds, UTC epoch, by the provider's clock."""
    api: Api = Api.UNKNOWN
    deployment: str = ""
    """From an Azure path; of Gemini's and Bedrock's paths, the model."""

    @property
    def model(self) -> str:
        """The model asked for: the body's, else the path's (Azure's deployment, Gemini), else empty."""
        body: Any = self.body
        model: object = cast(dict[str, Any], body).get("model") if isinstance(body, dict) else None
        return model if isinstance(model, str) else self.deployment

    @property
    def priced(self) -> bool:
        """Whether this is a model request, the kind that costs money; any POST that is not known to be free is."""
        return self.method == "POST" and self.api not in FREE


class Counted(Enum):
    """Type of COUNTED."""

    COUNTED = "counted"


COUNTED = Counted.COUNTED
"""Usage counted from what was sent: UTF-8 bytes of the prompt's JSON and of the answer's text / 4, each rounded up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool that the model wants to be run."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict[str, Any])
    """As a mapping, or as the very text that the model writes (which may be no JSON at all)."""
    id: str = ""
    """Made up, and unique, when empty."""

    @property
    def arguments_text(self) -> str:
        """The arguments as they go over the wire."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(dict(self.arguments))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How the provider answers one model request. Every field has a sensible default.

    Raises:
        ValueError: a delay is negative or NaN, or the usage contradicts itself.
    """

    text: str | None = None
    """None: a tool call where the request forces one, JSON that fits where it gives a schema, else a short sentence."""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | Counted | None = COUNTED
    """Inclusive buckets, for all choices together; None reports no usage at all (it is still billed, as COUNTED)."""
    model: str = ""
    """Named in the answer; the request's own when empty."""
    id: str = ""
    """Response id; unique when empty."""
    finish_reason: str = ""
    """In the protocol's own word (`content_filter`, `refusal`); worked out when empty."""
    status: int = 200
    """Anything else answers with the protocol's error body, and bills nothing."""
    error: str = ""
    """Message of the error body."""
    retry_after_s: float | None = None
    """Sent as `retry-after`. The SDKs ignore 0 and wait by themselves; 0.01 makes them retry at once."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Sent as well; `content-encoding: gzip` has the answer compressed."""
    delay_s: float = 0.0
    """Seconds before the first byte; infinity never answers."""
    chunk_delay_s: float = 0.0
    """Seconds before every later piece: a server-sent event, or a quarter of a JSON body."""
    cut_after_chunks: int | None = None
    """Drop the connection after so many pieces; the last one never goes out. 0: after the headers."""
    stall_after_chunks: int | None = None
    """Send so many pieces, then nothing, with the connection open; the last one never goes out."""

    def __post_init__(self) -> None:
        if not (self.delay_s >= 0 and self.chunk_delay_s >= 0):
            raise ValueError(f"delay_s={self.delay_s}, chunk_delay_s={self.chunk_delay_s}: give 0 or more seconds")
        if isinstance(self.usage, Usage):
            check_usage(self.usage)

    @classmethod
    def never(cls) -> Self:
        """A reply that does not come: the client waits until its own timeout."""
        return cls(delay_s=math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One answer that a provider would bill: it began to go out with status 200."""

    api: Api
    model: str
    """As named in the answer."""
    usage: Usage
    """What is billed: the full answer, even if the client or the connection went in the middle."""
    response_id: str
    reported: bool
    """Whether the usage went out to the client. False for a stream without usage, cut, or left before its end."""


def check_usage(usage: Usage) -> Usage:
    """The same usage, if its parts fit into its wholes.

    Raises:
        ValueError: cached and cache-written tokens exceed input_tokens, or reasoning exceeds output_tokens.
    """
    cached = (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0)
    if cached > (usage.input_tokens or 0):
        raise ValueError(f"{cached} cached tokens in {usage.input_tokens or 0} input tokens: the latter include them")
    if (usage.reasoning_tokens or 0) > (usage.output_tokens or 0):
        raise ValueError(
            f"{usage.reasoning_tokens} reasoning tokens in {usage.output_tokens or 0} output tokens: "
            "the latter include them"
        )
    return usage
