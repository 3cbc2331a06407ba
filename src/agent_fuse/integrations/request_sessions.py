"""The session that a web request's work belongs to, by functions that name it and its user."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from agent_fuse.api import session
from agent_fuse.calls import Usd
from agent_fuse.errors import ConfigurationError
from agent_fuse.limits import Session

Namer = Callable[[Any], str | None]
"""Told of a request (an ASGI scope, a WSGI environ), names its session or user; None: it has none."""


class RequestSessions:
    """Opens the session of a request.

    Raises:
        ConfigurationError: a namer is no function, or a budget is given without one.
    """

    def __init__(self, *, session: Namer | None, user: Namer | None, budget: Usd | None) -> None:
        for name, given in (("session", session), ("user", user)):
            if given is not None and not callable(given):
                raise ConfigurationError(f"AgentFuseMiddleware {name}={given!r}; it must be a function of the request")
        if budget is not None and session is None and user is None:
            raise ConfigurationError("AgentFuseMiddleware budget= is per session: give session= or user= as well")
        self._session = session
        self._user = user
        self._budget = budget

    def around(self, request: Any) -> AbstractContextManager[Session | None]:
        """The request's session, entered around its work; nothing where it has none."""
        named = self._session(request) if self._session is not None else None
        user = self._user(request) if self._user is not None else None
        if not named and not user:
            return nullcontext()
        if user:
            return session(named or f"user-{user}", budget=self._budget, user_id=user)
        return session(str(named), budget=self._budget)
