"""Handing a session to another process: as a header, for process pools, task queues and services of one's own."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, cast

from opentelemetry import context
from opentelemetry.context import Context

from agent_fuse.calls import to_usd
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers.base import Meter
from agent_fuse.limits import Limit, Session
from agent_fuse.mistakes import spelled
from agent_fuse.otel import active, lost
from agent_fuse.otel.context import session_in, with_final, with_session
from agent_fuse.otel.gate import call_site, fail_safe
from agent_fuse.seams import GOES_ON, judge, quietly

_PLACE = "opening a session handed over"

HEADER = "agent-fuse-session"
"""The one header: JSON in ASCII, fit for HTTP, Celery, Kafka and gRPC."""


@spelled()
def session_headers() -> dict[str, str]:
    """The session that the caller is in, as headers for `session_from` in another process; empty outside of any.

    They carry its id, budget, limits and attributes, and those of the sessions around it; and whether this is the last
    answer (`final`).
    """
    return judge("handing a session over", fail_safe, _headers) or {}


def _headers() -> dict[str, str]:
    site = call_site(asks=False)
    found = site.caller if site is not None else None
    if found is None:
        session = session_in()
    else:
        named = not found.nameless or any(guard.fuse.settings.session_id for guard in active.guards()[:1])
        session = found.session if named else None
    if session is None:
        return {}
    chain = [_told(one) for one in session.chain()]
    if found is not None and found.keys:
        chain[0]["attributes"] = {**found.keys, **chain[0]["attributes"]}
    if found is not None and found.final:
        chain[0]["final"] = True
    return {HEADER: json.dumps(chain, separators=(",", ":"))}


@contextmanager
@spelled()
def session_from(headers: Mapping[str, Any] | None) -> Generator[Session | None]:
    """Calls inside belong to the session that `session_headers` told of; without its header, to whatever they would.

    Limits come with it, so take headers from your own processes alone.

    Raises:
        ConfigurationError: the header is there, and not as `session_headers` made it.
    """
    found = judge(_PLACE, fail_safe, _session_of, headers)
    session, at = found or (None, None)
    if at is None:
        yield session
        return
    quietly(_PLACE, GOES_ON, lost.in_use)
    token = context.attach(at)
    try:
        yield session
    finally:
        context.detach(token)


def _session_of(headers: Mapping[str, Any] | None) -> tuple[Session, Context] | None:
    text = _header(headers)
    if text is None:
        return None
    session, final = _read(text)
    at = with_session(session)
    return session, with_final(at) if final else at


def _told(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "limits": [_terms(limit) for limit in session.limits],
        "attributes": dict(session.attributes),
        "on_child_trip": session.on_child_trip,
    }


def _terms(limit: Limit) -> dict[str, Any]:
    given = {one.name: getattr(limit, one.name) for one in fields(limit) if one.init}
    told = {name: value for name, value in given.items() if value is not None}
    for name, amount in (limit.meter.value, limit.cap), ("reserve", limit.kept):
        if name in told:
            told[name] = str(to_usd(amount)) if limit.meter is Meter.USD else amount
    return told | {name: float(told[name]) for name in ("max_wait", "pause_for") if name in told}


def _header(headers: object) -> object:
    if headers is None:
        return None
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"session_from headers is {headers!r}; it must be a mapping of names to values")
    found = cast("Mapping[object, object]", headers)
    if HEADER in found:
        return found[HEADER]
    return next((value for name, value in found.items() if isinstance(name, str) and name.lower() == HEADER), None)


def _read(text: object) -> tuple[Session, bool]:
    """The session, and whether calls in it are for the last answer."""
    session: Session | None = None
    final = False
    try:
        chain = cast("list[dict[str, Any]]", json.loads(cast("str", text)))
        json.dumps(chain, ensure_ascii=False).encode()  # no ledger keeps half a character: a ValueError
        for one in reversed(chain):
            limits = tuple(_limit(terms) for terms in one["limits"])
            attributes = {str(name): str(value) for name, value in one["attributes"].items()}
            ends: Any = "end" if one.get("on_child_trip") == "end" else "raise"
            session = Session(
                id=str(one["id"]), limits=limits, parent=session, attributes=attributes, on_child_trip=ends
            )
            final = one.get("final") is True
    except (ValueError, TypeError, KeyError, AttributeError):
        session = None
    if session is None:
        raise ConfigurationError(f"session_from {HEADER} is {text!r}; it must be what session_headers() made")
    return session, final


def _limit(terms: dict[str, Any]) -> Limit:
    per: Any = terms.get("per", "session")
    told: dict[str, Any] = {**terms, "per": tuple(cast("list[str]", per)) if isinstance(per, list) else per}
    return Limit(**told)
