"""Whether an error that a call by hand ended with means that nothing can have been charged."""

import socket
from collections.abc import Mapping
from typing import Any, cast

from agent_fuse.dialects.reading import FREE_ERRORS
from agent_fuse.errors import SentinelError
from agent_fuse.otel.request_gate import cost_nothing

_STATUS = ("status_code", "status", "code")
_DEPTH = 10


def is_free(error: BaseException) -> bool:
    """Whether the request was refused, answered with an error status, or never sent.

    Known by: a trip, an HTTP status of 400 or more on the error or its response (openai, anthropic, httpx, requests,
    urllib, aiohttp, google-genai, botocore), a refused connection or an unknown host, or the name of its class.
    """
    one: BaseException | None = error
    for _ in range(_DEPTH):
        if one is None:
            return False
        if isinstance(one, SentinelError | ConnectionRefusedError | socket.gaierror) or cost_nothing(one):
            return True
        if type(one).__name__ in FREE_ERRORS or (isinstance(one, Exception) and _has_error_status(one)):
            return True
        reason = getattr(one, "reason", None)
        one = one.__cause__ or (reason if isinstance(reason, BaseException) else None)
    return False


def _has_error_status(error: Exception) -> bool:
    response: Any = getattr(error, "response", None)
    if isinstance(response, Mapping):
        told = cast("Mapping[str, Any]", response).get("ResponseMetadata")
        return isinstance(told, Mapping) and _is_error(cast("Mapping[str, Any]", told).get("HTTPStatusCode"))
    return any(_is_error(getattr(holder, field, None)) for holder in (error, response) for field in _STATUS)


def _is_error(status: object) -> bool:
    return isinstance(status, int) and 400 <= status < 600  # noqa: PLR2004  client and server errors of HTTP
