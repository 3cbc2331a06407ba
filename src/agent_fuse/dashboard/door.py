"""The door: no request passes with a foreign Host or Origin, and no answer lets a browser fetch from elsewhere."""

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_fuse.dashboard.json_answer import JsonAnswer

MAX_BODY = 64_000

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_SAID = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Door:
    """Wraps the application. `names` are the host names under which it is reached, without a port."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = frozenset(one.lower().strip("[]") for one in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refused(Headers(scope=scope), str(scope["method"]))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SAID.items():
                    headers[name] = value
            await send(message)

        await (self._app if refused is None else refused)(scope, receive, answer)

    def _refused(self, headers: Headers, method: str) -> JsonAnswer | None:
        host = headers.get("host", "")
        if _name(host) not in self._names or len(headers.getlist("host")) != 1:
            return JsonAnswer({"error": "this is not the dashboard's host name; see --name"}, 421)
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return JsonAnswer({"error": "the request comes from another site"}, 403)
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") and method != "GET":
            return JsonAnswer({"error": "the request comes from another site"}, 403)
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY or "transfer-encoding" in headers:
            return JsonAnswer({"error": f"the body may have {MAX_BODY} bytes, and must say how many"}, 413)
        return None


def _name(host: str) -> str:
    """A host without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
