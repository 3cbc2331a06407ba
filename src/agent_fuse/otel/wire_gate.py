"""The wire gate: judges model requests of any library where they leave the process, and reads their answers.

It stands around `send` of the HTTP clients of httpx and httpx2 (`sending`), below every SDK, so that it sees the very
body that is sent and the answer that comes. A request is looked at where its path ends as a model's does
(`wire_formats`); it is judged where its host is known for models, where the user named it (`endpoints`), or where its
body is a model request's. One that an SDK's own gate has judged is that gate's.
"""

import asyncio
import functools
import json
import zlib
from typing import Any, cast

from agent_fuse.accounting.waits import AWAITED, Waited, WaitFor
from agent_fuse.dialects.http import Endpoint
from agent_fuse.errors import SentinelError
from agent_fuse.otel import active
from agent_fuse.otel.gate import call_site, not_judged
from agent_fuse.otel.request_gate import FLIGHT
from agent_fuse.otel.wire_flight import WireFlight
from agent_fuse.prices import model_endpoint
from agent_fuse.wire_formats import LAST_WORDS, find

_IN_PROCESS = frozenset({"ASGITransport", "WSGITransport", "_TestClientTransport"})
"""Transports that hand a request to an application in this very process: what that asks of a model is judged itself."""

_PLACE = "judging a request on the wire"


class WireGate:
    """What `sending` shows requests to."""

    def begin(self, client: Any, request: Any) -> WireFlight | None:
        """The flight of a request that is about to be sent; None where it is no model's.

        Raises:
            SentinelError: it is refused.
        """
        try:
            path = path_of(request)
            return None if path is None else _judge(client, request, path, request.read())
        except SentinelError:
            raise
        except Exception as error:  # noqa: BLE001  fail_safe decides
            not_judged(_PLACE, error, fail_safe=active.fail_safe())
            return None

    async def begin_awaited(self, client: Any, request: Any) -> WireFlight | None:
        """The same, by an async client: where a limit says to wait, that is awaited.

        Raises:
            SentinelError: it is refused.
        """
        try:
            path = path_of(request)
            if path is None:
                return None
            content = await request.aread()
            token = AWAITED.set(Waited()) if AWAITED.get() is None else None
            try:
                while True:
                    try:
                        return _judge(client, request, path, content)
                    except WaitFor as limit:
                        if token is None:
                            raise
                        seconds = limit.seconds
                    await asyncio.sleep(seconds)
            finally:
                if token is not None:
                    AWAITED.reset(token)
        except SentinelError:
            raise
        except Exception as error:  # noqa: BLE001  fail_safe decides
            not_judged(_PLACE, error, fail_safe=active.fail_safe())
            return None


def path_of(request: Any) -> str | None:
    """The path of a request that is worth a look; None for all others, in less than a microsecond."""
    if request.method != "POST":
        return None
    path: str = request.url._uri_reference.path  # noqa: SLF001  twice as fast as what is public; `wire_install` tries it
    last = path[path.rfind("/") + 1 :]
    if last in LAST_WORDS or last[last.rfind(":") + 1 :] in LAST_WORDS:
        return path
    for guard in active.guards():
        if guard.fuse.settings.endpoints:
            return path
    return None


def _judge(client: Any, request: Any, path: str, content: bytes) -> WireFlight | None:
    if FLIGHT.get() is not None:  # a transport that sends by another library: the same request once more
        return None
    site = call_site()
    if site is None or not (site.fuse.settings.request_gate and site.fuse.settings.wire_gate):
        return None
    url = str(request.url)
    found = find(path)
    named = next((one for text in site.fuse.settings.endpoints if (one := _named(text, url)) is not None), None)
    if found is None and named is None:
        return None
    body = _decoded(content, request.headers.get("content-encoding", ""))
    form, operation = found or find("/chat/completions") or (None, "")
    if form is None or _is_in_process(client, request):
        return None
    host = model_endpoint(url)
    if host is None and named is None and not form.is_spoken(path, body):
        return None
    flight = WireFlight(form, host or form.provider)
    try:
        flight.judge_sent(site, named or operation, path, body, len(content))
    except (SentinelError, Exception):
        raise
    except BaseException:  # a KeyboardInterrupt
        flight.give_back()
        raise
    return flight if flight.seen is not None else None


@functools.lru_cache(maxsize=256)
def _named(text: str, url: str) -> str | None:
    """The operation of a request to an endpoint that the user named; None where it does not go there."""
    try:
        return Endpoint.parse(text).operation("POST", url)
    except ValueError:
        return None


def _is_in_process(client: Any, request: Any) -> bool:
    transport = client._transport_for_url(request.url)  # noqa: SLF001
    return any(kind.__name__ in _IN_PROCESS for kind in type(transport).__mro__)


def _decoded(content: bytes, encoding: str) -> object:
    """The JSON that a body is, None where it is none."""
    if encoding in ("gzip", "deflate"):
        content = zlib.decompressobj(wbits=47).decompress(content)  # either of them, by its head
    try:
        return cast("object", json.loads(content))
    except ValueError:
        return None
