"""Requests to endpoints that the tables do not know: judged, blocked or let pass, and each told of once."""

import re

from agent_fuse.otel.blind import known_blind, warn_of
from agent_fuse.otel.facts import blind

_ID = re.compile(r"(?<=[^/:]/)(?=[^/:]*\d)(?!v\d\w*(?:/|$))[^/:]{4,}")
"""A segment that names one of many: it has a digit, and is no version of an API."""
_LOGIN = re.compile(r"(?<=://)[^/]*@")
_MOST = 50
"""Paths that are told of; a program that makes them up would fill the log."""


def is_gated(unknown: str, url: str, provider: str = "") -> bool:
    """Whether such a request is judged, by the option `unknown_endpoint`; `provider`: by whose SDK it is made."""
    path = _ID.sub("*", _LOGIN.sub("", url.partition("?")[0]))[:120]
    if len(known_blind()) < _MOST:
        so = {"estimate": "is held at an estimate", "block": "is blocked", "free": "passes"}[unknown]
        whose = f"a request of the {provider} SDK" if provider else "a request"
        what = f"{whose} to {path}, which AgentFuse does not know, {so}"
        warn_of([blind(what, "upgrade agent-fuse, or choose unknown_endpoint='estimate', 'block' or 'free'")])
    return unknown != "free"
