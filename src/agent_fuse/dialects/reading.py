"""What a dialect reads off a span: a Spot when it starts, an Ending when it has ended, and how a call came out."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol, cast

from agent_fuse.calls import Usage
from agent_fuse.sightings import Outcome


class Kind(Enum):
    """What a span stands for."""

    MODEL = auto()
    TOOL = auto()
    AGENT = auto()
    """It costs nothing itself; calls inside take its agent and session."""


class SpanLike(Protocol):
    """What a dialect reads of a span; both live and ended SDK spans have it."""

    @property
    def name(self) -> str:
        """The span's name."""
        ...

    @property
    def attributes(self) -> Mapping[str, Any] | None:
        """What it was told so far."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """What a span says when it starts."""

    kind: Kind
    operation: str = ""
    provider: str = ""
    model: str = ""
    max_tokens: int | None = None
    prompt: str | None = None
    body: Mapping[str, Any] | None = None
    session: str = ""
    agent: str = ""
    tool: str = ""
    arguments: object = None
    late: bool = False
    """The span was made after the work (it tells usage already, or its name says so): account, never raise."""
    gate_follows: bool = False
    """The call goes through the openai or anthropic SDK, whose request gate is more exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What a span says when it has ended."""

    outcome: Outcome = Outcome.DONE
    usage: Usage | None = None
    model: str = ""
    provider: str = ""
    response_id: str = ""
    tool: str = ""
    arguments: object = None
    result: object = None
    error: str = ""
    """A class name, or an HTTP status."""
    message: str = ""


FREE_ERRORS = frozenset(
    {
        "APIConnectionError", "APIStatusError", "AuthenticationError", "BadRequestError", "ConflictError",
        "ConnectError", "ConnectTimeout", "ClientConnectorError", "ClientConnectorDNSError", "NewConnectionError",
        "EndpointConnectionError", "InternalServerError", "NotFoundError", "OverloadedError", "PermissionDeniedError",
        "RateLimitError", "RequestTooLargeError", "ServiceUnavailableError", "UnprocessableEntityError",
        "DeadlineExceededError", "SentinelBudgetExceeded", "SentinelLoopError", "SentinelSystemError",
    }
)  # fmt: skip
"""Class names of errors after which nothing was charged: the request did not arrive, or was answered with an error."""

_WAITED = ("Timeout", "Cancel", "GeneratorExit", "Abandon", "Interrupt", "_OTHER")
"""`_OTHER` is what OpenTelemetry calls an error without a class: genai tells an abandoned async stream so."""
_UNSENT = re.compile(r"NewConnectionError|NameResolutionError|Failed to establish|Connection refused|Cannot connect to")
_STATUS = re.compile(r"(?:Error code|status_code|status): ?([45]\d\d)\b")


def outcome_of(usage: Usage | None, *, failed: bool, error: str, message: str = "", response_id: str = "") -> Outcome:
    """How a call came out, by what its span says: `failed` is its status, `error` a class name or HTTP status."""
    if usage is not None or not (failed or error):
        return Outcome.DONE
    if error.rpartition(".")[2] in FREE_ERRORS or error.isdigit() or (not error and _STATUS.search(message)):
        return Outcome.FAILED
    # An error of the host's own code before anything was sent names no response; a timeout or a cancel may have cost.
    waited = any(word in error for word in _WAITED)
    return Outcome.BROKEN if response_id or waited or not error else Outcome.FAILED


def never_sent(error: str, message: str) -> bool:
    """Whether an HTTP client's error says that its request never reached the other side."""
    return error.rpartition(".")[2] in FREE_ERRORS or _UNSENT.search(message) is not None


def json_object(text: str) -> Mapping[str, Any] | None:
    """A JSON object; None when the text is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else None
