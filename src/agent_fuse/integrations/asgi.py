"""ASGI middleware (FastAPI, Starlette, Django, Quart, …): a session for each request, and an HTTP answer to a trip."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from agent_fuse.calls import Usd
from agent_fuse.errors import SentinelError, soften
from agent_fuse.integrations.request_sessions import RequestSessions
from agent_fuse.integrations.trips_as_http import answer_to
from agent_fuse.mistakes import spelled

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_POLICY_VIOLATION = 1008
"""Close code of a websocket whose work was refused (RFC 6455, section 7.4.1)."""


class AgentFuseMiddleware:
    """Answers 402, 429, 508 or 503 where a trip leaves the application (`trips_as_http.answer_to` says when which).

    A response that has begun cannot be changed any more: the trip then leaves as an ordinary Exception, so that the
    server breaks the connection off and lives. `app.add_middleware(AgentFuseMiddleware, user=…)`, or around any app.

    Args:
        app: the application.
        session: names the session of a request from its scope; None: a request has none of its own.
        user: names the user of a request from its scope, for `Limit(per="user.id")`; needs `session`, or makes one
            session a user.
        budget: USD for each session.
        expose: put the trip's message, with its limit and amounts, into the answer.

    Raises:
        ConfigurationError: `session` or `user` is no function, or a budget is given without them.
    """

    @spelled()
    def __init__(
        self,
        app: App,
        *,
        session: Callable[[Scope], str | None] | None = None,
        user: Callable[[Scope], str | None] | None = None,
        budget: Usd | None = None,
        expose: bool = False,
    ) -> None:
        self._app = app
        self._sessions = RequestSessions(session=session, user=user, budget=budget)
        self._expose = expose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] in ("http.response.start", "websocket.close")
            await send(message)

        try:
            with self._sessions.around(scope):
                await self._app(scope, receive, watched)
        except SentinelError as trip:
            if begun:
                raise soften(trip) from trip.__cause__
            await self._refuse(scope, send, trip)

    async def _refuse(self, scope: Scope, send: Send, trip: SentinelError) -> None:
        answer = answer_to(trip, expose=self._expose)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": trip.reason})
            return
        headers = [(name.encode(), value.encode()) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": int(answer.status), "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})
