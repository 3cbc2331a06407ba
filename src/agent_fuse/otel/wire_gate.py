"""The wire gate: judges model requests of any library where they leave the process, and reads their answers.

It stands in the HTTP libraries (`wire_httpx`, `wire_urllib3`, …), below every SDK, so that it sees the very body that
is sent and the answer that comes. A request is looked at where its path ends as a model's does (`wire_formats`); it is
judged where its host is known for models, where the user named it (`endpoints`), or where its body is a model
request's. One that an SDK's own gate has judged is that gate's.
"""

import functools
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from agent_fuse import foreign_text
from agent_fuse.accounting.waits import AWAITED, Waited, WaitFor
from agent_fuse.dialects.http import NamedEndpoint
from agent_fuse.endpoints import UNKNOWN
from agent_fuse.errors import SentinelError
from agent_fuse.ledgers.waiting import rest
from agent_fuse.otel import active
from agent_fuse.otel.gate import call_site, not_judged
from agent_fuse.otel.request_gate import FLIGHT
from agent_fuse.otel.response import Observe
from agent_fuse.otel.unknown_endpoints import is_gated
from agent_fuse.otel.wire_flight import WireFlight
from agent_fuse.prices import model_endpoint
from agent_fuse.seams import GOES_ON, quietly
from agent_fuse.wire_formats import find, is_priced, openai
from agent_fuse.wire_formats.base import UNLISTED
from agent_fuse.wire_formats.forms import form_fields
from agent_fuse.wire_formats.hosts import host_of, rules_of, served

_PLACE = "judging a request on the wire"


_on = False


def turn(*, on: bool) -> None:
    """Look at requests, or at none."""
    global _on
    _on = on


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A POST that is about to be sent."""

    url: str
    path: str
    """Of the URL, as it stands there."""
    content: bytes
    encoding: str
    """The body's `content-encoding`, empty where it has none."""
    sender: object
    """Whose method sends it."""
    observe: Observe
    """Watches a body that comes by and by, in the library's own way."""


def is_worth_a_look(host: str, path: str) -> bool:
    """Whether a POST to this path may be a model request; told in less than a microsecond."""
    if not _on:
        return False
    if is_priced(path) or active.names_endpoints():
        return True
    if not rules_of(host):
        return False
    found = served(host, path)
    return found is not None and bool(found[1])


def path_of(host: str, url: str) -> str | None:
    """The path of a POST that is worth a look; None for all others. `url`: as it is asked for at this host."""
    path = url.partition("?")[0]
    if not path.startswith("/"):  # to a proxy, or a redirect
        host, path = host_of(path), "/" + path.partition("://")[2].partition("/")[2]
    return path if is_worth_a_look(host, path) else None


def at_hand(body: Any) -> bytes:
    """A body that can be read twice: nothing of it has been sent."""
    if body is None or isinstance(body, bytes):
        return body or b""
    if isinstance(body, str):
        return body.encode()
    if hasattr(body, "read"):
        return at_hand(body.read())
    if isinstance(body, bytearray | memoryview):
        return bytes(cast("bytes", body))
    return b"".join(one.encode() if isinstance(one, str) else one for one in body)


def encoding_in(headers: Any) -> str:
    """The `content-encoding` that the headers of a request tell, however it is spelled; else empty."""
    found: Any = next((value for name, value in headers.items() if name.lower() == "content-encoding"), "")
    return found.decode() if isinstance(found, bytes) else found


def judge(sent: Callable[[], Sent | None]) -> WireFlight | None:
    """The flight of a request that is about to be sent; None where it is no model's. `sent` reads it.

    Raises:
        SentinelError: it is refused.
    """
    try:
        found = None if _is_judged() else sent()
        return None if found is None else _judge(found)
    except SentinelError:
        raise
    except Exception as error:  # noqa: BLE001  fail_safe decides
        not_judged(_PLACE, error, fail_safe=active.fail_safe())
        return None


async def judge_awaited(sent: Callable[[], Awaitable[Sent | None]]) -> WireFlight | None:
    """The same, by an async client: where a limit says to wait, that is awaited.

    Raises:
        SentinelError: it is refused.
    """
    token = waited = None
    try:
        found = None if _is_judged() else await sent()
        if found is None:
            return None
        if AWAITED.get() is None:
            waited = Waited()
            token = AWAITED.set(waited)
        while True:
            try:
                return _judge(found)
            except WaitFor as limit:
                if token is None:
                    raise
                seconds = limit.seconds
            await rest(seconds)
    except SentinelError:
        raise
    except Exception as error:  # noqa: BLE001  fail_safe decides
        not_judged(_PLACE, error, fail_safe=active.fail_safe())
        return None
    finally:
        if token is not None and waited is not None:
            AWAITED.reset(token)
            quietly("ending a wait", GOES_ON, waited.end)


def _is_judged() -> bool:
    """Whether what is sent here is a judged request, sent on by another library or by its own client once more."""
    flight = FLIGHT.get()
    return flight is not None and not flight.is_over


def _judge(sent: Sent) -> WireFlight | None:
    site = call_site()
    if site is None or not (site.fuse.settings.request_gate and site.fuse.settings.wire_gate):
        return None
    url, path = sent.url, sent.path
    found = find(path)
    named = next((one for text in site.fuse.settings.endpoints if (one := _named(text, url)) is not None), None)
    provider, unlisted = served(host_of(url), path) or ("", "")
    if found is None and named is None:
        if not unlisted or (unlisted == UNKNOWN and not is_gated(site.fuse.settings.unknown_endpoint, url)):
            return None
        found = UNLISTED, unlisted
        path = path if ":" in path else ""  # Google's names a model; what others' name is no whole one
    content = _unpacked(sent.content, sent.encoding)
    body = None if content is None else _decoded(content)
    form, operation = found or (openai.FORMAT, "")
    host = model_endpoint(url) or provider
    if not host and named is None and content is not None and not form.is_spoken(path, body):
        return None
    flight = WireFlight(form, host or form.provider, url, sent.sender, sent.observe)
    try:
        flight.judge_sent(site, named or operation, path, body, None if content is None else len(content))
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
        return NamedEndpoint.parse(text).operation("POST", url)
    except ValueError:
        return None


def _unpacked(content: bytes, encoding: str) -> bytes | None:
    """A body as it was before it was packed; None where that can't be told (`br`, `zstd`): its path alone is judged."""
    packing = encoding.strip().lower()
    if packing in ("", "identity"):
        return content
    if packing not in ("gzip", "x-gzip", "deflate"):
        return None
    for wbits in (47, -15):  # gzip or zlib, by its head; a deflate of which some leave the head out
        try:
            return zlib.decompress(content, wbits=wbits)
        except zlib.error:
            continue
    return None


def _decoded(content: bytes) -> object:
    """The JSON that a body is, or the fields of a form; None where it is neither."""
    if content.startswith(b"--"):
        return form_fields(content)
    try:
        return cast("object", foreign_text.read_json(content))
    except ValueError:
        return None
