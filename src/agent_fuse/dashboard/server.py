"""The dashboard's server: who is let in, what is served, and where it listens."""

import asyncio
import base64
import binascii
import contextlib
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.resources import files
from types import FrameType
from typing import TypeVar
from urllib.parse import parse_qs, quote

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from agent_fuse.dashboard.api import JsonApi
from agent_fuse.dashboard.door import Door
from agent_fuse.dashboard.json_answer import JsonAnswer
from agent_fuse.dashboard.rights import Person, Right, Rights
from agent_fuse.errors import ConfigurationError
from agent_fuse.ledgers.base import LedgerError
from agent_fuse.views.checkup import ledger_facts

T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]

_FILES = {
    "look.css": ("agent_fuse.report", "style.css", "text/css"),
    "page.css": ("agent_fuse.dashboard", "page.css", "text/css"),
    "page.js": ("agent_fuse.dashboard", "page.js", "text/javascript"),
    **{name: ("agent_fuse.dashboard", name, "text/javascript") for name in ("elements.js", "actions.js", "session.js")},
}
_WRONG_SECONDS = 1.0
"""After a wrong password, for everybody who signs in: guessing is slow however many guess at once."""
_BLIND_SECONDS = 600.0
_BACKLOG = 128


class Dashboard:
    """One ledger's page.

    Args:
        url: the ledger. environ: the environment its limits may be named in.
        rights: who is let in.
        names: host names under which it is reached.
    """

    def __init__(self, url: str, environ: Mapping[str, str], *, rights: Rights, names: Collection[str]) -> None:
        self._url = url
        self._rights = rights
        self._api = JsonApi(url, environ)
        self._signing_in = asyncio.Lock()
        api = self._api
        routes = [
            Route("/", self._page),
            Route("/login", self._login, methods=["GET", "POST"]),
            Route("/logout", self._for("view", self._logout), methods=["POST"]),
            Route("/static/{name}", self._file),
            Route("/healthz", api.get_health),
            Route("/metrics", self._for("view", api.get_metrics)),
            Route("/api/me", self._for("view", self._me)),
            Route("/api/link/{right}", self._for("view", self._link), methods=["POST"]),
            Route("/api/state", self._for("view", api.get_state)),
            Route("/api/events", self._for("view", api.get_events)),
            Route("/api/sessions", self._for("view", api.get_sessions)),
            Route("/api/sessions/{id:path}", self._for("view", api.get_session)),
            Route("/api/calls", self._for("view", api.get_calls)),
            Route("/api/openapi.json", self._for("view", api.get_openapi)),
            Route("/api/act/{verb}", self._for("act", self._act), methods=["POST"]),
        ]
        failures = {ConfigurationError: _bad, LedgerError: _failing, HTTPException: _unknown}
        self.app = Door(Starlette(routes=routes, exception_handlers=failures, lifespan=self._lifespan), names)

    def end(self) -> None:
        """Let the pages' event streams end."""
        self._api.ended.set()

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncGenerator[None]:
        del app
        looking = asyncio.ensure_future(self._look_for_blind())
        yield
        looking.cancel()
        self._api.close()

    async def _look_for_blind(self) -> None:
        while True:
            found = await asyncio.to_thread(ledger_facts, self._url)
            self._api.blind = [{"what": one.what, "fix": one.fix} for one in found if one.state != "ok"]
            await asyncio.sleep(_BLIND_SECONDS)

    # Who asks --------------------------------------------------------------------------------------------------------

    async def _who(self, request: Request) -> Person | None:
        peer = request.client.host if request.client is not None else ""
        found = self._rights.by_proxy(request.headers, peer) or self._rights.by_cookie(
            request.cookies.get(_cookie(request), "")
        )
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        if found is None and kind.lower() == "basic" and self._rights.by_password:
            try:
                name, _, password = base64.b64decode(text, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return None
            found = await self._try(lambda: self._rights.named(name, password))
        return found

    async def _try(self, check: Callable[[], T | None]) -> T | None:
        """Look whether a password is right: one after another, and slowly where it is not."""
        async with self._signing_in:
            found = check()
            if found is None:
                await asyncio.sleep(_WRONG_SECONDS)
        return found

    def _for(self, right: Right, endpoint: Endpoint) -> Endpoint:
        """An endpoint for those who have a right."""

        async def guarded(request: Request) -> Response:
            person = await self._who(request)
            if person is None:
                return JsonAnswer({"error": "sign in first"}, 401)
            if right == "act" and person.right != "act":
                return JsonAnswer({"error": f"{person.name} may look, and not act"}, 403)
            request.state.person = person
            request.state.may_look = lambda: self._is_still_let_in(request)
            return await endpoint(request)

        return guarded

    def _is_still_let_in(self, request: Request) -> bool:
        """Whether someone who was let in may go on looking: a cookie ends with its time, and when he signs out."""
        peer = request.client.host if request.client is not None else ""
        every_time = "authorization" in request.headers or self._rights.by_proxy(request.headers, peer) is not None
        return every_time or self._rights.by_cookie(request.cookies.get(_cookie(request), "")) is not None

    # What is served --------------------------------------------------------------------------------------------------

    async def _page(self, request: Request) -> Response:
        token = request.query_params.get("token")
        if token is not None:
            cookie = self._rights.by_link(token)
            if cookie is None:
                return _html("used.html", 403)
            # The page itself, no redirect: a strict cookie would not come with one that another site's link began.
            return _with_cookie(_html("page.html"), request, cookie)
        if await self._who(request) is None:
            return RedirectResponse("/login", 303) if self._rights.by_password else _html("used.html", 403)
        return _html("page.html")

    async def _login(self, request: Request) -> Response:
        if not self._rights.by_password:
            return RedirectResponse("/", 303)
        if request.method == "GET":
            return _html("login.html")
        given = parse_qs((await request.body()).decode(errors="replace"))
        name, password = (given.get(one, [""])[0] for one in ("name", "password"))
        cookie = await self._try(lambda: self._rights.by_name(name, password))
        if cookie is None:
            return _html("login.html", 403, wrong=True)
        return _with_cookie(RedirectResponse("/", 303), request, cookie)

    async def _logout(self, request: Request) -> Response:
        self._rights.leave(request.cookies.get(_cookie(request), ""))
        answer = JsonAnswer({})
        answer.delete_cookie(_cookie(request))
        return answer

    async def _file(self, request: Request) -> Response:
        found = _FILES.get(str(request.path_params["name"]))
        if found is None:
            return JsonAnswer({"error": "there is no such file"}, 404)
        package, name, kind = found
        return Response(files(package).joinpath(name).read_bytes(), media_type=kind)

    async def _me(self, request: Request) -> Response:
        person: Person = request.state.person
        return JsonAnswer({"name": person.name, "may_act": person.right == "act"})

    async def _link(self, request: Request) -> Response:
        """A further link for another browser, with no more rights than its maker has."""
        person: Person = request.state.person
        right: Right = "act" if request.path_params["right"] == "act" and person.right == "act" else "view"
        return JsonAnswer({"path": f"/?token={quote(self._rights.link(person.name, right))}", "right": right})

    async def _act(self, request: Request) -> Response:
        person: Person = request.state.person
        return await self._api.act(request, person.name)


def _cookie(request: Request) -> str:
    """Its name: browsers send a host's cookies to all of its ports, and there may be several dashboards."""
    return f"agent-fuse-{request.url.port or ''}".rstrip("-")


def _with_cookie(answer: Response, request: Request, cookie: str) -> Response:
    secure = request.headers.get("x-forwarded-proto", "") == "https"
    answer.set_cookie(_cookie(request), cookie, httponly=True, samesite="strict", secure=secure)
    return answer


async def _bad(request: Request, bad: Exception) -> Response:
    del request
    return JsonAnswer({"error": str(bad)}, 400)


async def _unknown(request: Request, failed: Exception) -> Response:
    status = failed.status_code if isinstance(failed, HTTPException) else 404
    what = "nothing is at" if status == HTTPStatus.NOT_FOUND else f"{request.method} is not for"
    said = f"{what} {request.url.path}; the page is at /, and /api/openapi.json tells what else there is"
    return JsonAnswer({"error": said}, status)


async def _failing(request: Request, failed: Exception) -> Response:
    del request
    return JsonAnswer({"error": str(failed)}, 503)


def _html(name: str, status: int = 200, *, wrong: bool = False) -> Response:
    text = files("agent_fuse.dashboard").joinpath(name).read_text("utf-8")
    return HTMLResponse(text.replace("<!--wrong-->", "Name or password is wrong." if wrong else ""), status)


class _Server(uvicorn.Server):
    """Ends the pages' streams first, so that it need not wait for them."""

    dashboard: Dashboard

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal asks to end."""
        self.dashboard.end()
        super().handle_exit(sig, frame)


def serve(make: Callable[[], Dashboard], *, host: str, port: int, told: Callable[[str], object]) -> None:
    """Serve until a signal; `told` is called with the address when it listens.

    Raises:
        ConfigurationError: it cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(_BACKLOG)
        except OSError as error:
            raise ConfigurationError(f"--host {host} --port {port}: {error.strerror}; choose another") from None
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listening.getsockname()[1]}"
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(make, listening, lambda: told(address)))


async def _serve(make: Callable[[], Dashboard], listening: socket.socket, told: Callable[[], object]) -> None:
    made = make()
    config = uvicorn.Config(
        made.app,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        ws="none",
    )
    server = _Server(config)
    server.dashboard = made
    told()
    sys.stdout.flush()
    await server.serve(sockets=[listening])
