"""The wire gate in Python's own `http.client`, by which `urllib.request` and httplib2 send."""

import functools
import io
from collections.abc import Callable, Hashable
from typing import Any, cast

from agent_fuse.otel import active, patches
from agent_fuse.otel.response import AnswerReader, Watch, closes, unpacker
from agent_fuse.otel.wire_flight import WireFlight
from agent_fuse.otel.wire_gate import Sent, at_hand, encoding_in, judge, path_of
from agent_fuse.seams import BOOKED_AT_QUOTE, HELD_AT_QUOTE, quietly
from agent_fuse.seams import judge as judged

_LOOKING, _READING, _FAILING = "looking at a request", "reading an answer", "noting a failed request"
_REQUEST, _BODY = "reading the body of a request", "reading the body of a response"
_HTTPS = 443
_ASKED = "agent_fuse_asked"
"""Where a connection keeps whose answer it waits for."""


class _Asked:
    """A request that was sent and not answered yet. Kept by its connection alone: gone with it, it was dropped."""

    def __init__(self, flight: WireFlight, url: str) -> None:
        self.flight = flight
        self.url = url


class HttpClientAnswer:
    """A response of `http.client` in the words of httpx."""

    content = b""

    def __init__(self, response: Any) -> None:
        self.raw = response
        self.status_code: int = response.status
        self.headers = response.headers
        self.is_closed = _is_at_end(response)


def methods(module: Any) -> tuple[tuple[type[Any], str, patches.Wrap], ...]:
    """What is wrapped: a connection's `request`, which urllib3 has one of its own for, and its `getresponse`."""
    kind = module.HTTPConnection
    return (kind, "request", around), (kind, "getresponse", around_answer)


def is_as_ever(module: Any) -> bool:
    """Whether connections and responses tell what they did. Sends nothing."""
    connection = module.HTTPConnection("agent-fuse.invalid", 8080)
    answer = module.HTTPResponse(_Spoken())
    answer.begin()
    told = (connection.host, connection.port, connection._tunnel_host, connection.default_port)  # noqa: SLF001
    read = (answer.status, answer.length, answer.isclosed(), answer.read(2), _is_at_end(answer))
    return (told, read) == (("agent-fuse.invalid", 8080, None, 80), (200, 2, False, b"{}", True))


class _Spoken:
    """A socket from which one answer comes."""

    def makefile(self, *_: Any) -> io.BytesIO:
        return io.BytesIO(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


def around(original: patches.Method) -> patches.Method:
    """The wrapper of a connection's `request`."""

    def request(self: Any, method: str, url: str, body: Any = None, *args: Any, **kwargs: Any) -> Any:
        path = judged(_LOOKING, active.fail_safe, _path_of, self, url) if method == "POST" else None
        if path is None:
            return original(self, method, url, body, *args, **kwargs)
        content = judged(_REQUEST, active.fail_safe, at_hand, body)
        if content is not None and body is not None and not isinstance(body, str):
            body = content
        flight = judge(lambda: _sent(self, url, path, content or b"", args[0] if args else kwargs.get("headers")))
        if flight is None:
            return original(self, method, url, body, *args, **kwargs)
        try:
            answer = original(self, method, url, body, *args, **kwargs)
            quietly(_READING, HELD_AT_QUOTE, _await_answer, self, flight, url)
        except BaseException as error:
            quietly(_FAILING, HELD_AT_QUOTE, flight.failed, error)
            raise
        return answer

    return request


def around_answer(original: patches.Method) -> patches.Method:
    """The wrapper of a connection's `getresponse`."""

    def getresponse(self: Any, *args: Any, **kwargs: Any) -> Any:
        asked: _Asked | None = self.__dict__.pop(_ASKED, None)
        if asked is None:
            return original(self, *args, **kwargs)
        try:
            response = original(self, *args, **kwargs)
            quietly(_READING, HELD_AT_QUOTE, lambda: asked.flight.answered(HttpClientAnswer(response)))
        except BaseException as error:
            quietly(_FAILING, HELD_AT_QUOTE, asked.flight.failed, error)
            raise
        return response

    return getresponse


def _path_of(connection: Any, url: str) -> str | None:
    return path_of(connection._tunnel_host or connection.host, url)  # noqa: SLF001


def _sent(connection: Any, url: str, path: str, content: bytes, headers: Any) -> Sent:
    if url.startswith("/"):
        url = f"{_place(connection)}{url}"
    encoding = encoding_in(headers or {})
    # Its flight must not keep the connection: dropped with it, the flight is known to be over.
    return Sent(url=url, path=path, content=content, encoding=encoding, sender=None, observe=observe)


def _place(connection: Any) -> str:
    """The URL's beginning; through a tunnel, what is behind it."""
    behind = connection._tunnel_host  # noqa: SLF001
    host, port = (behind, connection._tunnel_port) if behind else (connection.host, connection.port)  # noqa: SLF001
    scheme = "https" if connection.default_port == _HTTPS else "http"
    return f"{scheme}://{host}" if port in (None, connection.default_port) else f"{scheme}://{host}:{port}"


def _await_answer(connection: Any, flight: WireFlight, url: str) -> None:
    asked = _Asked(flight, url if "://" in url else f"{_place(connection)}{url}")
    flight.follow(asked, sees_sending=False)
    setattr(connection, _ASKED, asked)


def observe(answer: Any, reader: AnswerReader, ended: Callable[[bool], None]) -> None:
    """As `response.observe`. A response that is dropped closes itself."""
    response = answer.raw
    response.agent_fuse_watch = Watch(reader, ended)
    response.agent_fuse_unpack = unpacker(response.headers.get("content-encoding", ""))
    response.__class__ = _observed(cast("Hashable", type(response)))


@functools.cache
def _observed(kind: Hashable) -> type[Any]:
    """The response class with its ways out watched; lines and loops go by `readline`."""
    base: Any = kind
    methods: dict[str, Any] = {name: _read(getattr(base, name), _brought) for name in ("read", "read1", "readline")}
    methods |= {"readinto": _read(base.readinto, _filled), "close": closes(base.close), "__module__": base.__module__}
    return type(base.__name__, (base,), methods)


def _read(original: patches.Method, came: Callable[[Any, Any], bytes]) -> patches.Method:
    """A way to read; `came`: the bytes that it brought, by what it answered and what it was given."""

    def read(self: Any, *args: Any, **kwargs: Any) -> Any:
        watch: Watch = self.agent_fuse_watch
        outer, watch.reading = watch.reading, True
        try:
            answer = original(self, *args, **kwargs)
        except BaseException as error:
            quietly(_BODY, HELD_AT_QUOTE, watch.raised, error)
            raise
        finally:
            watch.reading = outer
        if not outer:  # it is not called by another of these
            quietly(_BODY, BOOKED_AT_QUOTE, lambda: _took(self, came(answer, [*args, *kwargs.values()])))
            quietly(_BODY, HELD_AT_QUOTE, _end_if_last, self)
        return answer

    return read


def _brought(data: bytes, _: object) -> bytes:
    return data


def _filled(count: int, given: list[Any]) -> bytes:
    return bytes(memoryview(given[0]).cast("B")[:count])


def _took(response: Any, data: bytes) -> None:
    if data and response.agent_fuse_unpack is None:
        response.agent_fuse_watch.end(True)
    elif data:
        response.agent_fuse_watch.took(response.agent_fuse_unpack(data))


def _is_at_end(response: Any) -> bool:
    return bool(response.isclosed() or response.length == 0)


def _end_if_last(response: Any) -> None:
    if not _is_at_end(response):
        return
    if response.length:  # the connection died: a read of a part says nothing of it
        response.agent_fuse_watch.end(True)
    else:
        response.agent_fuse_watch.done()
