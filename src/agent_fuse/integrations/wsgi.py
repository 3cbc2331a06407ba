"""WSGI middleware (Flask, Django, …): a session for each request, and an HTTP answer to a trip."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from agent_fuse.calls import Usd
from agent_fuse.errors import SentinelError, soften
from agent_fuse.integrations.request_sessions import RequestSessions
from agent_fuse.integrations.trips_as_http import answer_to
from agent_fuse.mistakes import spelled

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


class AgentFuseMiddleware:
    """The WSGI twin of the ASGI one: `app.wsgi_app = AgentFuseMiddleware(app.wsgi_app)`.

    Arguments as there, given the WSGI environ. The session lasts as long as the body is made.

    Raises:
        ConfigurationError: `session` or `user` is no function, or a budget is given without them.
    """

    @spelled()
    def __init__(
        self,
        app: App,
        *,
        session: Callable[[Environ], str | None] | None = None,
        user: Callable[[Environ], str | None] | None = None,
        budget: Usd | None = None,
        expose: bool = False,
    ) -> None:
        self._app = app
        self._sessions = RequestSessions(session=session, user=user, budget=budget)
        self._expose = expose

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        try:
            with self._sessions.around(environ):
                body = self._app(environ, start_response)
        except SentinelError as trip:
            answer = answer_to(trip, expose=self._expose)
            start_response(f"{int(answer.status)} {answer.status.phrase}", list(answer.headers))
            return [answer.body]
        return body if isinstance(body, list | tuple) else self._streamed(body, environ)

    def _streamed(self, body: Iterable[bytes], environ: Environ) -> Iterator[bytes]:
        """A body that is made while it is sent: its status has gone out, so a trip leaves as an ordinary Exception."""
        pieces = iter(body)
        try:
            while True:
                with self._sessions.around(environ):  # not while the server holds the piece, perhaps in another thread
                    piece = next(pieces, None)
                if piece is None:
                    return
                yield piece
        except SentinelError as trip:
            raise soften(trip) from trip.__cause__
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
