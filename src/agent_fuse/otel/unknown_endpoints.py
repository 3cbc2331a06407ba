"""Requests to endpoints that the table does not know: judged, blocked or let pass, and each told of once."""

from agent_fuse.otel.blind import warn_of
from agent_fuse.otel.facts import blind


def is_gated(unknown: str, provider: str, url: str) -> bool:
    """Whether such a request is judged, by the option `unknown_endpoint`."""
    path = url.partition("?")[0]
    so = {"estimate": "is held at an estimate", "block": "is blocked", "free": "passes"}[unknown]
    what = f"a request of the {provider} SDK to {path[:120]}, which AgentFuse does not know, {so}"
    warn_of([blind(what, "upgrade agent-fuse, or choose unknown_endpoint='estimate', 'block' or 'free'")])
    return unknown != "free"
