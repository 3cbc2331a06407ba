"""What a trip becomes at the edge of a web application: a status, headers and a body (RFC 9457, problem details)."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from math import ceil

from agent_fuse.errors import SentinelBudgetExceeded, SentinelError, SentinelLoopError, SentinelSystemError

_BUSY_SECONDS = 1
"""When to try again what would have fitted, were it not for calls under way."""
_BROKEN_SECONDS = 5
"""When to try again after the ledger failed."""

_TITLES = {
    HTTPStatus.PAYMENT_REQUIRED: "The budget for model calls is used up.",
    HTTPStatus.TOO_MANY_REQUESTS: "Model calls are limited just now; try again later.",
    HTTPStatus.LOOP_DETECTED: "The agent went round in a loop and was stopped.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Model calls cannot be accounted for just now.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """An HTTP response."""

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...]
    body: bytes


def answer_to(trip: SentinelError, *, expose: bool = False, now: datetime | None = None) -> HttpAnswer:
    """The response to a request whose model call was refused.

    402 when a limit is used up; 429 with `retry-after` when it passes with time (the limit's window ends, or calls
    under way hold what is left); 508 for a loop; 503 with `retry-after` when the ledger failed. `expose` puts the
    trip's own message, with its limit and amounts, into the body; else only the kind of the refusal is told.
    """
    status, wait = _status(trip, now or datetime.now(UTC))
    problem: dict[str, object] = {"type": "about:blank", "title": _TITLES[status], "status": int(status)}
    problem["reason"] = trip.reason
    if expose:
        problem["detail"] = trip.message
    headers = [("content-type", "application/problem+json"), ("cache-control", "no-store")]
    if wait is not None:
        headers.append(("retry-after", str(wait)))
    body = json.dumps(problem, ensure_ascii=False).encode()
    return HttpAnswer(status=status, headers=(*headers, ("content-length", str(len(body)))), body=body)


def _status(trip: SentinelError, now: datetime) -> tuple[HTTPStatus, int | None]:
    if isinstance(trip, SentinelLoopError):
        return HTTPStatus.LOOP_DETECTED, None
    if isinstance(trip, SentinelSystemError):
        return HTTPStatus.SERVICE_UNAVAILABLE, _BROKEN_SECONDS
    if isinstance(trip, SentinelBudgetExceeded):
        resets_at: datetime | None = getattr(trip, "resets_at", None)
        if resets_at is not None:
            return HTTPStatus.TOO_MANY_REQUESTS, max(ceil((resets_at - now).total_seconds()), 1)
        if trip.held and trip.spent + trip.requested <= trip.budget_limit:
            return HTTPStatus.TOO_MANY_REQUESTS, _BUSY_SECONDS
    return HTTPStatus.PAYMENT_REQUIRED, None
