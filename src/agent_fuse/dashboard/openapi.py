"""What machines may ask, as OpenAPI 3.1: made from one table of paths."""

from importlib.metadata import version

from agent_fuse.dashboard.acts import VERBS
from agent_fuse.views.as_json import Json

FILTERS = ("session", "agent", "model", "user", "limit")
JOURNAL = ("session", "agent", "user", "model", "tool", "since", "until", "refused", "estimated", "limit")
SESSIONS = ("session", "agent", "user", "model", "since", "until", "limit")
"""The parameters of each; any other is refused, so that a misspelt filter does not show everything."""
_PATHS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("/api/state", "All that the page shows; filters take `*` and `?`.", FILTERS, "application/json"),
    ("/api/events", "The state again and again, as server-sent events.", FILTERS, "text/event-stream"),
    ("/api/sessions", "As `agent-fuse sessions --json`.", SESSIONS, "application/json"),
    ("/api/calls", "As `agent-fuse calls --json`.", JOURNAL, "application/json"),
    ("/api/openapi.json", "This document.", (), "application/json"),
    ("/api/me", "Who asks, and whether he may act.", (), "application/json"),
    ("/metrics", "For Prometheus.", (), "text/plain"),
    ("/healthz", "200 where the ledger can be read, else 503; needs no sign-in.", (), "text/plain"),
)
_ACT = {
    "type": "object",
    "required": ["account"],
    "properties": {
        "account": {"type": "string", "description": "session=run-1, user.id=ann, ..., or all"},
        "usd": {"type": "string", "description": "Of top-up, and of approve: without it, what the calls lack"},
        "for_seconds": {
            "type": ["number", "null"],
            "description": "How long a top-up or approval holds; null for good",
        },
        "why": {"type": "string"},
        "sure": {"type": "boolean", "description": "Needed for the account all"},
        "seen": {"type": ["string", "null"], "description": "The `at` of the state that is answered"},
    },
}


_ACTED = {
    "409": {"description": "For all: ask, then say `sure`"},
    "412": {"description": "Someone decided on the account after `seen`: the answer holds his `decision`"},
}


def document() -> Json:
    """The document."""
    paths: Json = {path: {"get": _get(told, asked, kind)} for path, told, asked, kind in _PATHS}
    one = _get("All of one session.", (), "application/json")
    paths["/api/sessions/{id}"] = {"get": one | {"parameters": [_parameter("id", "path", required=True)]}}
    paths["/api/link/{right}"] = {
        "post": {
            "summary": "A link that lets one other browser in, once, within ten minutes: `view`, or `act` for who may.",
            "parameters": [_parameter("right", "path", required=True)],
            "responses": _answers("application/json"),
        }
    }
    paths |= {
        f"/api/act/{verb}": {
            "post": {
                "summary": f"As `agent-fuse {verb} --json`; needs the right to act.",
                "requestBody": {"required": True, "content": {"application/json": {"schema": _ACT}}},
                "responses": _answers("application/json") | _ACTED,
            }
        }
        for verb in VERBS
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "AgentFuse dashboard", "version": version("agent-fuse")},
        "components": {
            "securitySchemes": {
                "cookie": {"type": "apiKey", "in": "cookie", "name": "agent-fuse"},
                "password": {"type": "http", "scheme": "basic"},
            }
        },
        "security": [{"cookie": []}, {"password": []}],
        "paths": paths,
    }


def _get(told: str, asked: tuple[str, ...], kind: str) -> Json:
    found: Json = {"summary": told, "responses": _answers(kind)}
    return found | ({"parameters": [_parameter(name, "query") for name in asked]} if asked else {})


def _parameter(name: str, place: str, *, required: bool = False) -> Json:
    return {"name": name, "in": place, "required": required, "schema": {"type": "string"}}


def _answers(kind: str) -> Json:
    return {
        "200": {"description": "Fine", "content": {kind: {}}},
        "400": {"description": "Something that was asked cannot be; `error` says what"},
        "401": {"description": "Sign in first"},
        "403": {"description": "Not this person's right, or another site's request"},
        "404": {"description": "There is nothing of that name"},
        "413": {"description": "A body that is too large, or does not say how large it is"},
        "415": {"description": "A body that is not said to be JSON"},
        "421": {"description": "Asked under another host's name; see --name"},
        "503": {"description": "The ledger cannot be read or written"},
    }
