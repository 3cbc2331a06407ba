"""The wire gate in aiohttp: a client session's `_request`, through which each of its methods goes."""

from collections.abc import AsyncIterable, Hashable
from typing import Any, cast
from urllib.parse import urlsplit

from agent_fuse.otel import active, patches
from agent_fuse.otel.aiohttp_body import AiohttpAnswer, observe, watched
from agent_fuse.otel.request_gate import FLIGHT
from agent_fuse.otel.wire_gate import Sent, is_worth_a_look, judge_awaited
from agent_fuse.seams import HELD_AT_QUOTE, quietly
from agent_fuse.seams import judge as judged
from agent_fuse.wire_formats.hosts import split

_LOOKING, _READING, _FAILING = "looking at a request", "reading an answer", "noting a failed request"


def methods(module: Any) -> tuple[tuple[type[Any], str, patches.Wrap], ...]:
    """What is wrapped."""
    return ((module.ClientSession, "_request", around),)


def is_as_ever(module: Any) -> bool:
    """Whether a body passes where it is watched. Sends nothing."""
    took: list[bytes] = []
    reader = module.StreamReader(_Still(), 2**16, loop=_Still())

    def take(_: Any, data: bytes) -> None:
        took.append(data)

    reader.__class__ = watched(cast("Hashable", module.StreamReader), take)
    reader.feed_data(b"{}")
    reader.feed_eof()
    return (reader.read_nowait(), took, reader.at_eof()) == (b"{}", [b"{}"], True)


class _Still:
    """A connection, or an event loop, that does nothing."""

    def __getattr__(self, name: str) -> Any:
        return _nothing


def _nothing(*_: object, **__: object) -> None:
    return None


def around(original: patches.Method) -> patches.Method:
    """The wrapper of a session's `_request`, which follows redirects inside."""

    async def request(self: Any, method: str, str_or_url: Any, *args: Any, **kwargs: Any) -> Any:
        url = judged(_LOOKING, active.fail_safe, _url_of, self, method, str_or_url)
        if url is None:
            return await original(self, method, str_or_url, *args, **kwargs)
        flight = await judge_awaited(lambda: _sent(self, str_or_url, kwargs))
        if flight is None:
            return await original(self, method, str_or_url, *args, **kwargs)
        try:
            token = FLIGHT.set(flight)
            try:
                response = await original(self, method, str_or_url, *args, **kwargs)
            finally:
                FLIGHT.reset(token)
            quietly(
                _READING, HELD_AT_QUOTE, lambda: flight.answered(AiohttpAnswer(response, raw=not self._auto_decompress))
            )
        except BaseException as error:
            quietly(_FAILING, HELD_AT_QUOTE, flight.failed, error)
            raise
        return response

    return request


def _url_of(session: Any, method: str, url: Any) -> str | None:
    """The URL of a request that is worth a look; None for all others, in a microsecond."""
    if method != "POST" and method.upper() != "POST":
        return None
    text = str(url)
    if "://" not in text and session is not None:
        text = str(session._build_url(url))  # noqa: SLF001  with the base URL of the session
    host, path = split(text)
    return text if is_worth_a_look(host, path) else None


async def _at_hand(data: Any) -> Any:
    """A body that can be read twice: nothing of it has been sent. A form is left as it is: no model is asked by one."""
    if hasattr(data, "read"):
        data = data.read()
    if isinstance(data, AsyncIterable):
        return b"".join([one async for one in cast("AsyncIterable[bytes]", data)])
    return data


async def _sent(session: Any, url: Any, kwargs: dict[str, Any]) -> Sent:
    if kwargs.get("data") is not None:
        kwargs["data"] = await _at_hand(kwargs["data"])
    data = kwargs.get("data")
    value: Any = getattr(data, "_value", data)  # a payload that holds bytes
    if kwargs.get("json") is not None:
        value = session._json_serialize(kwargs["json"])  # noqa: SLF001
    content = (
        value.encode() if isinstance(value, str) else bytes(cast("bytes", value)) if isinstance(value, _BYTES) else b""
    )
    told = str(session._build_url(url))  # noqa: SLF001  with the base URL of the session
    headers: dict[Any, Any] = {**session.headers, **dict(kwargs.get("headers") or {})}
    encoding = next((str(headers[name]) for name in headers if str(name).lower() == "content-encoding"), "")
    return Sent(url=told, path=urlsplit(told).path, content=content, encoding=encoding, sender=session, observe=observe)


_BYTES = (bytes, bytearray, memoryview)
